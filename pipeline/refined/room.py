"""Room for squares: what is looked up of a particle again and again while it is covered.

Arrays are [x, y], in cells of the particle's lattice, because y goes first. All are one cell wider
on each side than what they are of, and lie in memory column after column: a step down is 1, a step
aside the length of a column, and what is the same for all cells goes over all at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

from .lattice import Levels, Numbers

TAKEN = 255
"""Stands for a region where a square lies already, and all around the lattice."""

Room = tuple[NDArray[np.uint8], NDArray[np.int16], NDArray[np.int32], Numbers, Numbers]
"""Labels in a frame of `TAKEN`, which saves looking for ends; the largest square from each of these
cells on that is all of one region; and, over all that lies to the left and above, sums of each
region's cells (regions + 1 tables, or none), of levels, and of squared levels."""


@compiled
def find_room(
    labels: NDArray[np.uint8],
    levels: Levels,
    window: tuple[int, int, int, int],
    most: int,
    mixed: bool,
) -> Room:
    """Lay out what squares are looked for in.

    Parameters
    ----------
    labels : ndarray, uint8, (rows, columns)
        0 outside, regions from 1.
    levels : ndarray, float32, (rows, columns)
    window : (x, y, columns, rows)
        Where squares may lie; it holds all of the particle.
    most : int
        Largest side.
    mixed : bool
        Whether each region's cells are counted, for squares that hold more than one.
    """
    left, top, columns, rows = window
    free = np.full((columns + 2, rows + 2), TAKEN, np.uint8)
    sums = np.zeros((columns + 2, rows + 2), np.float64)
    squares = np.zeros((columns + 2, rows + 2), np.float64)
    for x in range(columns):
        first = 0.0
        second = 0.0
        for y in range(rows):
            label = labels[top + y, left + x]
            free[x + 1, y + 1] = label
            level = np.float64(levels[top + y, left + x]) if label > 0 else 0.0
            first += level
            second += level * level
            sums[x + 1, y + 1] = sums[x, y + 1] + first
            squares[x + 1, y + 1] = squares[x, y + 1] + second
    cells = np.zeros((int(labels.max()) + 1 if mixed else 0, columns + 2, rows + 2), np.int32)
    for region in range(cells.shape[0]):
        _count(free, region, cells[region])
    return free, _whole(free, most), cells, sums, squares


@compiled
def _count(free: NDArray[np.uint8], region: int, cells: NDArray[np.int32]) -> None:
    """Sum a region's cells over all that lies to the left and above."""
    columns, rows = free.shape[0] - 2, free.shape[1] - 2
    for x in range(columns):
        before, here, labels = cells[x], cells[x + 1], free[x + 1]
        so_far = np.int32(0)
        for y in range(1, rows + 1):
            so_far += np.int32(labels[y] == region)
            here[y] = before[y] + so_far


@compiled
def _whole(free: NDArray[np.uint8], most: int) -> NDArray[np.int16]:
    """Find the largest square from each cell on that is all of one region, up to `most`.

    Four squares that lie a step apart, each all of one region, make one that is larger by a cell.
    """
    stride = free.shape[1]
    count = free.size - stride - 1
    labels = free.reshape(free.size)
    sides = np.zeros(free.shape, np.int16)
    side = sides.reshape(free.size)
    this = np.zeros(free.size, np.uint8)
    larger = np.zeros(free.size, np.uint8)
    below, aside, across = labels[1:], labels[stride:], labels[stride + 1 :]
    for at in range(count):
        here = labels[at]
        inside = np.uint8((here != 0) & (here != TAKEN))
        this[at] = inside
        side[at] = inside
        larger[at] = inside & (here == below[at]) & (here == aside[at]) & (here == across[at])
    for _ in range(2, most + 1):
        this, larger = larger, this
        if not this.any():
            break
        for at in range(count):
            side[at] += this[at]
        _grow(this, stride, larger)
    return sides


@compiled
def _grow(this: NDArray[np.uint8], stride: int, larger: NDArray[np.uint8]) -> None:
    """Mark where a square that is larger by a cell begins."""
    below, aside, across = this[1:], this[stride:], this[stride + 1 :]
    for at in range(this.size - stride - 1):
        larger[at] = this[at] & below[at] & aside[at] & across[at]
