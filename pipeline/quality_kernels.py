"""The gate's hot loops over the grid image. Whole numbers but for one ratio a gray level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled


@compiled
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
    rows, columns = sums.shape
    lowest = np.float64(sums.min())
    span = np.float64(sums.max()) - lowest
    if span == 0.0:
        bright[:] = 0
        return 0.0, 0.0
    per_unit = 255.5 / span
    counts = np.zeros(256, np.int64)
    for row in range(rows):
        for column in range(columns):
            bright[row, column] = np.uint8((sums[row, column] - lowest) * per_unit)
        for column in range(columns):
            counts[bright[row, column]] += 1
    threshold, gap = _otsu(counts)
    for row in range(rows):
        for column in range(columns):
            bright[row, column] = bright[row, column] > threshold
    return lowest + (threshold + 1) / per_unit, gap / per_unit


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
    rows, columns = sums.shape
    total, count = np.int64(0), np.int64(0)
    for row in range(rows):
        for column in range(columns - apart):
            if classes[row, column] != classes[row, column + apart]:
                total += abs(sums[row, column] - sums[row, column + apart])
                count += 1
    for row in range(rows - apart):
        for column in range(columns):
            if classes[row, column] != classes[row + apart, column]:
                total += abs(sums[row, column] - sums[row + apart, column])
                count += 1
    return total / count if count > 0 else 0.0


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
    framed = np.zeros((rows + 1, columns + 2), np.int32)  # labels, with a frame of 0
    parents = np.zeros(rows * columns + 1, np.int32)
    used = 0
    for row in range(rows):
        above, line = framed[row], framed[row + 1]
        for column in range(columns):
            if mask[row, column] == 0:
                continue
            # neighbours that touch each other bear one part's labels already
            label, other = above[column + 1], np.int32(0)
            if label == 0:
                label, other = above[column + 2], max(line[column], above[column])
                if label == 0:
                    label, other = other, np.int32(0)
            if label == 0:
                used += 1
                label = np.int32(used)
                parents[used] = label
            elif other != 0:
                _join(parents, int(label), int(other))
            line[column + 1] = label
    return _most_cells(framed, counted, parents, used)


@compiled
def _most_cells(
    framed: NDArray[np.int32], counted: NDArray[np.uint8], parents: NDArray[np.int32], used: int
) -> tuple[int, int]:
    cells = np.zeros(used + 1, np.int64)
    counting = np.zeros(used + 1, np.int64)
    rows, columns = counted.shape
    for row in range(rows):
        for column in range(columns):
            label = framed[row + 1, column + 1]
            cells[label] += 1
            counting[label] += counted[row, column] != 0
    cells[0], counting[0] = 0, 0  # the background
    for label in range(used, 0, -1):  # a root is smaller than what hangs on it
        root = parents[label]
        if root != label:
            cells[root] += cells[label]
            counting[root] += counting[label]
            cells[label], counting[label] = 0, 0
    largest = np.argmax(counting)
    if counting[largest] == 0:
        return 0, 0
    return int(cells[largest]), int(counting[largest])


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
