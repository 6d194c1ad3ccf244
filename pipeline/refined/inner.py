"""Regions that lie within another: they begin where brightness begins to change.

In projection a core shows through its shell. At its edge it is thin, so brightness only begins to
change there, and changes most further in: a line where it changes most cuts off the core's edge.
Arrays are (row, column), in cells of a particle's lattice.
"""

from __future__ import annotations

from typing import Any

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

Cells = NDArray[np.int32]
"""Places in a lattice whose rows lie behind each other."""

Parts = NDArray[np.int32]
"""The part of each cell, or what each part has."""


@compiled
def grow_inner(
    labels: NDArray[np.uint8], steepness: Levels, foot: float
) -> tuple[NDArray[np.uint8], bool]:
    """Grow regions that lie within others up to the foot of the slope around them.

    Parameters
    ----------
    labels : ndarray, uint8, (rows, columns)
        0 outside the particle.
    steepness : ndarray, float32, (rows, columns)
        Change of brightness a cell; finite, 0 or more.
    foot : float
        Share of the steepest change at which the slope ends. The first cell counts anyway.

    Returns
    -------
    labels : ndarray, uint8, (rows, columns)
    nested : bool
        Whether a region lies within another one.
    """
    ones, others = _meetings(labels)
    if ones.size == 0:
        return labels.copy(), False
    parts, parents, areas = _parts(labels)
    flat = parts.ravel()
    depth = _depths(areas, parents, (flat[ones], flat[others]))
    if depth.max() <= 1:
        return labels.copy(), False
    frontier = _shallower(flat, depth, (ones, others))
    return _grown(labels, (parts, depth), frontier, steepness, foot), True


@compiled
def _meetings(labels: NDArray[np.uint8]) -> tuple[Cells, Cells]:
    """List where two regions meet: a cell, and the one above or left of it.

    What meets along the lattice's first row or column only does not count.
    """
    rows, columns = labels.shape
    ones = np.empty(2 * labels.size, np.int32)
    others = np.empty(2 * labels.size, np.int32)
    count = 0
    for y in range(1, rows):
        above, line = labels[y - 1], labels[y]
        for x in range(1, columns):
            here = line[x]
            if here == 0 or (here == above[x] and here == line[x - 1]):
                continue
            for label, back in ((above[x], columns), (line[x - 1], 1)):
                if label > 0 and label != here:
                    ones[count] = y * columns + x
                    others[count] = y * columns + x - back
                    count += 1
    return ones[:count], others[:count]


@compiled
def _parts(labels: NDArray[np.uint8]) -> tuple[Parts, Parts, tuple[Parts, Parts]]:
    """Give connected cells of a region numbers from 1, 0 outside; and each number its part.

    One part may have several numbers; the lowest of them stands for it. With it go the cells of
    each part, and those of them at the particle's edge.
    """
    rows, columns = labels.shape
    parts = np.zeros((rows, columns), np.int32)
    parents = np.empty(labels.size + 1, np.int32)
    area = np.empty(labels.size + 1, np.int32)
    edge = np.empty(labels.size + 1, np.int32)
    parents[0], area[0], edge[0] = 0, 0, 0
    count = 0
    for y in range(rows):
        above, line, below = labels[max(y - 1, 0)], labels[y], labels[min(y + 1, rows - 1)]
        end = 0
        while end < columns:
            start, end = end, _run_end(line, end)
            if line[start] == 0:
                continue
            part = (
                _part_above(parts[y - 1], above, (line[start], start, end), parents) if y > 0 else 0
            )
            if part == 0:
                count += 1
                part = count
                parents[part], area[part], edge[part] = part, 0, 0
            parts[y, start:end] = part
            area[part] += end - start
            edge[part] += _at_edge((above, line, below), start, end)
    for part in range(1, count + 1):
        parents[part] = parents[parents[part]]
        if parents[part] != part:
            area[parents[part]] += area[part]
            edge[parents[part]] += edge[part]
    return parts, parents[: count + 1], (area[: count + 1], edge[: count + 1])


@compiled
def _run_end(line: NDArray[np.uint8], start: int) -> int:
    """Say where another label begins."""
    end = start + 1
    while end < line.size and line[end] == line[start]:
        end += 1
    return end


@compiled
def _part_above(
    parts: Parts, above: NDArray[np.uint8], run: tuple[int, int, int], parents: Parts
) -> int:
    """Find the part that a run of cells belongs to; 0 if it touches none of its label above."""
    label, start, end = run
    part = 0
    for x in range(start, end):
        if above[x] == label and parts[x] != part:
            if part > 0:
                _unite(parents, part, parts[x])
            part = parts[x]
    return part


@compiled
def _at_edge(
    lines: tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]], start: int, end: int
) -> int:
    """Count the cells of a run that have the outside beside them."""
    above, line, below = lines
    count = 0
    for x in range(start, end):
        beside = (above[x] == 0) | (below[x] == 0)
        beside |= (x == start) & (line[max(x - 1, 0)] == 0)
        beside |= (x == end - 1) & (line[min(x + 1, line.size - 1)] == 0)
        count += int(beside)
    return count


