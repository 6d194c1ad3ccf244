"""All that is measured on a peer, in one life of it; and on all peers, round by round."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from benchmarks.kernels import Advance
from benchmarks.peers import figures, kill, processes, stream
from benchmarks.peers.peer import PATIENCE_S, Finished, Peer, PeerFailed
from benchmarks.peers.work import N_ELEMENTS
from pipeline import process
from services.runtime.process import ONE_THREAD

MakePeer = Callable[[Path], Peer]
ROUND_S = 60.0
"""A peer that is not done with a round by then has failed."""
BUDGET_S = 270.0
"""A round that would not be done by then is not begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is done, and how many images are in flight."""

    workers: int
    rounds: int = 2
    warm: int = 64
    wide: int = 1200
    """Images through the wide window, where rate and processor time are measured."""
    narrow: int = 600
    """Images through the narrow window, where latency is."""
    kill: int = 200
    kill_deadline_s: float = 20.0

    @property
    def wide_window(self) -> int:
        """So many that no peer waits for the caller."""
        return 16 * self.workers

    @property
    def narrow_window(self) -> int:
        """One image in each worker's hand and one on its way."""
        return 2 * self.workers


def measure(
    makers: Mapping[str, MakePeer],
    images: Sequence[NDArray[Any]],
    effort: Effort,
    advance: Callable[[str], Advance],
) -> list[figures.Column]:
    """Measure peers in turn, all in one round before any in the next.

    Raises
    ------
    PeerFailed
        If one does not do what it should within the time allowed.
    """
    # Whatever is started from here on inherits it.
    os.environ.update(ONE_THREAD)
    expected = [len(process(image, n_elements=N_ELEMENTS).boxes) for image in images]
    rounds: dict[str, list[figures.Round]] = {name: [] for name in makers}
    peers: dict[str, Peer] = {}
    started = time.monotonic()
    for number in range(effort.rounds):
        taken = time.monotonic() - started
        if number and taken * (number + 1) / number > BUDGET_S:
            break
        # The other way round in every second round: what a neighbour does is nobody's alone.
        names = list(makers)[:: -1 if number % 2 else 1]
        for name in names:
            # Unix sockets lie below it, whose paths must be short.
            folder = Path(tempfile.mkdtemp(prefix="hfp-"))
            try:
                with processes.within(ROUND_S, name):
                    peers[name] = makers[name](folder)
                    rounds[name].append(one_round(peers[name], images, expected, effort))
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            advance(name)((number + 1) / effort.rounds)
    return [figures.column(peers[name], rounds[name]) for name in makers]


def one_round(
    peer: Peer, images: Sequence[NDArray[Any]], expected: Sequence[int], effort: Effort
) -> figures.Round:
    """Start a peer, stream images through it, kill one of its workers, and end it."""
    numbers = _in_turn()
    started = time.monotonic()
    with processes.running(peer):
        first = stream.run(peer, images, numbers(1), window=1, patience_s=PATIENCE_S)
        start_s = time.monotonic() - started
        if not first.results:
            raise PeerFailed(f"{peer.name}: no first result within {PATIENCE_S:g} s")
        stream.measured(peer, images, numbers(effort.warm), window=effort.wide_window)
        wide, wide_cost = stream.measured(
            peer, images, numbers(effort.wide), window=effort.wide_window
        )
        narrow, narrow_cost = stream.measured(
            peer, images, numbers(effort.narrow), window=effort.narrow_window
        )
        wrong = count_wrong(peer, [*wide.results, *narrow.results], expected)
        killed = kill.measure(
            peer,
            images,
            numbers(effort.kill),
            window=effort.narrow_window,
            deadline_s=effort.kill_deadline_s,
        )
    return figures.Round(start_s, wide, wide_cost, narrow, narrow_cost, wrong, killed)


def count_wrong(peer: Peer, results: Sequence[Finished], expected: Sequence[int]) -> int:
    """Count the results that have another number of boxes than `process` finds here."""
    found = peer.boxes([one.number for one in results])
    if found is None:
        found = {one.number: -1 if one.boxes is None else one.boxes for one in results}
    return sum(found.get(one.number) != expected[one.number % len(expected)] for one in results)


def _in_turn() -> Callable[[int], range]:
    """Give out numbers, none of them twice."""
    given = count()

    def take(many: int) -> range:
        first = next(given)
        for _ in range(many - 1):
            next(given)
        return range(first, first + many)

    return take
