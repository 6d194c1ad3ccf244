"""The benchmark as a picture: four panels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from benchmarks.report import Report, Series

OURS, PLAIN = "#1f6fb4", "#999999"
EMPTY = Series()


def draw(report: Report, path: Path, *, bars: str) -> None:
    """Draw the report into a PNG.

    Parameters
    ----------
    report : Report
    path : Path
    bars : str
        The keys of the figures shown as bars begin with it.
    """
    picture = Picture(figsize=(12, 8), layout="constrained")
    times, sizes, services, memory = picture.subplots(2, 2).ravel()
    _times(times, report)
    _sizes(sizes, report)
    _services(services, report, bars)
    _memory(memory, report)
    machine = report.machine
    picture.suptitle(
        f"{machine.processor}, {machine.cores} cores, load average "
        f"{machine.load_before}..{machine.load_after}, {machine.started}",
        fontsize=9,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, dpi=120)


def _times(axes: Axes, report: Report) -> None:
    ours, plain = report.series.get("process", EMPTY).y, report.series.get("baseline", EMPTY).y
    axes.set(title="one image, 512 and 1024 px", xlabel="ms CPU", ylabel="share of the calls")
    if not ours or not plain:
        return
    bins = np.geomspace(min(*ours, *plain), max(*ours, *plain), 60)
    for label, values, colour in (("process", ours, OURS), ("plain baseline", plain, PLAIN)):
        weights = np.full(len(values), 1 / len(values))
        axes.hist(values, bins.tolist(), weights=weights, color=colour, label=label)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend()


def _sizes(axes: Axes, report: Report) -> None:
    axes.set(title="larger parents, 8 bit", xlabel="million pixels", ylabel="ms CPU")
    lines = (("process", "sizes", OURS), ("image.max(): one look a pixel", "looks", PLAIN))
    for label, name, colour in lines:
        line = report.series.get(name, EMPTY)
        axes.loglog(line.x, line.y, "o-", color=colour, label=label)
    axes.legend()


def _services(axes: Axes, report: Report, bars: str) -> None:
    shown = [figure for figure in report.figures if figure.key.startswith(bars)]
    axes.set(title="chain: CPU per frame of 1 MiB", xlabel="ms")
    axes.barh([f.what for f in shown], [f.value for f in shown], color=OURS)
    axes.invert_yaxis()


def _memory(axes: Axes, report: Report) -> None:
    axes.set(title="resident memory", xlabel="share of the run", ylabel="MiB")
    lines = (("all processes of the chain", "chain memory"), ("one process, `process`", "memory"))
    for (label, name), colour in zip(lines, (OURS, PLAIN), strict=True):
        line = report.series.get(name, EMPTY)
        share = [x / max(line.x[-1], 1e-9) for x in line.x]
        axes.plot(share, line.y, "o-", markersize=3, color=colour, label=label)
    axes.set_ylim(bottom=0)
    axes.legend()
