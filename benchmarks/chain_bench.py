"""`haadflow bench`: what the chain moves, what a frame costs, and how long it takes, here.

Images of 1024 px, 8 bit, come from the memory of one detector process over Unix sockets. Three
chains are measured one after the other: all stages in one worker, without and with a spool, and
one stage a worker.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import kernels
from benchmarks.chain import Chain, ThreadTimes
from benchmarks.chain_images import LARGE, pictures
from benchmarks.chain_measure import WARM_FRAMES, Streamed, stream
from benchmarks.pace import answer_times
from benchmarks.report import Figure, Machine, Report
from pipeline import warm_up
from services.runtime.topology import TOGETHER

WINDOW = 64
"""Offers without an answer: without a spool that is all that is in the chain."""
COPIES_A_SOCKET = 2
"""Of an image: into the kernel and out of it. Nothing is copied in between."""

Tell = Callable[[str], None]


class _Measured(NamedTuple):
    streamed: Streamed
    threads: list[ThreadTimes]
    answers: list[float]


def bench(*, frames: int, profile: bool, tell: Tell) -> Report:
    """Measure the chain.

    Parameters
    ----------
    frames : int
        For each measurement.
    profile : bool
        Also by process and thread.
    tell : callable
        Told what is being measured.

    Returns
    -------
    Report
        Figures with the project's goals beside them.
    """
    started, load = datetime.now(UTC), os.getloadavg()[0]
    images = pictures(LARGE)
    tell("process alone")
    warm_up()
    pipeline_ms = kernels.cpu_ms(images, repeats=5)
    with tempfile.TemporaryDirectory(prefix="haadflow-bench-") as name:
        folder = Path(name)
        tell("all stages in one worker, no spool")
        with Chain(folder / "memory", together=True, spool=False) as chain:
            ready = chain.ready_unix(TOGETHER)[0] - chain.started_unix
            memory = _measure(chain, frames)
            tell("one worker more")
            extra = chain.scale(TOGETHER, 2)
        tell("all stages in one worker, with a spool")
        with Chain(folder / "spool", together=True) as chain:
            spooled = _measure(chain, frames, latency=False)
        tell("one stage a worker, with a spool")
        with Chain(folder / "apart") as chain:
            apart = _measure(chain, frames, latency=False)
    figures = [
        *_rates(memory.streamed, spooled.streamed, apart.streamed),
        *_costs(memory.streamed, pipeline_ms),
        *_latency(memory),
        *_starts(ready, extra),
        *(_by_thread(memory.threads, frames) if profile else ()),
    ]
    machine = Machine.this(quick=False, load_before=load, started=started)
    return Report(machine=machine, figures=tuple(figures), series={})


def _measure(chain: Chain, frames: int, *, latency: bool = True) -> _Measured:
    images = pictures(LARGE)
    stream(chain, images, WARM_FRAMES, window=WINDOW)
    before = chain.threads()
    streamed = stream(chain, images, frames, window=WINDOW)
    threads = [after.since(before) for after in chain.threads()]
    answers = (
        answer_times(chain.offers, images, frames=frames, rate=streamed.rate / 2) if latency else []
    )
    return _Measured(streamed, threads, answers)


def _rates(memory: Streamed, spooled: Streamed, apart: Streamed) -> list[Figure]:
    def figure(key: str, what: str, streamed: Streamed, goal: float | None = None) -> Figure:
        return Figure(
            key=f"bench.rate.{key}",
            group="1 MiB frames to committed coordinates, ledger on",
            what=what,
            value=streamed.rate,
            unit="frames/s",
            better="higher",
            goal=goal,
            note=f"{streamed.frames} frames, others had {streamed.others:.1f} cores",
        )

    return [
        figure("memory", "all stages in one worker, spool off", memory, 600.0),
        figure("spool", "all stages in one worker, spool on", spooled),
        figure("apart", "one stage a worker, spool on", apart),
    ]


def _costs(streamed: Streamed, pipeline_ms: float) -> list[Figure]:
    group = "cost of a frame, all stages in one worker, spool off"
    return [
        Figure(
            key="bench.cpu_ms",
            group=group,
            what="CPU, all services",
            value=streamed.cpu_ms,
            unit="ms",
            note=f"and {1e3 * streamed.sender_cpu / streamed.frames:.2f} ms the detector's own",
        ),
        Figure(
            key="bench.cpu_outside_ms",
            group=group,
            what="of it outside the pipeline",
            value=streamed.cpu_ms - pipeline_ms,
            unit="ms",
            goal=1.5,
            note=f"`process` alone on these images: {pipeline_ms:.2f} ms",
        ),
        Figure(
            key="bench.copies",
            group=group,
            what="copies of the image",
            value=2 * COPIES_A_SOCKET,
            unit="",
            goal=4,
            note="by design: detector, source, worker; into the kernel and out of it",
        ),
    ]


def _latency(measured: _Measured) -> list[Figure]:
    group = f"latency at half load, {measured.streamed.rate / 2:.0f} frames/s, spool off"
    answers = 1e3 * np.array(measured.answers)

    def figure(share: int, what: str, goal: float) -> Figure:
        return Figure(
            key=f"bench.latency_ms.p{share}",
            group=group,
            what=what,
            value=float(np.percentile(answers, share)),
            unit="ms",
            goal=goal,
            note=f"from a due offer to its answer behind the commit; {len(answers)} frames",
        )

    return [figure(50, "median", 10.0), figure(99, "99th percentile", 50.0)]


def _starts(ready: float, extra: float) -> list[Figure]:
    group = "start, until a worker asks for work, kernels warm"
    return [
        Figure(key="bench.start_s", group=group, what="of a whole chain", value=ready, unit="s"),
        Figure(
            key="bench.worker_start_s",
            group=group,
            what="one worker more, of a chain at rest",
            value=extra,
            unit="s",
            goal=2.0,
        ),
    ]


def _by_thread(threads: list[ThreadTimes], frames: int) -> list[Figure]:
    def figure(of: ThreadTimes, what: str, seconds: float, note: str = "") -> Figure:
        return Figure(
            key=f"bench.thread.{of.service}.{what}",
            group="CPU per frame by process and thread, spool off",
            what=f"{of.service.removesuffix('.1')}: {what}",
            value=1e3 * seconds / frames,
            unit="ms",
            note=note,
        )

    figures = []
    for times in threads:
        figures.append(figure(times, "main", times.main, "Python and kernels"))
        figures.append(figure(times, "others", times.others, "ZeroMQ's I/O, readers"))
    return figures
