"""How boxes and processing times are spread over a run, beside what the paper reports."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.time_model import GRID_POINTS

from .canvas import REGION_COLOURS, TIMES
from .statistics import Statistics
from .whole_files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAPER_MEDIAN_BOXES = 493
"""Boxes per image (Day et al., Sci. Rep. 15, 17180 (2025), 964 images)."""

PAPER_MEDIAN_MS = 40.0
"""Time per image, on a 2020 MacBook Pro (same source)."""


def draw_distributions(statistics: Statistics, path: Path) -> None:
    """Draw two histograms: boxes and processing time per located image.

    Parameters
    ----------
    statistics
        Of a run; `Statistics.of(store.results())` gathers them.
    path
        The PNG to write.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second to load, for this alone

    figure = Figure(figsize=(12, 4.6), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    counts = sorted(statistics.boxes.counts.items())
    _histogram(
        left,
        np.array([value for value, _ in counts], float),
        np.array([times for _, times in counts], float),
        (PAPER_MEDIAN_BOXES, "{:,.0f}"),
    )
    left.set_xlabel("boxes per image")
    bins = statistics.process.bins()
    _histogram(
        right,
        np.array([middle for middle, _ in bins], float),
        np.array([times for _, times in bins], float),
        (PAPER_MEDIAN_MS, "{:.3g} ms"),
    )
    right.set_xlabel("processing time per image, all stages (ms)")
    figure.suptitle(_title(statistics), x=0.01, ha="left", fontsize=12)
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    write_whole(path, content.getvalue())


def _histogram(axes: Axes, values: np.ndarray, times: np.ndarray, paper: tuple[float, str]) -> None:
    """Draw one histogram on a logarithmic axis, with our median and the paper's."""
    from matplotlib.ticker import LogLocator, MaxNLocator  # noqa: PLC0415 - as above

    reference, form = paper
    positive = values > 0
    values, times = values[positive], times[positive]
    low = min([*values, reference]) * 0.8
    high = max([*values, reference]) * 1.25
    bins = int(np.clip(2 * np.sqrt(times.sum()), 12, 60))
    edges = np.geomspace(low, high, bins + 1)
    sky, orange = ("#{:02x}{:02x}{:02x}".format(*colour) for colour in REGION_COLOURS[:2])
    axes.hist(
        values, bins=edges.tolist(), weights=times, color=sky, edgecolor="white", linewidth=0.5
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.4g}")
    axes.xaxis.set_minor_formatter("")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    if times.sum():
        middle = (times.sum() - 1) / 2
        at = np.searchsorted(np.cumsum(times), [np.floor(middle), np.ceil(middle)], side="right")
        median = values[at].mean()
        axes.axvline(median, color="black", label="median " + form.format(median))
    axes.axvline(
        reference,
        color=orange,
        linestyle="--",
        label="median in the paper " + form.format(reference),
    )
    axes.set_ylabel("images")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, 1.14), ncols=2)


def _title(statistics: Statistics) -> str:
    spread = statistics.boxes.spread()
    images = statistics.counts.located
    text = f"{images:,} located image{'s' * (images != 1)}"
    if spread and spread.mean:
        text += f", {GRID_POINTS / spread.mean:.1f}{TIMES} fewer points than a full grid"
    return text
