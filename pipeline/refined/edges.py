"""Where two regions meet: each cell goes to the one whose level is nearest to its own.

The line of steepest change lies somewhere within a blurred edge; of a cell across the edge, the
level says which side has the larger part. Arrays are (row, column), in cells of a lattice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

from .bodies import Mask
from .lattice import Levels

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
    for y in range(rows):
        for x in range(columns):
            if not between[y, x]:
                continue
            nearest = np.inf
            for turn in range(5):
                row = y + int(turn == 1) - int(turn == 2)
                column = x + int(turn == 3) - int(turn == 4)
                if not (0 <= row < rows and 0 <= column < columns) or labels[row, column] == 0:
                    continue
                label = labels[row, column]
                off = abs(levels[y, x] - _level_near(labels, levels, between, (y, x, label)))
                if off < nearest:
                    nearest = off
                    settled[y, x] = label
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
    around = np.empty(9, np.uint8)
    for y in range(rows):
        for x in range(columns):
            here = labels[y, x]
            if here == 0:
                continue
            alike = True
            at = 0
            for row in (max(y - 1, 0), y, min(y + 1, rows - 1)):
                for column in (max(x - 1, 0), x, min(x + 1, columns - 1)):
                    around[at] = labels[row, column]
                    alike &= around[at] == here
                    at += 1
            if not alike:
                middle = _middle(around)
                smoothed[y, x] = middle if middle > 0 else here
    return smoothed


@compiled
def _middle(values: NDArray[np.uint8]) -> np.uint8:
    """Return the middle one of an odd number of values."""
    half = values.size // 2
    middle: np.uint8 = values[0]
    for at in range(values.size):
        below = 0
        alike = 0
        for other in range(values.size):
            below += values[other] < values[at]
            alike += values[other] == values[at]
        if below <= half < below + alike:
            middle = values[at]
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
def _level_near(
    labels: NDArray[np.uint8], levels: Levels, between: Mask, place: tuple[int, int, int]
) -> float:
    """Average a region's cells near y, x: those away from its edge if there are any."""
    y, x, label = place
    inner = 0.0
    outer = 0.0
    inside = 0
    others = 0
    for row in range(max(y - AROUND, 0), min(y + AROUND + 1, labels.shape[0])):
        for column in range(max(x - AROUND, 0), min(x + AROUND + 1, labels.shape[1])):
            if labels[row, column] != label or (row == y and column == x):
                continue
            if between[row, column]:
                outer += levels[row, column]
                others += 1
            else:
                inner += levels[row, column]
                inside += 1
    if inside > 0:
        return inner / inside
    return outer / others if others > 0 else np.inf
