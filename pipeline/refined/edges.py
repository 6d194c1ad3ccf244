"""Where two regions meet: each cell goes to the one whose level is nearest to its own.

The line of steepest change lies somewhere within a blurred edge; of a cell across the edge, the
level says which side has the larger part. Arrays are (row, column), in cells of a lattice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

from .lattice import Levels, Numbers

AROUND = 2
"""Cells to each side in which a region's level is measured."""


@compiled
def settle_edges(labels: NDArray[np.uint8], levels: Levels) -> NDArray[np.uint8]:
    """Give each cell beside another region to that one of the two that it is more like.

    Parameters
    ----------
    labels : ndarray, uint8, (rows, columns)
        0 outside the particle.
    levels : ndarray, float32, (rows, columns)

    Returns
    -------
    ndarray, uint8, (rows, columns)
    """
    rows, columns = labels.shape
    stride = columns + 2 * AROUND
    framed, around = _framed(labels).ravel(), _framed(levels).ravel()
    kinds = _kinds(framed, stride)
    settled = framed.copy()
    sums = np.zeros(int(kinds.max()) + 1, np.float64)
    counts = np.zeros(sums.size, np.int32)
    for cell in range(kinds.size):
        if kinds[cell] % 2 == 1:
            _add_near(kinds, around, (cell, stride), (sums, counts))
            settled[cell] = _most_alike(framed, around, (cell, stride), (sums, counts))
    inside = settled.reshape(rows + 2 * AROUND, stride)
    return inside[AROUND : AROUND + rows, AROUND : AROUND + columns].copy()


@compiled
def smooth_edges(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give each cell the middle one of the labels of the 3 x 3 around it: a box cannot follow more.

    Parameters
    ----------
    labels : ndarray, uint8, (rows, columns)
        0 outside the particle, where nothing changes; a cell in it does not become 0.

    Returns
    -------
    ndarray, uint8, (rows, columns)
    """
    rows, columns = labels.shape
    lowest, middle, highest = _sorted_down(_widened(labels).ravel(), columns + 2)
    medians = _medians(lowest, middle, highest).reshape(rows, columns + 2)
    smoothed = np.empty(labels.shape, np.uint8)
    for y in range(rows):
        for x in range(columns):
            counts = (labels[y, x] > 0) & (medians[y, x] > 0)
            smoothed[y, x] = medians[y, x] if counts else labels[y, x]
    return smoothed


@compiled
def _framed(cells: NDArray[Any]) -> NDArray[Any]:
    """Put `AROUND` cells of nothing around a lattice."""
    rows, columns = cells.shape
    framed = np.zeros((rows + 2 * AROUND, columns + 2 * AROUND), cells.dtype)
    for y in range(rows):
        for x in range(columns):
            framed[y + AROUND, x + AROUND] = cells[y, x]
    return framed


@compiled
def _kinds(framed: NDArray[np.uint8], stride: int) -> NDArray[np.uint16]:
    """Give each cell twice its label, and 1 more if it is beside another region."""
    kinds = np.zeros(framed.size, np.uint16)
    above, left, line = framed, framed[stride - 1 :], framed[stride:]
    right, below, inner = framed[stride + 1 :], framed[2 * stride :], kinds[stride:]
    for at in range(framed.size - 2 * stride):
        here = line[at]
        beside = (above[at] > 0) & (above[at] != here)
        beside |= (left[at] > 0) & (left[at] != here)
        beside |= (right[at] > 0) & (right[at] != here)
        beside |= (below[at] > 0) & (below[at] != here)
        inner[at] = np.uint16(2) * np.uint16(here) + np.uint16(beside & (here > 0))
    return kinds


@compiled
def _add_near(
    kinds: NDArray[np.uint16],
    levels: Levels,
    place: tuple[int, int],
    totals: tuple[Numbers, NDArray[np.int32]],
) -> None:
    """Add up the levels of each kind of cells near a cell, which does not count itself."""
    cell, stride = place
    sums, counts = totals
    for kind in range(sums.size):
        sums[kind], counts[kind] = 0.0, 0
    own = kinds[cell]
    # what is outside is not asked for
    kinds[cell] = 0
    for row in range(-AROUND, AROUND + 1):
        for near in range(cell + row * stride - AROUND, cell + row * stride + AROUND + 1):
            sums[kinds[near]] += levels[near]
            counts[kinds[near]] += 1
    kinds[cell] = own


@compiled
def _most_alike(
    framed: NDArray[np.uint8],
    levels: Levels,
    place: tuple[int, int],
    totals: tuple[Numbers, NDArray[np.int32]],
) -> int:
    """Choose the region whose level is nearest to a cell's: its own, or one beside it."""
    cell, stride = place
    own = int(framed[cell])
    chosen, nearest = own, abs(levels[cell] - _level_near(own, totals))
    for beside in (cell + stride, cell - stride, cell + 1, cell - 1):
        label = int(framed[beside])
        if label > 0 and label != own:
            off = abs(levels[cell] - _level_near(label, totals))
            if off < nearest:
                chosen, nearest = label, off
    return chosen


@compiled
def _level_near(label: int, totals: tuple[Numbers, NDArray[np.int32]]) -> float:
    """Average a region's cells near by: those away from its edge if there are any."""
    sums, counts = totals
    kind = 2 * label + int(counts[2 * label] == 0)
    return float(sums[kind] / counts[kind]) if counts[kind] > 0 else np.inf


@compiled
def _widened(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat the outermost cells beyond the border."""
    rows, columns = labels.shape
    wide = np.empty((rows + 2, columns + 2), np.uint8)
    for y in range(rows + 2):
        line = labels[min(max(y - 1, 0), rows - 1)]
        for x in range(columns):
            wide[y, x + 1] = line[x]
        wide[y, 0], wide[y, columns + 1] = line[0], line[columns - 1]
    return wide


@compiled
def _sorted_down(
    wide: NDArray[np.uint8], stride: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Sort each three cells that lie below each other."""
    size = wide.size - 2 * stride
    lowest = np.empty(size, np.uint8)
    middle = np.empty(size, np.uint8)
    highest = np.empty(size, np.uint8)
    line, below = wide[stride:], wide[2 * stride :]
    for at in range(size):
        less, more = min(wide[at], line[at]), max(wide[at], line[at])
        lowest[at] = min(less, below[at])
        middle[at] = max(less, min(more, below[at]))
        highest[at] = max(more, below[at])
    return lowest, middle, highest


@compiled
def _medians(
    lowest: NDArray[np.uint8], middle: NDArray[np.uint8], highest: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Find the middle one of each three sorted threes: the middle one of what may still be it."""
    medians = np.zeros(lowest.size, np.uint8)
    for at in range(lowest.size - 2):
        low = max(lowest[at], lowest[at + 1], lowest[at + 2])
        less, more = min(middle[at], middle[at + 1]), max(middle[at], middle[at + 1])
        even = max(less, min(more, middle[at + 2]))
        high = min(highest[at], highest[at + 1], highest[at + 2])
        medians[at] = max(min(low, even), min(max(low, even), high))
    return medians
