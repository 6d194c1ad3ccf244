"""`make bench-curve`: what keys cost, over one hop and through the whole chain.

    python -m benchmarks.curve [--frames N] [--rounds N] [--out FILE.json]

Frames of 1 MiB, with keys and without in turns, on the same sockets in the same minutes. One hop is
one process that pushes and one that pulls; neither looks at the pixels. Costs are those of both
ends together.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil
import structlog
from rich.console import Console

from benchmarks import report
from benchmarks.chain import Chain
from benchmarks.chain_images import LARGE, pictures
from benchmarks.chain_measure import WARM_FRAMES, stream
from benchmarks.report import Figure, Machine, Report
from pipeline import warm_up
from services.runtime.endpoints import Inlet, Outlet, Poller, close_context
from services.runtime.keyring import Keyring
from services.runtime.keys import KeyFolder
from services.runtime.roles import ROLES

FRAME_BYTES = LARGE * LARGE
WINDOW = 64
PATIENCE_S = 60.0
OUT = Path("benchmarks/out/curve.json")


class Run(NamedTuple):
    """One measurement."""

    rate: float
    """Frames per second."""
    cpu_ms: float
    """Processor milliseconds per frame, of all processes that take part."""


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curve", description=__doc__)
    parser.add_argument("--frames", type=int, default=1_500, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many counts")
    parser.add_argument("--out", type=Path, default=OUT, help="(default: %(default)s)")
    parser.add_argument("--push", metavar="ADDRESS", help="be the sending end of a hop")
    parser.add_argument("--keys", type=Path, help="with --push")
    asked = parser.parse_args(arguments)
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(wrapper_class=quiet)
    if asked.push:
        _push(asked.push, asked.keys, asked.frames)
        return 0
    found = measure(frames=asked.frames, rounds=asked.rounds)
    console = Console(width=max(Console().width, 120))
    console.print(report.table(found.figures, found.machine.line))
    report.write(found, asked.out)
    return 0


def measure(*, frames: int, rounds: int) -> Report:
    """Measure hops and chains, with keys and without in turns."""
    started, load = datetime.now(UTC), os.getloadavg()[0]
    warm_up()
    with tempfile.TemporaryDirectory(prefix="haadflow-bench-") as name:
        folder = Path(name)
        keys = KeyFolder(folder / "keys")
        for role in ROLES:
            keys.new(role)
        cases: dict[str, Callable[[Path | None], Run]] = {
            "one hop, TCP": lambda k: _hop("tcp://127.0.0.1:*", k, 2 * frames),
            "one hop, Unix socket": lambda k: _hop(f"ipc://{folder}/hop", k, 2 * frames),
            "chain, all stages in one worker, spool off": lambda k: _chain(
                folder, k, frames, together=True
            ),
            "chain, one stage a worker, spool on": lambda k: _chain(
                folder, k, frames, together=False
            ),
        }
        figures: list[Figure] = []
        for what, run in cases.items():
            open_runs, locked_runs = [], []
            for _ in range(rounds):
                open_runs.append(run(None))
                locked_runs.append(run(keys.path))
            figures += _figures(what, open_runs, locked_runs)
    machine = Machine.this(quick=False, load_before=load, started=started)
    return Report(machine=machine, figures=tuple(figures))


def _hop(address: str, keys: Path | None, frames: int) -> Run:
    inlet = Inlet(address, curve=Keyring(keys).listen("stage.frames"))
    command = [sys.executable, "-m", "benchmarks.curve", "--push", inlet.address]
    command += ["--frames", str(frames), *(["--keys", str(keys)] if keys else [])]
    poller = Poller([inlet])
    with subprocess.Popen(command) as sender:
        other = psutil.Process(sender.pid)
        _pull(inlet, poller, WARM_FRAMES)
        began, before = time.monotonic(), _cpu(other) + _cpu(psutil.Process())
        _pull(inlet, poller, frames)
        took = time.monotonic() - began
        used = _cpu(other) + _cpu(psutil.Process()) - before
        sender.terminate()
    inlet.close(0)
    return Run(frames / took, 1e3 * used / frames)


def _pull(inlet: Inlet, poller: Poller, frames: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while frames:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{frames} frames have not come")
        poller.wait(100)
        while frames and inlet.receive() is not None:
            frames -= 1


def _push(address: str, keys: Path | None, frames: int) -> None:
    outlet = Outlet(address, curve=Keyring(keys).connect("worker", "stage.frames"))
    frame = bytes(FRAME_BYTES)
    for _ in range(WARM_FRAMES + frames):
        while not outlet.send([frame], timeout_ms=100):
            continue
    time.sleep(PATIENCE_S)  # its processor time is asked for; then it is ended


def _chain(folder: Path, keys: Path | None, frames: int, *, together: bool) -> Run:
    images = pictures(LARGE)
    with (
        tempfile.TemporaryDirectory(dir=folder) as out,
        Chain(Path(out), together=together, spool=not together, keys=keys) as chain,
    ):
        stream(chain, images, WARM_FRAMES, window=WINDOW)
        streamed = stream(chain, images, frames, window=WINDOW)
    own = 1e3 * streamed.sender_cpu / streamed.frames
    return Run(streamed.rate, streamed.cpu_ms + own)


def _figures(what: str, without: list[Run], locked: list[Run]) -> list[Figure]:
    def figure(key: str, label: str, value: float, unit: str, note: str = "") -> Figure:
        return Figure(
            key=f"curve.{what}.{key}",
            group=what,
            what=label,
            value=value,
            unit=unit,
            note=note,
            better="higher" if unit == "frames/s" else "lower",
        )

    def spread(runs: list[Run]) -> str:
        rates = [run.rate for run in runs]
        return f"{min(rates):.0f} to {max(rates):.0f}"

    rate = [median(run.rate for run in runs) for runs in (without, locked)]
    cost = [median(run.cpu_ms for run in runs) for runs in (without, locked)]
    return [
        figure("rate.open", "without keys", rate[0], "frames/s", spread(without)),
        figure("rate.keys", "with keys", rate[1], "frames/s", spread(locked)),
        figure("cpu.open", "CPU, without keys", cost[0], "ms"),
        figure("cpu.keys", "CPU, with keys", cost[1], "ms"),
        figure("cpu.more", "of it for the keys", cost[1] - cost[0], "ms"),
    ]


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    status = main()
    close_context()
    sys.exit(status)
