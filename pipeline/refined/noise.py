"""Noise of a particle's cells: how much there is, and what is left without it.

Arrays are (row, column), in cells of the particle's lattice.
"""

from __future__ import annotations

import numpy as np

from pipeline.compiled import compiled

from .blur import blur
from .bodies import Mask
from .lattice import Levels, Numbers
from .ranks import rank, spread

WINDOW = 2
"""Cells to each side that are averaged, where they differ by noise only."""

NOISE = 2.5
"""Standard deviations up to which a difference is noise."""

FINE = 0.8
"""Cells, of the blur that tells what a cell is compared with."""


def calmed(cells: Levels, noise: tuple[float, float]) -> Levels:
    """Average the noise out; edges stay where they are.

    Parameters
    ----------
    cells : ndarray, float32, (rows, columns)
        Gray levels.
    noise : (gain, offset)
        As `fit_noise` returns it.

    Returns
    -------
    ndarray, float32, (rows, columns)
    """
    calm = _average_alike(cells, blur(cells, FINE), noise, NOISE, WINDOW)
    return _average_alike(calm, calm, noise, NOISE / 2.0, 1)


def fit_noise(cells: Levels, body: Mask, most: float) -> tuple[float, float]:
    """Fit the noise's variance: gain times level plus offset.

    Parameters
    ----------
    cells : ndarray, float32, (rows, columns)
        Gray levels.
    body : ndarray, bool, (rows, columns)
        Where the particle is, about.
    most : float
        Variance that the pixels' own noise can make.

    Returns
    -------
    gain, offset : float

    Notes
    -----
    From second differences along rows: slopes do not count, and the median passes over edges.
    What is finer than a cell, atomic columns or small grains, bends as noise does, but pixels
    beside each other bend less: more than `most` it is not.
    """
    inside, levels, outside, low = _bends(cells, body)
    if not inside.size:
        return 0.0, 1.0
    bright, high = _brighter(inside, levels, rank(levels.copy(), 0.5))
    lit, dark = variance(bright), variance(outside)
    gain = max((lit - dark) / max(high - low, 1.0), 0.0)
    offset = dark - gain * low
    share = min(most / max(offset + gain * high, 1e-9), 1.0)
    return gain * share, max(offset * share, 0.05)


@compiled
def _bends(cells: Levels, body: Mask) -> tuple[Levels, Levels, Levels, float]:
    """Take second differences along rows, and the levels they are at.

    Returns the differences within the body and their levels, the differences outside, and the
    mean of the levels there, 0 if there are none.
    """
    rows, columns = cells.shape
    count = rows * max(columns - 2, 0)
    inside = np.empty(count, np.float32)
    levels = np.empty(count, np.float32)
    outside = np.empty(count, np.float32)
    bends = np.empty(columns, np.float32)
    means = np.empty(columns, np.float32)
    within, without, total = 0, 0, 0.0
    for y in range(rows):
        _bend(cells[y], bends, means)
        within_body = body[y]
        for x in range(1, columns - 1):
            if within_body[x]:
                inside[within] = bends[x]
                levels[within] = means[x]
                within += 1
            else:
                outside[without] = bends[x]
                total += means[x]
                without += 1
    low = total / without if without > 0 else 0.0
    return inside[:within], levels[:within], outside[:without], low


@compiled
def _bend(line: Levels, bends: Levels, means: Levels) -> None:
    """Take the second differences of a row, and means of three."""
    before, after = line[:-2], line[2:]
    middle, bend, mean = line[1:-1], bends[1:-1], means[1:-1]
    for x in range(middle.shape[0]):
        bend[x] = np.float32(2.0) * middle[x] - before[x] - after[x]
        mean[x] = (before[x] + middle[x] + after[x]) / np.float32(3.0)


