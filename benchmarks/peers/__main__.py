"""`make bench-peers`: the chain beside multiprocessing, Dask and Ray, on the same images and cores.

    python -m benchmarks.peers [--quick] [--only NAME ...] [--out FOLDER]

Prints one table and writes peers.json. docs/peers.md says how to read it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.chain import ChainFailed
from benchmarks.chain_images import LARGE, pictures
from benchmarks.kernels import Advance
from benchmarks.peers import table
from benchmarks.peers.haadflow_chain import HaadflowChain
from benchmarks.peers.measure import Effort, MakePeer, measure
from benchmarks.peers.peer import PeerFailed
from benchmarks.peers.process_pool import ProcessPool
from benchmarks.report import Machine

OUT = Path("benchmarks/out")
NAMES = ("haadflow", "few-cores", "pool", "dask", "ray")
EXTRA = {"dask": "distributed", "ray": "ray"}
"""What the optional extra brings, by peer."""


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round, rough figures")
    parser.add_argument("--only", choices=NAMES, nargs="+", default=NAMES, metavar="NAME")
    parser.add_argument("--out", type=Path, default=OUT, help="folder (default: %(default)s)")
    asked = parser.parse_args(arguments)
    absent = [EXTRA[name] for name in asked.only if name in EXTRA and not find_spec(EXTRA[name])]
    if absent:
        print(f"{', '.join(absent)} not installed; `make bench-peers` does it", file=sys.stderr)
        return 2
    if sys.platform != "linux":
        print("Linux only: it counts bytes as that kernel does", file=sys.stderr)
        return 2
    started, load = datetime.now(UTC), os.getloadavg()[0]
    cores = len(os.sched_getaffinity(0))
    effort = Effort(workers=cores)
    if asked.quick:
        effort = Effort(workers=cores, rounds=1, wide=300, narrow=200, kill_deadline_s=10.0)
    images = pictures(LARGE)
    makers = {name: _maker(name, images, cores) for name in asked.only}
    try:
        with Progress(
            TextColumn("{task.description:<10}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        ) as progress:
            columns = measure(makers, images, effort, _bars(progress, asked.only))
    except (PeerFailed, ChainFailed) as error:
        print(error, file=sys.stderr)
        return 1
    report = table.PeersReport(
        machine=Machine.this(quick=asked.quick, load_before=load, started=started),
        cores=cores,
        wide_window=effort.wide_window,
        narrow_window=effort.narrow_window,
        columns=tuple(columns),
    )
    console = Console(width=max(Console().width, 150))
    console.print(table.table(report))
    for note in table.notes(report):
        console.print(f"* {note}", highlight=False)
    table.write(report, asked.out / "peers.json")
    console.print(asked.out / "peers.json")
    return 0


def _maker(name: str, images: list[NDArray[Any]], workers: int) -> MakePeer:
    """Return what makes a peer; import its library, which is no part of its start."""
    if name == "haadflow":
        return lambda folder: HaadflowChain(folder, images)
    if name == "few-cores":
        return lambda folder: HaadflowChain(folder, images, few_cores=True)
    if name == "pool":
        return lambda folder: ProcessPool(folder, workers)
    if name == "dask":
        from benchmarks.peers.dask_cluster import DaskCluster  # noqa: PLC0415 - of the extra

        return lambda folder: DaskCluster(folder, workers)
    from benchmarks.peers.ray_node import RayNode  # noqa: PLC0415 - of the extra

    return lambda folder: RayNode(folder, workers)


def _bars(progress: Progress, names: tuple[str, ...]) -> Callable[[str], Advance]:
    tasks = {name: progress.add_task(name, total=1.0) for name in names}

    def bar(name: str) -> Advance:
        return lambda share: progress.update(tasks[name], completed=share)

    return bar


if __name__ == "__main__":
    sys.exit(main())
