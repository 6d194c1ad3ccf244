"""A stream of images through a peer, so many in flight at most; what each did, and when."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from benchmarks.peers import processes
from benchmarks.peers.peer import PATIENCE_S, Finished, Peer, PeerFailed

Look = Callable[[int], None]
"""Called with the number of results so far, whenever some have come."""


class Heard(NamedTuple):
    """What the caller saw of a stream."""

    seconds: float
    """From the first submission to the last result."""
    latencies: list[float]
    """Seconds, from the submission of an image to its result."""
    results: list[Finished]
    missing: list[int]
    """Numbers of the images of which nothing was heard."""
    longest_silence: float
    """Seconds between two results at most."""


class Cost(NamedTuple):
    """What a stream took."""

    cpu: float
    """Processor seconds of all processes, the caller's included."""
    caller: float
    """Processor seconds of the caller's process."""
    moved: float
    """Bytes, as the peer counts them."""
    written: float
    """Bytes that all processes passed to `write`: files and pipes, not sockets."""
    others: float
    """Cores that everything else on this machine had at work meanwhile."""


def run(
    peer: Peer,
    images: Sequence[NDArray[Any]],
    numbers: range,
    *,
    window: int,
    patience_s: float,
    look: Look = lambda _results: None,
) -> Heard:
    """Send images, `window` in flight at most, until all have come or none comes any more.

    Parameters
    ----------
    peer : Peer
    images : sequence of ndarray
        Number n is `images[n % len(images)]`.
    numbers : range
        Of the images to send.
    window : int
    patience_s : float
        What has not come when nothing has come for so long is missing.
    look : callable
    """
    submitted: dict[int, float] = {}
    latencies: list[float] = []
    results: list[Finished] = []
    left = iter(numbers)
    coming = True
    started = heard = time.monotonic()
    silence = 0.0
    while coming or submitted:
        while coming and len(submitted) < window:
            number = next(left, None)
            if number is None:
                coming = False
                break
            submitted[number] = time.monotonic()
            peer.submit(number, images[number % len(images)])
        found = peer.finished(min(0.25, patience_s))
        for one in found:
            # A second answer for an image is no second result.
            since = submitted.pop(one.number, None)
            if since is not None:
                latencies.append(one.at - since)
                results.append(one)
                silence = max(silence, one.at - heard)
                heard = one.at
        if found:
            look(len(results))
        elif time.monotonic() - heard > patience_s:
            break
    silence = max(silence, time.monotonic() - heard)
    return Heard(heard - started, latencies, results, sorted(submitted), silence)


def measured(
    peer: Peer, images: Sequence[NDArray[Any]], numbers: range, *, window: int
) -> tuple[Heard, Cost]:
    """Run a stream that must come back whole, and say what it took.

    Raises
    ------
    PeerFailed
        If an image is missing, or ended in an error.
    """
    moved, written = peer.moved(), processes.written()
    before = processes.usage()
    started = time.monotonic()
    heard = run(peer, images, numbers, window=window, patience_s=PATIENCE_S)
    seconds = time.monotonic() - started
    after = processes.usage()
    moved, written = peer.moved() - moved, processes.written() - written
    if heard.missing:
        raise PeerFailed(f"{peer.name}: nothing came of {len(heard.missing)} images")
    errors = [one.error for one in heard.results if one.error is not None]
    if errors:
        raise PeerFailed(f"{peer.name}: {errors[0]} instead of {len(errors)} results")
    cpu = after.since(before)
    others = max(0.0, after.machine_cpu - before.machine_cpu - cpu) / seconds
    return heard, Cost(cpu, after.own - before.own, moved, written, others)
