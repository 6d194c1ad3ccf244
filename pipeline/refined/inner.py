"""Regions that lie within another: they begin where brightness begins to change.

In projection a core shows through its shell. At its edge it is thin, so brightness only begins to
change there, and changes most further in: a line where it changes most cuts off the core's edge.
Arrays are (row, column), in cells of a particle's lattice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

from .lattice import Levels

ROUNDS = 4
"""Cells by which a region grows at most."""

FEWEST = 20
"""Cells of a region that grows."""

OPEN = 0.01
"""Share of a region's cells at the particle's edge, from which it lies within no other one."""

FAR = 127


def grow_inner(
    labels: NDArray[np.uint8], steepness: Levels, foot: float
) -> tuple[NDArray[np.uint8], bool]:
    """Grow regions that lie within others up to the foot of the slope around them.

    Parameters
    ----------
    labels : ndarray, uint8, (rows, columns)
        0 outside the particle.
    steepness : ndarray, float32, (rows, columns)
        Change of brightness a cell.
    foot : float
        Share of the steepest change at which the slope ends. The first cell counts anyway.

    Returns
    -------
    labels : ndarray, uint8, (rows, columns)
    nested : bool
        Whether a region lies within another one.
    """
    if labels.max() <= 1:
        return labels, False
    parts, count = _parts(labels)
    depth = _depths(parts, count)
    if depth.max() <= 1:
        return labels, False
    return _grown(labels, parts, depth, steepness, foot), True


@compiled
def _first(parents: NDArray[np.int32], cell: int) -> int:
    while parents[cell] != cell:
        parents[cell] = parents[parents[cell]]
        cell = parents[cell]
    return cell


@compiled
def _parts(labels: NDArray[np.uint8]) -> tuple[NDArray[np.int32], int]:
    """Give the connected parts of the regions numbers from 1; 0 outside."""
    rows, columns = labels.shape
    parents = np.arange(rows * columns).astype(np.int32)
    for y in range(rows):
        for x in range(columns):
            label = labels[y, x]
            if y > 0 and labels[y - 1, x] == label:
                parents[y * columns + x] = _first(parents, (y - 1) * columns + x)
            if x > 0 and labels[y, x - 1] == label:
                here = _first(parents, y * columns + x)
                parents[here] = _first(parents, y * columns + x - 1)
    numbers = np.zeros(rows * columns, np.int32)
    parts = np.zeros((rows, columns), np.int32)
    count = 0
    for y in range(rows):
        for x in range(columns):
            if labels[y, x] > 0:
                first = _first(parents, y * columns + x)
                if numbers[first] == 0:
                    count += 1
                    numbers[first] = count
                parts[y, x] = numbers[first]
    return parts, count


@compiled
def _depths(parts: NDArray[np.int32], count: int) -> NDArray[np.int8]:
    """Count how many parts lie between each part and the outside; 0 if it is too small to grow."""
    rows, columns = parts.shape
    area, edge = _areas(parts, count)
    depth = np.where(edge > OPEN * area, 1, FAR).astype(np.int8)
    depth[0] = 0
    changed = True
    while changed:
        changed = False
        for y in range(1, rows):
            for x in range(1, columns):
                changed |= _pass_on(depth, parts[y, x], parts[y - 1, x])
                changed |= _pass_on(depth, parts[y, x], parts[y, x - 1])
    depth[(area < FEWEST) | (depth == FAR)] = 0
    return depth


@compiled
def _pass_on(depth: NDArray[np.int8], one: int, other: int) -> bool:
    """Let a part be one deeper than its neighbour at most; say whether that was new."""
    if one == 0 or other == 0:
        return False
    if depth[one] > depth[other] + 1:
        depth[one] = depth[other] + 1
        return True
    if depth[other] > depth[one] + 1:
        depth[other] = depth[one] + 1
        return True
    return False


@compiled
def _areas(parts: NDArray[np.int32], count: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Count the cells of each part, and those of them at the particle's edge."""
    rows, columns = parts.shape
    area = np.zeros(count + 1, np.int32)
    edge = np.zeros(count + 1, np.int32)
    for y in range(rows):
        for x in range(columns):
            part = parts[y, x]
            area[part] += 1
            above, below = parts[max(y - 1, 0), x], parts[min(y + 1, rows - 1), x]
            left, right = parts[y, max(x - 1, 0)], parts[y, min(x + 1, columns - 1)]
            if min(above, below, left, right) == 0:
                edge[part] += 1
    return area, edge


@compiled
def _grown(
    labels: NDArray[np.uint8],
    parts: NDArray[np.int32],
    depth: NDArray[np.int8],
    steepness: Levels,
    foot: float,
) -> NDArray[np.uint8]:
    """Give cells to a deeper part beside them while they are as steep as the foot asks."""
    rows, columns = labels.shape
    highest = steepness.copy()
    for step in range(ROUNDS):
        before, had, steepest = labels, parts, highest
        labels, parts, highest = before.copy(), had.copy(), steepest.copy()
        share = foot if step > 0 else 0.0
        for y in range(1, rows - 1):
            for x in range(1, columns - 1):
                if had[y, x] == 0:
                    continue
                best = -1.0
                for turn in range(4):
                    row = y + int(turn == 0) - int(turn == 1)
                    column = x + int(turn == 2) - int(turn == 3)
                    if depth[had[row, column]] <= depth[had[y, x]]:
                        continue
                    top = max(steepest[row, column], steepness[y, x])
                    if top > best and steepness[y, x] >= share * top:
                        best = top
                        labels[y, x] = before[row, column]
                        parts[y, x] = had[row, column]
                        highest[y, x] = top
    return labels
