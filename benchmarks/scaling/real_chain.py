"""The real chain: its rate with one to four workers a stage, on one core and on all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.chain import Chain
from benchmarks.chain_images import LARGE, SMALL, pictures
from benchmarks.scaling import threads
from benchmarks.scaling.at_work import keep_full
from benchmarks.scaling.found import Point

WORKERS = (1, 2, 3, 4)
WINDOW = 64
LEAD_S = 0.4

Tell = Callable[[str], None]


class Layout(NamedTuple):
    """One way to lay the chain out."""

    together: bool
    spool: bool


LAYOUTS = {
    "together": Layout(together=True, spool=False),
    "apart": Layout(together=False, spool=True),
}
"""The few-cores topology and the default one, by what the page calls them."""


def measure(folder: Path, *, seconds: float, tell: Tell) -> Iterator[Point]:
    """Measure every layout, number of workers, number of cores and size of images.

    Workers are added to the running chain. On fewer cores than this machine lets us use, all of the
    chain and the detector are held to them.
    """
    mine = os.sched_getaffinity(0)
    images = {side: pictures(side) for side in (LARGE, SMALL)}
    for name, layout in LAYOUTS.items():
        with Chain(folder / name, together=layout.together, spool=layout.spool) as chain:
            for workers in WORKERS:
                tell(f"{name}: {workers} workers a stage")
                _have(chain, workers)
                for cores in sorted({len(mine), 1}, reverse=True):
                    held = [*chain.pids().values(), os.getpid()]
                    threads.hold_to(held, set(sorted(mine)[:cores]))
                    try:
                        for side in (LARGE, SMALL):
                            yield keep_full(
                                chain,
                                images[side],
                                layout=name,
                                workers=workers,
                                cores=cores,
                                seconds=seconds,
                                lead_s=LEAD_S,
                                window=WINDOW,
                            )
                    finally:
                        threads.hold_to(held, mine)


def _have(chain: Chain, workers: int) -> None:
    for table in chain.topology.stage:
        while len(chain.ready_unix(table.name)) < workers:
            chain.scale(table.name, len(chain.ready_unix(table.name)) + 1)
    chain.look_around()
