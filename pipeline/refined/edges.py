"""Where two regions meet: each cell goes to the one whose level is nearest to its own.

The line of steepest change lies somewhere within a blurred edge; of a cell across the edge, the
level says which side has the larger part. Arrays are (row, column), in cells of a lattice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

from .bodies import Mask
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
    between = _between(labels)
    settled = labels.copy()
    near = np.empty(256, np.float64)
    sums = np.empty((2, 256), np.float64)
    counts = np.empty((2, 256), np.int32)
    for y in range(rows):
        for x in range(columns):
            if not between[y, x]:
                continue
            _levels_near((labels, levels, between), (y, x), (sums, counts), near)
            nearest = np.inf
            for turn in range(5):
                row = y + int(turn == 1) - int(turn == 2)
                column = x + int(turn == 3) - int(turn == 4)
                if not (0 <= row < rows and 0 <= column < columns) or labels[row, column] == 0:
                    continue
                off = abs(levels[y, x] - near[labels[row, column]])
                if off < nearest:
                    nearest = off
                    settled[y, x] = labels[row, column]
    return settled


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
    smoothed = labels.copy()
    counts = np.zeros(256, np.int32)
    for y in range(rows):
        for x in range(columns):
            here = labels[y, x]
            if here == 0:
                continue
            alike = True
            highest = here
            for row in (max(y - 1, 0), y, min(y + 1, rows - 1)):
                for column in (max(x - 1, 0), x, min(x + 1, columns - 1)):
                    counts[labels[row, column]] += 1
                    alike &= labels[row, column] == here
                    highest = max(highest, labels[row, column])
            if alike:
                counts[here] = 0
                continue
            middle = _middle(counts, highest)
            smoothed[y, x] = middle if middle > 0 else here
    return smoothed


@compiled
def _middle(counts: NDArray[np.int32], highest: int) -> int:
    """Return the middle one of nine labels, of which these are the counts, and forget them."""
    middle = -1
    below = 0
    for label in range(highest + 1):
        below += counts[label]
        counts[label] = 0
        if middle < 0 and below > 4:
            middle = label
    return middle


@compiled
def _between(labels: NDArray[np.uint8]) -> Mask:
    """Mark cells beside another region."""
    rows, columns = labels.shape
    between = np.zeros(labels.shape, np.bool_)
    for y in range(rows):
        for x in range(columns):
            for row, column in ((y, x + 1), (y + 1, x)):
                if row == rows or column == columns:
                    continue
                here, there = labels[y, x], labels[row, column]
                if here > 0 and there > 0 and here != there:
                    between[y, x] = between[row, column] = True
    return between


@compiled
def _levels_near(
    cells: tuple[NDArray[np.uint8], Levels, Mask],
    place: tuple[int, int],
    totals: tuple[Numbers, NDArray[np.int32]],
    near: Numbers,
) -> None:
    """Average each region's cells near y, x: those away from its edge if there are any."""
    labels, levels, between = cells
    y, x = place
    sums, counts = totals
    top, bottom = max(y - AROUND, 0), min(y + AROUND + 1, labels.shape[0])
    left, right = max(x - AROUND, 0), min(x + AROUND + 1, labels.shape[1])
    for row in range(top, bottom):
        for column in range(left, right):
            label = labels[row, column]
            sums[0, label], sums[1, label] = 0.0, 0.0
            counts[0, label], counts[1, label] = 0, 0
    for row in range(top, bottom):
        for column in range(left, right):
            if row != y or column != x:
                edge = int(between[row, column])
                sums[edge, labels[row, column]] += levels[row, column]
                counts[edge, labels[row, column]] += 1
    for row in range(max(y - 1, 0), min(y + 2, labels.shape[0])):
        for column in range(max(x - 1, 0), min(x + 2, labels.shape[1])):
            label = labels[row, column]
            edge = int(counts[0, label] == 0)
            known = counts[edge, label] > 0
            near[label] = sums[edge, label] / counts[edge, label] if known else np.inf
