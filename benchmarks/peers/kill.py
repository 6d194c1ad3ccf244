"""Kill a worker in mid-stream, and see what becomes of the images."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import psutil
from msgspec import Struct
from numpy.typing import NDArray

from benchmarks.peers import stream
from benchmarks.peers.peer import Peer, PeerFailed

CATCH_S = 0.05
"""So long a worker at work is looked for; then the stream goes on, or all would be idle."""
STOP_S = 1.0


class Killed(Struct, frozen=True, kw_only=True):
    """What happened when a worker was killed (SIGKILL) after a third of the results.

    Attributes
    ----------
    images
        Sent in all.
    victim
        Which process was killed.
    in_hand
        Whether it had an image in hand; None where that is not knowable.
    results
        Of how many the caller got the result.
    errors
        How often the caller got which exception instead.
    missing
        Of how many it heard nothing.
    deadline_s
        How long nothing had come when the missing ones were given up.
    longest_silence_s
        Between two results, or until they were given up.
    begun_again, finished_again
        Images that were begun, or computed to the end, more than once; None if not knowable.
    """

    images: int
    victim: str
    in_hand: bool | None
    results: int
    errors: dict[str, int]
    missing: int
    deadline_s: float
    longest_silence_s: float
    begun_again: int | None
    finished_again: int | None

    @property
    def verdict(self) -> str:
        """Say it in a word or two."""
        if self.missing:
            return f"hung: {self.missing} never came"
        if self.errors:
            return f"{sum(self.errors.values())} lost"
        return "complete"

    @property
    def seen(self) -> str:
        """Say what the caller saw of it."""
        if self.errors:
            return ", ".join(f"{count} x {name}" for name, count in self.errors.items())
        return "nothing: it waits" if self.missing else "nothing"


def measure(
    peer: Peer, images: Sequence[NDArray[Any]], numbers: range, *, window: int, deadline_s: float
) -> Killed:
    """Kill a worker that is at work, once, and wait for the rest until nothing comes any more."""
    peer.keep_journal()
    killed: int | None = None

    def look(results: int) -> None:
        nonlocal killed
        if killed is None and results >= len(numbers) // 3:
            killed = _kill_one_at_work(peer)

    heard = stream.run(peer, images, numbers, window=window, patience_s=deadline_s, look=look)
    if killed is None:
        raise PeerFailed(f"{peer.name}: ended before a worker was caught at work")
    errors = Counter(one.error for one in heard.results if one.error is not None)
    again = peer.again()
    return Killed(
        images=len(numbers),
        victim=peer.victim,
        in_hand=peer.in_hand(killed),
        results=sum(one.error is None for one in heard.results),
        errors=dict(errors),
        missing=len(heard.missing),
        deadline_s=deadline_s,
        longest_silence_s=heard.longest_silence,
        begun_again=again.begun,
        finished_again=again.finished,
    )


def _kill_one_at_work(peer: Peer) -> int | None:
    """Kill a worker that has an image in hand; return its process id, or None if none had."""
    deadline = time.monotonic() + CATCH_S
    while time.monotonic() < deadline:
        pid = peer.at_work()
        if pid is None:
            continue
        # Stopped, it cannot finish between the look and the kill.
        worker = psutil.Process(pid)
        _stop(worker)
        if peer.in_hand(pid) is not False:
            worker.kill()
            return pid
        worker.resume()
    return None


def _stop(process: psutil.Process) -> None:
    process.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + STOP_S
    while process.status() != psutil.STATUS_STOPPED:
        if time.monotonic() > deadline:
            raise PeerFailed(f"process {process.pid} does not stop")