@compiled
def _brighter(bends: Levels, levels: Levels, middle: float) -> tuple[Levels, float]:
    """Pick the differences at levels above the middle; their mean level is 1 if there are none."""
    bright = np.empty(bends.shape[0], np.float32)
    count, total = 0, 0.0
    for at in range(bends.shape[0]):
        brighter = levels[at] > middle
        bright[count] = bends[at]
        count += brighter
        total += levels[at] if brighter else 0.0
    return bright[:count], total / count if count > 0 else 1.0


def variance(bends: Levels | Numbers) -> float:
    """Variance of the noise in second differences, whose own is six times as large."""
    if bends.size <= 20:
        return 0.0
    return spread(bends) ** 2 / 6.0


@compiled
def _average_alike(
    cells: Levels, like: Levels, noise: tuple[float, float], deviations: float, window: int
) -> Levels:
    """Average each cell's surroundings, those cells that differ from it by noise only.

    Lee's sigma filter: edges stay where they are. A cell that differs from `like` by more than
    noise is compared as it is: what is finer than a blur is kept. The window is 1 or 2.

    The whole picture is shifted again and again, with cells around it that are like no other: its
    rows lie behind each other with that margin between, and so long a loop is a vector loop.
    """
    rows, columns = cells.shape
    stride = columns + 2 * window
    padded = np.full((rows + 2 * window + 1, stride), np.inf, np.float32)
    # what they say of the margin is of no use, and not looked at
    middle = np.empty((rows, stride), np.float32)
    most = np.empty((rows, stride), np.float32)
    gain, offset, within = np.float32(noise[0]), np.float32(noise[1]), np.float32(deviations)
    for y in range(rows):
        line = padded[y + window]
        for x in range(columns):
            cell, here = cells[y, x], like[y, x]
            limit = within * np.sqrt(offset + gain * max(here, np.float32(0.0)))
            line[x + window] = cell
            middle[y, x] = cell if abs(cell - here) > limit else here
            most[y, x] = limit
    total = np.zeros((rows, stride), np.float32)
    count = np.zeros((rows, stride), np.float32)
    _add_alike(padded, (middle, most), (total, count), window)
    means = np.empty(cells.shape, np.float32)
    for y in range(rows):
        for x in range(columns):
            # a cell like no other stays as it is
            alone = count[y, x] == 0.0
            means[y, x] = cells[y, x] if alone else total[y, x] / count[y, x]
    return means


@compiled
def _add_alike(
    padded: Levels, limits: tuple[Levels, Levels], sums: tuple[Levels, Levels], window: int
) -> None:
    stride = padded.shape[1]
    values = padded.reshape(padded.size)
    middle, most = limits[0].reshape(limits[0].size), limits[1].reshape(limits[1].size)
    total, count = sums[0].reshape(sums[0].size), sums[1].reshape(sums[1].size)
    for row in range(2 * window + 1):
        if window == 1:
            _add_three(values[row * stride :], middle, most, (total, count))
        else:
            _add_five(values[row * stride :], middle, most, (total, count))


@compiled
def _add_five(values: Levels, middle: Levels, most: Levels, sums: tuple[Levels, Levels]) -> None:
    """Add those of five values beside each other that are alike; a fixed number is unrolled."""
    total, count = sums
    for x in range(middle.shape[0]):
        here, limit = middle[x], most[x]
        added, counted = total[x], count[x]
        for off in range(5):
            alike = abs(values[x + off] - here) <= limit
            added += values[x + off] if alike else np.float32(0.0)
            counted += np.float32(1.0) if alike else np.float32(0.0)
        total[x], count[x] = added, counted


@compiled
def _add_three(values: Levels, middle: Levels, most: Levels, sums: tuple[Levels, Levels]) -> None:
    """Do the same with three."""
    total, count = sums
    for x in range(middle.shape[0]):
        here, limit = middle[x], most[x]
        added, counted = total[x], count[x]
        for off in range(3):
            alike = abs(values[x + off] - here) <= limit
            added += values[x + off] if alike else np.float32(0.0)
            counted += np.float32(1.0) if alike else np.float32(0.0)
        total[x], count[x] = added, counted
