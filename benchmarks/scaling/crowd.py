"""A source, a queue, a sink and a supervisor that meet up to a thousand workers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.chain import Chain, ChainFailed
from benchmarks.chain_images import LARGE, SMALL, pictures
from benchmarks.scaling import light_workers
from benchmarks.scaling.at_work import busy_at_rest, keep_full
from benchmarks.scaling.found import Point, Rest
from benchmarks.scaling.samples import located
from protocols import encode
from services.runtime.topology import Topology

A_PROCESS = 250
"""Workers of one process: a ZeroMQ context takes 1,023 sockets, and each worker has three."""
OFFERED = 500.0
"""Frames a second that all workers together could take, however many they are."""
SIZES = (10, 30, 100, 300, 1_000)
FULL_TILT = 8
"""Workers that do not wait at all: as many as keep the source busy."""
SPARE = 64
"""Frames in the chain beside those that workers wait with."""
DEFAULT_WINDOW = 64
LEAD_S = 0.4
SETTLE_S = 1.0
"""Until all have been probed, and the queue knows them."""
REST_S = 1.0
LEAVE_S = 20.0

Tell = Callable[[str], None]


def measure(folder: Path, *, seconds: float, tell: Tell) -> Iterator[Point | Rest]:
    """Measure a source that holds the queue, then a queue of its own, then the default window."""
    meeting = _Meeting(folder, seconds, tell)
    for layout in ("held", "own"):
        with meeting.chain(layout) as chain:
            for workers in SIZES:
                yield from meeting.point(chain, layout, workers, workers / OFFERED)
            for side in (SMALL, LARGE):
                yield from meeting.point(chain, layout, FULL_TILT, 0.0, side=side)
    with meeting.chain("held", window=DEFAULT_WINDOW) as chain:
        yield from meeting.point(chain, "held", SIZES[-2], SIZES[-2] / OFFERED)


class _Meeting:
    """What all measurements of crowds have in common."""

    def __init__(self, folder: Path, seconds: float, tell: Tell) -> None:
        self._folder = folder
        self._seconds = seconds
        self._tell = tell
        self._images = {side: pictures(side) for side in (LARGE, SMALL)}
        self._answer = folder / "located.hf"
        light_workers.save_answer(self._answer, encode(located(self._images[SMALL][0])))

    def chain(self, layout: str, *, window: int = 2 * SIZES[-1]) -> Chain:
        """Return a chain without workers and with room for all frames of the largest crowd."""

        def adapt(topology: Topology) -> Topology:
            source = msgspec.structs.replace(
                topology.source, holds_first_queue=layout == "held", window_frames=window
            )
            (stage,) = topology.stage
            stage = msgspec.structs.replace(stage, workers=0)
            return msgspec.structs.replace(topology, source=source, stage=(stage,))

        folder = self._folder / f"{layout}-{window}"
        return Chain(folder, together=True, spool=False, adapt=adapt)

    def point(
        self, chain: Chain, layout: str, workers: int, wait_s: float, *, side: int = SMALL
    ) -> Iterator[Point | Rest]:
        """Measure at rest, where workers wait with frames, and at work."""
        self._tell(f"{workers} light workers, {1e3 * wait_s:.0f} ms, {side} px, queue {layout}")
        with _crowd(chain, self._answer, workers, wait_s) as crowd:
            if wait_s:
                time.sleep(SETTLE_S)
                yield Rest(layout=layout, workers=workers, busy=busy_at_rest(chain, crowd, REST_S))
            yield keep_full(
                chain,
                self._images[side],
                layout=layout,
                workers=workers,
                cores=len(os.sched_getaffinity(0)),
                seconds=self._seconds + wait_s,
                lead_s=LEAD_S + 2 * wait_s,
                window=workers + SPARE,
                work_ms=1e3 * wait_s,
                crowd=crowd,
            )


@contextmanager
def _crowd(chain: Chain, answer: Path, workers: int, wait_s: float) -> Iterator[list[int]]:
    """Start so many workers; give the process ids. They leave at the end."""
    started: list[subprocess.Popen[str]] = []
    try:
        for first in range(0, workers, A_PROCESS):
            command = [sys.executable, "-m", "benchmarks.scaling.light_workers"]
            command += ["--topology", str(chain.places.topology), "--answer", str(answer)]
            command += ["--workers", str(min(A_PROCESS, workers - first))]
            command += ["--seconds", str(wait_s)]
            started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        for process in started:
            # Its standard output ends if it dies.
            line = process.stdout.readline() if process.stdout is not None else ""
            if line.strip() != light_workers.READY:
                raise ChainFailed(f"{workers} light workers did not start")
        yield [process.pid for process in started]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(LEAVE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
