"""Room for squares: how large one may be from each cell on.

Arrays are [x, y], in cells of the particle's lattice: they are looked at down each column.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

from .lattice import Levels, Numbers

Room = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int16]]
"""Sums of each region's cells, (regions + 1, columns + 1, rows + 1), over all that lies to the left
and above; cells where a square of two or more may begin, (N, 2), x and y; how large it may be."""


@compiled
def find_room(
    labels: NDArray[np.uint8], levels: Levels, most: int, shares: tuple[float, float, float]
) -> Room:
    """Find where squares may begin, and how large they may be for what varies within them.

    Parameters
    ----------
    labels : ndarray, uint8, (rows, columns)
        0 outside, regions from 1.
    levels : ndarray, float32, (rows, columns)
    most : int
        Largest side.
    shares : (outside, impurity, max_error)
        As in `Limits`; the impurity is not looked at.
    """
    cells, sums, squares = _tables(labels, levels)
    starts, even = _starts(_even((cells[0], sums, squares), most, shares))
    return cells, starts, even


@compiled
def _even(
    tables: tuple[NDArray[np.int32], Numbers, Numbers],
    most: int,
    shares: tuple[float, float, float],
) -> NDArray[np.int16]:
    """Find the largest square from each cell on that keeps within the error.

    What is within a square leaves no larger error, and holds no more cells outside, so that one
    step aside or down makes the square smaller by one at most.
    """
    outside, sums, squares = tables
    columns, rows = sums.shape[0] - 1, sums.shape[1] - 1
    most_outside = shares[0] * most * most
    max_error = shares[2]
    even = np.empty((columns, rows), np.int16)
    for x in range(columns):
        for y in range(rows):
            size = 1
            if y > 0:
                size = max(size, even[x, y - 1] - 1)
            if x > 0:
                size = max(size, even[x - 1, y] - 1)
                if y > 0:
                    size = max(size, even[x - 1, y - 1] - 1)
            last = min(most, rows - y, columns - x)
            while size < last:
                next_x, next_y = x + size + 1, y + size + 1
                left_out = (
                    outside[next_x, next_y]
                    - outside[x, next_y]
                    - outside[next_x, y]
                    + outside[x, y]
                )
                if left_out > most_outside:
                    break
                total = sums[next_x, next_y] - sums[x, next_y] - sums[next_x, y] + sums[x, y]
                square = (
                    squares[next_x, next_y]
                    - squares[x, next_y]
                    - squares[next_x, y]
                    + squares[x, y]
                )
                inside = (size + 1) * (size + 1) - left_out
                if inside > 0 and square * inside - total * total > max_error * inside:
                    break
                size += 1
            even[x, y] = size
    return even


@compiled
def _starts(even: NDArray[np.int16]) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    """List the cells where a square of two or more may begin, x and y, and how large it may be."""
    columns, rows = even.shape
    starts = np.empty((columns * rows, 2), np.int32)
    sizes = np.empty(columns * rows, np.int16)
    count = 0
    for x in range(columns):
        for y in range(rows):
            starts[count, 0], starts[count, 1] = x, y
            sizes[count] = even[x, y]
            count += int(even[x, y] > 1)
    return starts[:count], sizes[:count]


@compiled
def _tables(
    labels: NDArray[np.uint8], levels: Levels
) -> tuple[NDArray[np.int32], Numbers, Numbers]:
    """Sum over all that lies to the left and above: cells of each region; levels, squares."""
    rows, columns = labels.shape
    count = int(labels.max())
    cells = np.zeros((count + 1, columns + 1, rows + 1), np.int32)
    sums = np.zeros((columns + 1, rows + 1), np.float64)
    squares = np.zeros((columns + 1, rows + 1), np.float64)
    for x in range(columns):
        first = 0.0
        second = 0.0
        for y in range(rows):
            level = np.float64(levels[y, x]) if labels[y, x] > 0 else 0.0
            first += level
            second += level * level
            sums[x + 1, y + 1] = sums[x, y + 1] + first
            squares[x + 1, y + 1] = squares[x, y + 1] + second
        for region in range(count + 1):
            before, here = cells[region, x], cells[region, x + 1]
            so_far = np.int32(0)
            for y in range(rows):
                so_far += np.int32(labels[y, x] == region)
                here[y + 1] = before[y + 1] + so_far
    return cells, sums, squares
