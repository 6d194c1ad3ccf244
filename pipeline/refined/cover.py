"""Squares over a particle's regions: the largest first, none across an edge.

Arrays are (row, column), in cells of the particle's lattice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

from .lattice import Levels


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a box may be.

    Parameters
    ----------
    least, most : int
        Side, cells.
    outside : float
        Share outside the particle.
    impurity : float
        Share of what is inside that lies in other regions.
    max_error : float
        Sum over its cells of the squared difference from its mean.
    slivers : float
        Share of the particle that may stay without boxes.
    """

    least: int
    most: int
    outside: float
    impurity: float
    max_error: float
    slivers: float


def cover(
    labels: NDArray[np.uint8], levels: Levels, limits: Limits
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Cover the regions with squares that do not overlap.

    Sizes go down from the largest; of one size the walk is down each column, columns left to
    right. A square is taken if it keeps the limits. In the end those that hold the fewest cells
    are left out, as many as `slivers` allows.

    Parameters
    ----------
    labels : ndarray, uint8, (rows, columns)
        0 outside, regions from 1.
    levels : ndarray, float64, (rows, columns)
    limits : Limits

    Returns
    -------
    boxes : ndarray, int32, (N, 3)
        x, y, size.
    regions : ndarray, uint8, (N,)
        The commonest region of each.
    """
    boxes, regions, cells = _largest_first(
        labels,
        levels,
        (limits.least, limits.most),
        (limits.outside, limits.impurity, limits.max_error),
    )
    order = np.argsort(cells, kind="stable")
    total = int(np.count_nonzero(labels))
    missing = total - int(cells.sum())
    spare = limits.slivers * total - missing
    drop = int(np.searchsorted(np.cumsum(cells[order]), spare, side="right"))
    keep = np.sort(order[drop:])
    return boxes[keep], regions[keep]


@compiled
def _largest_first(
    labels: NDArray[np.uint8],
    levels: Levels,
    sides: tuple[int, int],
    shares: tuple[float, float, float],
) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.int64]]:
    rows, columns = labels.shape
    least, most = sides
    cells, sums = _tables(labels, levels)
    taken = np.zeros((rows, columns), np.bool_)
    boxes = np.empty((rows * columns, 3), np.int32)
    regions = np.empty(rows * columns, np.uint8)
    held = np.empty(rows * columns, np.int64)
    found = 0
    for size in range(min(most, rows, columns), least - 1, -1):
        for x in range(columns - size + 1):
            for y in range(rows - size + 1):
                last_y, last_x = y + size - 1, x + size - 1
                # a taken square is not smaller, so it covers a corner or nothing of this one
                if taken[y, x] or taken[last_y, x] or taken[y, last_x] or taken[last_y, last_x]:
                    continue
                inside, region = _fitting(cells, sums, (x, y, size), shares)
                if inside == 0:
                    continue
                boxes[found, 0] = x
                boxes[found, 1] = y
                boxes[found, 2] = size
                regions[found] = region
                held[found] = inside
                found += 1
                taken[y : y + size, x : x + size] = True
    return boxes[:found].copy(), regions[:found].copy(), held[:found].copy()


@compiled
def _tables(labels: NDArray[np.uint8], levels: Levels) -> tuple[NDArray[np.int32], Levels]:
    """Sum over all that lies above and to the left: cells of each region; levels, squares."""
    rows, columns = labels.shape
    count = int(labels.max())
    cells = np.zeros((rows + 1, columns + 1, count + 1), np.int32)
    sums = np.zeros((rows + 1, columns + 1, 2), np.float64)
    line = np.zeros(count + 1, np.int32)
    for y in range(rows):
        line[:] = 0
        first = 0.0
        second = 0.0
        for x in range(columns):
            label = labels[y, x]
            line[label] += 1
            if label > 0:
                first += levels[y, x]
                second += levels[y, x] * levels[y, x]
            for region in range(count + 1):
                cells[y + 1, x + 1, region] = cells[y, x + 1, region] + line[region]
            sums[y + 1, x + 1, 0] = sums[y, x + 1, 0] + first
            sums[y + 1, x + 1, 1] = sums[y, x + 1, 1] + second
    return cells, sums


@compiled
def _fitting(
    cells: NDArray[np.int32],
    sums: Levels,
    square: tuple[int, int, int],
    shares: tuple[float, float, float],
) -> tuple[int, int]:
    """Count the cells inside the particle, and find their commonest region; 0 if no box fits."""
    x, y, size = square
    outside, impurity, max_error = shares
    area = size * size
    inside = area - int(_over(cells, x, y, size, 0))
    if inside == 0 or inside < (1.0 - outside) * area:
        return 0, 0
    best = 0
    commonest = 0
    for region in range(1, cells.shape[2]):
        here = int(_over(cells, x, y, size, region))
        if here > best:
            best = here
            commonest = region
    if best < (1.0 - impurity) * inside:
        return 0, 0
    total = _over(sums, x, y, size, 0)
    if _over(sums, x, y, size, 1) - total * total / inside > max_error:
        return 0, 0
    return inside, commonest


@compiled
def _over(table: NDArray[Any], x: int, y: int, size: int, what: int) -> float:
    """Sum over a square, out of the table of sums."""
    return float(
        table[y + size, x + size, what]
        - table[y, x + size, what]
        - table[y + size, x, what]
        + table[y, x, what]
    )