@compiled
def _unite(parents: Parts, one: int, other: int) -> None:
    """Let two numbers be of the same part."""
    while parents[one] != one:
        one = parents[one]
    while parents[other] != other:
        other = parents[other]
    parents[max(one, other)] = min(one, other)


@compiled
def _depths(
    areas: tuple[Parts, Parts], parents: Parts, meetings: tuple[Parts, Parts]
) -> NDArray[np.int8]:
    """Count how many parts lie between each part and the outside; 0 if it is too small to grow."""
    area, edge = areas
    depth = np.where(edge > OPEN * area, 1, FAR).astype(np.int8)
    depth[0] = 0
    ones, others = parents[meetings[0]], parents[meetings[1]]
    changed = True
    while changed:
        changed = False
        for at in range(ones.size):
            changed |= _pass_on(depth, ones[at], others[at])
    depth[(area < FEWEST) | (depth == FAR)] = 0
    return depth[parents]


@compiled
def _pass_on(depth: NDArray[np.int8], one: int, other: int) -> bool:
    """Let a part be one deeper than its neighbour at most; say whether that was new."""
    if depth[one] > depth[other] + 1:
        depth[one] = depth[other] + 1
        return True
    if depth[other] > depth[one] + 1:
        depth[other] = depth[one] + 1
        return True
    return False


@compiled
def _shallower(parts: Parts, depth: NDArray[np.int8], meetings: tuple[Cells, Cells]) -> Cells:
    """Pick those cells that meet a deeper part."""
    ones, others = meetings
    picked = np.empty(ones.size, np.int32)
    count = 0
    for at in range(ones.size):
        one, other = depth[parts[ones[at]]], depth[parts[others[at]]]
        picked[count] = ones[at] if one < other else others[at]
        count += int(one != other)
    return picked[:count]


@compiled
def _grown(
    labels: NDArray[np.uint8],
    depths: tuple[Parts, NDArray[np.int8]],
    frontier: Cells,
    steepness: Levels,
    foot: float,
) -> NDArray[np.uint8]:
    """Give cells to a deeper part beside them while they are as steep as the foot asks.

    Only what has a new neighbour can change after the first round.
    """
    columns = labels.shape[1]
    around = np.array([0, columns, -columns, 1, -1])
    grown = labels.copy().ravel()
    parts, depth = depths[0].ravel(), depths[1]
    highest = steepness.copy().ravel()
    free = _inner_cells(labels)
    frontier = _once(frontier, around[:1], free)
    for step in range(ROUNDS):
        share = foot if step > 0 else 0.0
        takers, givers, tops = _taken(
            (parts, depth), (steepness.ravel(), highest), frontier, around[1:], share
        )
        _take(grown, takers, givers)
        _take(parts, takers, givers)
        for at in range(takers.size):
            highest[takers[at]] = tops[at]
        frontier = _once(takers, around, free)
    return grown.reshape(labels.shape)


@compiled
def _inner_cells(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mark the particle's cells that do not lie along the lattice's border, in one row."""
    inner = labels > 0
    inner[0], inner[-1] = False, False
    inner[:, 0], inner[:, -1] = False, False
    return inner.ravel()


@compiled
def _once(cells: Cells, around: NDArray[np.int64], free: NDArray[np.bool_]) -> Cells:
    """List what lies around some cells and is free, each once."""
    listed = np.empty(cells.size * around.size, np.int32)
    count = 0
    for cell in cells:
        for step in around:
            if free[cell + step]:
                free[cell + step] = False
                listed[count] = cell + step
                count += 1
    for at in range(count):
        free[listed[at]] = True
    return listed[:count]


@compiled
def _taken(
    depths: tuple[Parts, NDArray[np.int8]],
    slopes: tuple[Levels, Levels],
    frontier: Cells,
    around: NDArray[np.int64],
    share: float,
) -> tuple[Cells, Cells, Levels]:
    """Say which cells go to a deeper part, from which cell, and what is steepest on the way."""
    parts, depth = depths
    steepness, highest = slopes
    takers = np.empty(frontier.size, np.int32)
    givers = np.empty(frontier.size, np.int32)
    tops = np.empty(frontier.size, steepness.dtype)
    count = 0
    for cell in frontier:
        best = -1.0
        for step in around:
            if depth[parts[cell + step]] <= depth[parts[cell]]:
                continue
            top = max(highest[cell + step], steepness[cell])
            if top > best and steepness[cell] >= share * top:
                best = top
                takers[count], givers[count], tops[count] = cell, cell + step, top
        count += int(best >= 0.0)
    return takers[:count], givers[:count], tops[:count]


@compiled
def _take(values: NDArray[Any], takers: Cells, givers: Cells) -> None:
    """Let cells have what others had before any was given away."""
    given = values[givers]
    for at in range(takers.size):
        values[takers[at]] = given[at]
