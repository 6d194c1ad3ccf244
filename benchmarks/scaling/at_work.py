"""A chain kept full for a while: its rate, and the processor time of every thread."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from itertools import cycle
from typing import Any, NamedTuple

from numpy.typing import NDArray

from benchmarks.chain import Chain, ChainFailed, Snapshot
from benchmarks.scaling import threads
from benchmarks.scaling.found import Point
from services.detectors.client import Detector

LOOK_S = 0.005
DETECTOR = "detector"
CROWD = "crowd"
"""What the processes of many light workers are called."""


class _Look(NamedTuple):
    """What everything had used at one moment."""

    snapshot: Snapshot
    threads: dict[str, float]
    written: dict[str, float]


def keep_full(
    chain: Chain,
    images: Sequence[NDArray[Any]],
    *,
    layout: str,
    workers: int,
    cores: int,
    seconds: float,
    lead_s: float,
    window: int,
    work_ms: float = 0.0,
    crowd: Sequence[int] = (),
) -> Point:
    """Offer images as fast as they are taken, for so many seconds, and wait for their outcomes.

    Without a spool the chain takes no more than it can hold, and is looked at from full to full. A
    source with a spool may take more than the chain does: then it counts until all has ended.

    Parameters
    ----------
    chain
        Ready, and nothing in it.
    images
        Offered in turn, all of one size.
    layout, workers, cores, work_ms
        For the record.
    seconds
        For which images are offered while it counts.
    lead_s
        Before that, so that the chain is full.
    window
        Offers without an answer.
    crowd
        Processes of workers that are not the supervisor's.
    """
    committed = chain.committed()
    with Detector(chain.offers, name="scaling", window=window) as detector:
        sent = _send(detector, cycle(images), lead_s)
        commits = _commits(chain)
        before = _look(chain, crowd)
        sent += _send(detector, cycle(images), seconds)
        if chain.topology.source.spool:
            chain.wait_for(committed + sent, look_every_s=LOOK_S)
        after = _look(chain, crowd)
    commits = _commits(chain) - commits
    frames = after.snapshot.committed - before.snapshot.committed
    took = after.snapshot.at - before.snapshot.at
    used = _difference(before.threads, after.threads)
    machine = after.snapshot.machine_cpu - before.snapshot.machine_cpu
    chain.wait_for(committed + sent, look_every_s=LOOK_S)
    return Point(
        layout=layout,
        side=images[0].shape[0],
        workers=workers,
        cores=cores,
        work_ms=work_ms,
        window=min(window, chain.topology.source.window_frames),
        frames=frames,
        seconds=took,
        rate=frames / took,
        others=max(0.0, machine - sum(used.values())) / took,
        threads={name: 1e3 * value / frames for name, value in used.items() if value > 0.0},
        written={
            name: value / frames
            for name, value in _difference(before.written, after.written).items()
            if value > 0.0
        },
        commits=frames / max(1, commits),
        worker_mib=max(
            (mib for name, mib in after.snapshot.resident.items() if ".worker." in name),
            default=0.0,
        ),
    )


def _send(detector: Detector, images: Iterator[NDArray[Any]], seconds: float) -> int:
    """Send for so long; return how many that were."""
    sent, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        detector.send(next(images), n_elements=3)
        sent += 1
    return sent


def busy_at_rest(chain: Chain, crowd: Sequence[int], seconds: float) -> dict[str, float]:
    """Return the cores that each thread keeps busy while there is nothing to do."""
    before, started = _threads(chain.pids(), crowd), time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - started
    used = _difference(before, _threads(chain.pids(), crowd))
    return {name: value / took for name, value in used.items()}


def _look(chain: Chain, crowd: Sequence[int]) -> _Look:
    pids = chain.pids()
    return _Look(
        chain.snapshot(),
        _threads(pids, crowd),
        {_role(name): float(threads.written_bytes(pid)) for name, pid in pids.items()},
    )


def _threads(pids: Mapping[str, int], crowd: Sequence[int]) -> dict[str, float]:
    """Return the processor seconds of every kind of thread; workers of a stage are one kind."""
    found: dict[str, float] = {}
    named = [*pids.items(), *((CROWD, pid) for pid in crowd), (DETECTOR, os.getpid())]
    for name, pid in named:
        try:
            of_process = threads.seconds(pid)
        except FileNotFoundError as error:
            raise ChainFailed(f"{name} has died while it was measured") from error
        for thread, used in of_process.items():
            key = f"{_role(name)}/{thread}"
            found[key] = found.get(key, 0.0) + used
    return found


def _role(service: str) -> str:
    return re.sub(r"\.\d+$", "", service)


def _commits(chain: Chain) -> int:
    """Count the sink's transactions: all outcomes of one have the same time."""
    uri = f"{chain.places.results.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=30)) as store:
        query = "SELECT count(DISTINCT created_unix) FROM outcomes"
        return int(store.execute(query).fetchone()[0])


def _difference(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {name: value - before.get(name, 0.0) for name, value in after.items()}
