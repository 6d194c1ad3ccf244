"""`make bench`: what the pipeline and the chain cost here, in four minutes.

    python -m benchmarks [--quick] [--compare EARLIER.json] [--out FOLDER]

Prints one table and writes bench.json and bench.png. Times depend on the machine and on what else
it does: compare the ratio to the plain baseline, or two runs on one machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from benchmarks import (
    chain_figures,
    chain_images,
    chain_measure,
    kernels,
    kernels_figures,
    kernels_memory,
    report,
    report_plot,
)
from benchmarks.chain import ChainFailed

SIDES = (256, 512, 1024, 2048, 4096)
OUT = Path("benchmarks/out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How often everything is done."""

    pictures: int = 48
    rounds: int = 24
    size_repeats: int = 11
    memory_calls: int = 100_000
    singles: int = 100
    small_frames: int = 1_000
    large_frames: int = 1_000
    file_frames: int = 600
    """0 leaves the run over files out."""


FULL = Effort()
QUICK = Effort(
    pictures=16,
    rounds=8,
    size_repeats=3,
    memory_calls=2_000,
    singles=15,
    small_frames=200,
    large_frames=200,
    file_frames=0,
)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="half a minute, rough figures")
    parser.add_argument("--compare", type=Path, metavar="EARLIER.json", help="print ratios to it")
    parser.add_argument("--out", type=Path, default=OUT, help="folder (default: %(default)s)")
    asked = parser.parse_args(arguments)
    console = Console(width=max(Console().width, 120))
    try:
        earlier = report.read(asked.compare) if asked.compare else None
        found = measure(QUICK if asked.quick else FULL, quick=asked.quick)
    except (report.NotAReport, ChainFailed) as error:
        print(error, file=sys.stderr)
        return 1
    console.print(report.table(found.figures, found.machine.line))
    if earlier is not None:
        console.print(report.compare(found, earlier))
    report.write(found, asked.out / "bench.json")
    report_plot.draw(found, asked.out / "bench.png", bars=chain_figures.CPU_OF)
    console.print(f"{asked.out / 'bench.json'}, {asked.out / 'bench.png'}")
    return 0


def measure(effort: Effort, *, quick: bool) -> report.Report:
    """Measure everything, with a progress bar for each part."""
    started, load = datetime.now(UTC), os.getloadavg()[0]
    columns = (TextColumn("{task.description:<28}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        figures, series = _kernels(effort, progress)
        chain, lines = _chain(effort, progress)
    return report.Report(
        machine=report.Machine.this(quick=quick, load_before=load, started=started),
        figures=(*figures, *chain),
        series=series | lines,
    )


def _kernels(
    effort: Effort, progress: Progress
) -> tuple[list[report.Figure], dict[str, report.Series]]:
    task = progress.add_task("process and the baseline", total=1.0)
    pictures = kernels.mix(effort.pictures)
    timings = kernels.time_side_by_side(pictures, effort.rounds, _advance(progress, task))
    task = progress.add_task("larger parents", total=1.0)
    sizes = kernels.time_sizes(SIDES, effort.size_repeats, _advance(progress, task))
    task = progress.add_task("memory of process", total=1.0)
    memory = kernels_memory.measure(effort.memory_calls)
    progress.update(task, completed=1.0)
    figures = [
        *kernels_figures.figures(timings),
        *kernels_figures.size_figures(sizes),
        *kernels_memory.figures(memory),
    ]
    return figures, kernels_figures.series(timings, sizes) | kernels_memory.series(memory)


def _chain(
    effort: Effort, progress: Progress
) -> tuple[list[report.Figure], dict[str, report.Series]]:
    with tempfile.TemporaryDirectory(prefix="haadflow-bench-") as name:
        folder = Path(name)
        task = progress.add_task("chain, offered images", total=1.0)
        found = chain_measure.measure_offers(
            folder / "offers",
            singles=effort.singles,
            small=effort.small_frames,
            large=effort.large_frames,
            advance=_advance(progress, task),
        )
        pipeline_ms = kernels.cpu_ms(chain_images.pictures(chain_images.LARGE), repeats=5)
        figures = chain_figures.figures(found, pipeline_ms)
        if effort.file_frames:
            task = progress.add_task("chain, files", total=1.0)
            files = chain_measure.measure_files(
                folder, frames=effort.file_frames, advance=_advance(progress, task)
            )
            figures += chain_figures.files_figures(files)
    return figures, chain_figures.series(found)


def _advance(progress: Progress, task: TaskID) -> kernels.Advance:
    def advance(share: float) -> None:
        progress.update(task, completed=share)

    return advance


if __name__ == "__main__":
    sys.exit(main())
