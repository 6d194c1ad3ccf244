"""Basins of a cost: a watershed that forgets what is shallower than a given rise.

Arrays are (row, column), in cells of a particle's lattice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

from .bodies import Mask

LEVELS = 256


@compiled
def find_basins(
    cost: NDArray[np.uint8], mask: Mask, rise: int, least: int
) -> tuple[NDArray[np.int32], int]:
    """Part a mask in basins.

    Cells join in the order of their cost. Where two basins meet they become one, unless both are
    at least `rise` deep there and have `least` cells: their dynamics, as Grimaud has it (Proc. SPIE
    1769, 292 (1992)).

    Parameters
    ----------
    cost : ndarray, uint8, (rows, columns)
    mask : ndarray, bool, (rows, columns)
    rise : int
        Least depth of a basin, in steps of the cost.
    least : int
        Fewest cells.

    Returns
    -------
    basins : ndarray, int32, (rows, columns)
        0 outside the mask, basins from 1.
    count : int
        Basins.
    """
    framed, parents = _flood(cost, _by_cost(cost, mask), rise, least)
    return _numbered(framed, parents)


@compiled
def _by_cost(cost: NDArray[np.uint8], mask: Mask) -> NDArray[np.int32]:
    """Sort the mask's cells by cost, as places in a frame of one cell around the lattice.

    Of equal cost the first comes first.
    """
    rows, columns = cost.shape
    starts = np.zeros(LEVELS + 1, np.int32)
    for y in range(rows):
        for x in range(columns):
            if mask[y, x]:
                starts[cost[y, x] + 1] += 1
    for level in range(LEVELS):
        starts[level + 1] += starts[level]
    order = np.empty(starts[LEVELS], np.int32)
    for y in range(rows):
        for x in range(columns):
            if mask[y, x]:
                order[starts[cost[y, x]]] = (y + 1) * (columns + 2) + x + 1
                starts[cost[y, x]] += 1
    return order


@compiled
def _flood(
    cost: NDArray[np.uint8], order: NDArray[np.int32], rise: int, least: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Give each cell the number of a basin, and each number that of the basin that took it in.

    Numbers start at 1; a frame around the lattice and what is outside the mask have 0.
    """
    framed = _framed(cost)
    flat, stride = framed.ravel(), framed.shape[1]
    basins = np.zeros(flat.size, np.int32)
    parents = np.empty(order.size + 1, np.int32)
    area = np.empty(order.size + 1, np.int32)
    bottom = np.empty(order.size + 1, np.int32)
    parents[0] = 0
    roots = np.empty(4, np.int32)
    begun = 0
    for cell in order:
        count = 0
        lowest = LEVELS
        home = 0
        for beside in (cell + stride, cell - stride, cell + 1, cell - 1):
            if basins[beside] == 0:
                continue
            root = _root(parents, basins[beside])
            if flat[beside] < lowest:
                lowest = flat[beside]
                home = root
            if count == 0 or root != roots[count - 1]:
                roots[count] = root
                count += 1
        if count == 0:
            begun += 1
            parents[begun], area[begun], bottom[begun] = begun, 0, flat[cell]
            home = begun
        basins[cell] = home
        area[home] += 1
        for i in range(1, count):
            for j in range(i):
                _join((parents, area, bottom), (roots[i], roots[j]), (flat[cell] - rise, least))
    return basins.reshape(framed.shape), parents[: begun + 1]


@compiled
def _framed(cost: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put a frame of one cell around a lattice."""
    rows, columns = cost.shape
    framed = np.zeros((rows + 2, columns + 2), np.uint8)
    for y in range(rows):
        for x in range(columns):
            framed[y + 1, x + 1] = cost[y, x]
    return framed


@compiled
def _root(parents: NDArray[np.int32], basin: int) -> int:
    """Find the basin that took another in, and shorten the way there."""
    while parents[basin] != basin:
        parents[basin] = parents[parents[basin]]
        basin = parents[basin]
    return basin


@compiled
def _join(
    tables: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]],
    pair: tuple[int, int],
    limits: tuple[int, int],
) -> None:
    """Let the shallower one of two basins that meet be part of the deeper one, if it is small."""
    parents, area, bottom = tables
    deep, shallow = _root(parents, pair[0]), _root(parents, pair[1])
    if deep == shallow:
        return
    if (bottom[shallow], -area[shallow]) < (bottom[deep], -area[deep]):
        deep, shallow = shallow, deep
    deepest, least = limits
    if bottom[shallow] > deepest or area[shallow] < least:
        parents[shallow] = deep
        area[deep] += area[shallow]


@compiled
def _numbered(
    framed: NDArray[np.int32], parents: NDArray[np.int32]
) -> tuple[NDArray[np.int32], int]:
    """Give the basins numbers, in the order in which their first cells come; drop the frame."""
    rows, columns = framed.shape[0] - 2, framed.shape[1] - 2
    numbered = np.zeros((rows, columns), np.int32)
    numbers = np.zeros(parents.size, np.int32)
    count = 0
    for y in range(rows):
        for x in range(columns):
            basin = framed[y + 1, x + 1]
            if basin > 0 and numbers[basin] == 0:
                root = _root(parents, basin)
                if numbers[root] == 0:
                    count += 1
                    numbers[root] = count
                numbers[basin] = numbers[root]
            numbered[y, x] = numbers[basin]
    return numbered, count
