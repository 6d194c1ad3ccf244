"""The gate's hot loops over the grid image. Whole numbers but for one ratio a gray level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled
from .histogram import gray_levels

LEVELS = 255.5
"""A span of so much reaches from level 0 to the middle of level 255."""


def two_classes(sums: NDArray[np.int32], bright: NDArray[np.uint8]) -> tuple[float, float]:
    """Split a picture into a bright and a dark class by Otsu's criterion, on 256 levels.

    Parameters
    ----------
    sums : ndarray, int32, (rows, columns)
        The picture; at most 2**23 different values.
    bright : ndarray, uint8, (rows, columns)
        Written to: 1 in the bright class, 0 in the dark one.

    Returns
    -------
    threshold, contrast : float
        In the picture's units: bright is above the threshold; the contrast is the mean of the
        bright class less that of the dark one. Both 0 for a flat picture.
    """
    lowest, span = _to_levels(sums, bright)
    if span == 0.0:
        return 0.0, 0.0
    threshold, gap = _otsu(gray_levels(bright))
    _part(bright, threshold)
    per_unit = LEVELS / span
    return lowest + (threshold + 1) / per_unit, gap / per_unit


@compiled
def _to_levels(sums: NDArray[np.int32], levels: NDArray[np.uint8]) -> tuple[float, float]:
    """Stretch a picture over 256 levels, or to 0 if it is flat; return its minimum and span."""
    rows, columns = sums.shape
    lowest = np.float64(sums.min())
    span = np.float64(sums.max()) - lowest
    per_unit = LEVELS / span if span > 0.0 else 0.0
    for row in range(rows):
        for column in range(columns):
            levels[row, column] = np.uint8((sums[row, column] - lowest) * per_unit)
    return lowest, span


@compiled
def _part(levels: NDArray[np.uint8], threshold: int) -> None:
    """Replace each level by whether it is above the threshold."""
    for row in range(levels.shape[0]):
        for column in range(levels.shape[1]):
            levels[row, column] = levels[row, column] > threshold


@compiled
def _otsu(counts: NDArray[np.int64]) -> tuple[int, float]:
    """Find the last level of the dark class, and how far apart the classes' means are."""
    total, weight = np.int64(0), np.int64(0)
    for level in range(256):
        total += counts[level]
        weight += counts[level] * level
    below, below_weight = np.int64(0), np.int64(0)
    best, threshold, gap = -1.0, 0, 0.0
    for level in range(255):
        below += counts[level]
        below_weight += counts[level] * level
        above = total - below
        if below == 0 or above == 0:
            continue
        means_apart = (weight - below_weight) / above - below_weight / below
        between = below * above * means_apart * means_apart
        if between > best:
            best, threshold, gap = between, level, means_apart
    return threshold, gap


@compiled
def step_between(sums: NDArray[np.int32], classes: NDArray[np.uint8], apart: int) -> float:
    """Average the difference of cells of different classes, `apart` along a row or a column."""
    rows = sums.shape[0]
    total, count = np.int64(0), np.int64(0)
    for row in range(rows):
        line, side = sums[row], classes[row]
        steps, pairs = _steps(line[:-apart], line[apart:], side[:-apart], side[apart:])
        total += steps
        count += pairs
    for row in range(rows - apart):
        below = row + apart
        steps, pairs = _steps(sums[row], sums[below], classes[row], classes[below])
        total += steps
        count += pairs
    return total / count if count > 0 else 0.0


@compiled
def _steps(
    line: NDArray[np.int32],
    other: NDArray[np.int32],
    side: NDArray[np.uint8],
    other_side: NDArray[np.uint8],
) -> tuple[int, int]:
    """Add up the steps where the sides differ, and count them; no branch, so that it vectorises."""
    total, count = np.int64(0), np.int64(0)
    for at in range(line.shape[0]):
        differs = side[at] != other_side[at]
        step = abs(line[at] - other[at])
        total += step if differs else 0
        count += differs
    return int(total), int(count)


@compiled
def largest_square(classes: NDArray[np.uint8]) -> int:
    """Find the side of the largest square, in cells, that lies wholly in one class."""
    rows, columns = classes.shape
    sides = np.ones(columns, np.int64)  # of the squares that end in the row above
    largest = np.int64(1)
    for row in range(1, rows):
        corner = sides[0]
        sides[0] = 1
        for column in range(1, columns):
            above = sides[column]
            mine = classes[row, column]
            if (
                mine == classes[row - 1, column]
                and mine == classes[row, column - 1]
                and mine == classes[row - 1, column - 1]
            ):
                sides[column] = 1 + min(above, corner, sides[column - 1])
                largest = max(largest, sides[column])
            else:
                sides[column] = 1
            corner = above
    return int(largest)


@compiled
def largest_part(mask: NDArray[np.uint8], counted: NDArray[np.uint8]) -> tuple[int, int]:
    """Find the connected part of a mask (8 neighbours) in which most cells count.

    Parameters
    ----------
    mask : ndarray, uint8, (rows, columns)
        Not 0 where the parts are.
    counted : ndarray, uint8, (rows, columns)
        Not 0 where a cell counts: a part may hold cells together that do not.

    Returns
    -------
    cells, counting : int
        Cells in that part, and how many of them count. Both 0 if none counts.
    """
    rows, columns = mask.shape
    most_runs = rows * ((columns + 1) // 2)
    ends = np.empty((most_runs, 2), np.int32)  # half-open
    parents = np.empty(most_runs, np.int32)
    cells = np.zeros(most_runs, np.int64)
    counting = np.zeros(most_runs, np.int64)
    above, used = 0, 0
    for row in range(rows):
        first = used
        used = _add_runs(mask[row], ends, used)
        for run in range(first, used):
            start, end = ends[run]
            parents[run] = run
            cells[run] = end - start
            counting[run] = _count(counted[row, start:end])
            while above < first and ends[above, 1] < start:
                above += 1
            touching = above
            while touching < first and ends[touching, 0] <= end:
                _join(parents, run, touching)
                touching += 1
        above = first
    for run in range(used - 1, -1, -1):  # a root comes before what hangs on it
        root = parents[run]
        if root != run:
            cells[root] += cells[run]
            counting[root] += counting[run]
            counting[run] = 0
    if not counting[:used].any():
        return 0, 0
    largest = np.argmax(counting[:used])
    return int(cells[largest]), int(counting[largest])


@compiled
def _add_runs(line: NDArray[np.uint8], ends: NDArray[np.int32], used: int) -> int:
    """Append the runs of a line that are not 0; return how many there are now."""
    before = False
    for column in range(line.shape[0]):
        inside = line[column] != 0
        if inside != before:
            if inside:
                ends[used, 0] = column
            else:
                ends[used, 1] = column
                used += 1
            before = inside
    if before:
        ends[used, 1] = line.shape[0]
        used += 1
    return used


@compiled
def _count(line: NDArray[np.uint8]) -> int:
    """Count what is not 0."""
    count = np.int64(0)
    for at in range(line.shape[0]):
        count += line[at] != 0
    return int(count)


@compiled
def _join(parents: NDArray[np.int32], one: int, other: int) -> None:
    """Make one part of two; the smaller root becomes the root of both."""
    while parents[one] != one:
        one = parents[one]
    while parents[other] != other:
        other = parents[other]
    if one < other:
        parents[other] = one
    else:
        parents[one] = other
