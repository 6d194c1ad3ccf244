"""The page's picture: the real chain, light workers, and what the model makes of more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from benchmarks.chain_images import LARGE
from benchmarks.scaling import crowd
from benchmarks.scaling.fitted import LINKS, Costs, predicted
from benchmarks.scaling.found import Scaling
from benchmarks.scaling.model import closed_rate, in_order
from benchmarks.scaling.page import ANSWER_LINKS, HEAVY_MS

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#999999")
MOST = 1_000


def draw(found: Scaling, costs: Costs, path: Path) -> None:
    """Draw three panels into a PNG."""
    picture = Picture(figsize=(13, 4.4), layout="constrained")
    chain, light, more = picture.subplots(1, 3)
    _chain(chain, found)
    _light(light, found, costs)
    _more(more, costs)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, dpi=100)


def _chain(axes: Axes, found: Scaling) -> None:
    axes.set(title="the chain here, 1 MiB", xlabel="workers a stage", ylabel="frames/s")
    colours = iter(COLOURS)
    for layout in ("together", "apart"):
        mine = [p for p in found.points if p.layout == layout and p.side == LARGE]
        for cores in sorted({p.cores for p in mine}, reverse=True):
            colour = next(colours)
            line = sorted((p for p in mine if p.cores == cores), key=lambda p: p.workers)
            x = [p.workers for p in line]
            label = f"{layout}, {cores} core{'s' if cores > 1 else ''}"
            axes.plot(x, [p.rate for p in line], "o", color=colour, label=label)
            axes.plot(x, [predicted(found.points, p) for p in line], "--", color=colour)
    axes.set_xticks(sorted({p.workers for p in found.points}))
    axes.set_ylim(0, 1.5 * max(p.rate for p in found.points if p.side == LARGE))
    axes.legend(fontsize=8, ncols=2, title="dots measured, lines model", title_fontsize=8)


def _light(axes: Axes, found: Scaling, costs: Costs) -> None:
    axes.set(title="light workers, 16 KiB", xlabel="workers", ylabel="frames/s")
    for (layout, label), colour in zip(
        (("held", "queue in the source"), ("own", "queue of its own")), COLOURS, strict=False
    ):
        mine = [p for p in found.crowds if p.layout == layout and p.work_ms]
        wide = sorted((p for p in mine if p.window > crowd.DEFAULT_WINDOW), key=lambda p: p.workers)
        narrow = [p for p in mine if p.window <= crowd.DEFAULT_WINDOW and p.workers > p.window]
        x = [p.workers for p in wide]
        axes.semilogx(x, [p.rate for p in wide], "o", color=colour, label=label)
        axes.semilogx(x, [costs.crowd_rate(p) for p in wide], "--", color=colour)
        for point in narrow:
            axes.plot(point.workers, point.rate, "s", color=colour, label=f"window {point.window}")
            axes.plot(point.workers, costs.crowd_rate(point), "+", color=colour, markersize=14)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, title="dots measured, lines model", title_fontsize=8)


def _more(axes: Axes, costs: Costs) -> None:
    axes.set(
        title=f"model, 1 MiB, {ANSWER_LINKS[-1]}",
        xlabel="workers a stage",
        ylabel="frames/s at most",
    )
    sizes = np.unique(np.geomspace(1, MOST, 60).astype(int)).tolist()
    colours = iter(COLOURS)
    for layout in ("together", "apart"):
        for more_ms, style in ((0.0, "-"), (HEAVY_MS, "--")):
            colour = next(colours)
            work = costs.worker_ms(layout, LARGE) + more_ms
            wide, narrow = [], []
            for n in sizes:
                every = [
                    *costs.workers(layout, LARGE, n, more_ms=more_ms),
                    *costs.serial(layout, LARGE),
                    *costs.links(LARGE, ANSWER_LINKS[-1]),
                ]
                wide.append(in_order(every, n)[0][1])
                narrow.append(closed_rate(every, n, window=crowd.DEFAULT_WINDOW))
            axes.loglog(sizes, wide, style, color=colour, label=f"{layout}, {work:.3g} ms a frame")
            axes.loglog(sizes, narrow, ":", color=colour)
    for link in LINKS:
        most = min(one.most(1) for one in costs.links(LARGE, link))
        axes.axhline(most, color="#cccccc", linewidth=0.8, zorder=0)
        axes.text(1, most, link, fontsize=7, color="#777777", va="bottom")
    axes.legend(fontsize=7, title=f"dotted: window {crowd.DEFAULT_WINDOW}", title_fontsize=7)
