"""Basins of a cost: a watershed that forgets what is shallower than a given rise.

Arrays are (row, column), in cells of a particle's lattice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

from .bodies import Mask

LEVELS = 256


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
    return _numbered(_flood(cost, mask, rise, least), mask.shape)


@compiled
def _by_cost(cost: NDArray[np.uint8], mask: Mask) -> NDArray[np.int32]:
    """Sort the mask's cells by cost; of equal cost the first comes first."""
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
                order[starts[cost[y, x]]] = y * columns + x
                starts[cost[y, x]] += 1
    return order


@compiled
def _root(basins: NDArray[np.int32], cell: int) -> int:
    """Find the cell where a cell's basin began, and shorten the way there."""
    while basins[cell] != cell:
        basins[cell] = basins[basins[cell]]
        cell = basins[cell]
    return cell


@compiled
def _flood(cost: NDArray[np.uint8], mask: Mask, rise: int, least: int) -> NDArray[np.int32]:
    """Let each cell point to the next one on the way to where its basin began; -1 outside."""
    rows, columns = cost.shape
    flat = cost.ravel()
    basins = np.full(rows * columns, -1, np.int32)
    area = np.zeros(rows * columns, np.int32)
    roots = np.empty(4, np.int32)
    for cell in _by_cost(cost, mask):
        y, x = cell // columns, cell % columns
        count = 0
        lowest = LEVELS
        home = cell
        for beside, there in (
            (cell + columns, y + 1 < rows),
            (cell - columns, y > 0),
            (cell + 1, x + 1 < columns),
            (cell - 1, x > 0),
        ):
            if not there or basins[beside] < 0:
                continue
            root = _root(basins, beside)
            if flat[beside] < lowest:
                lowest = flat[beside]
                home = root
            if count == 0 or root != roots[count - 1]:
                roots[count] = root
                count += 1
        basins[cell] = home
        area[home] += 1
        for i in range(1, count):
            for j in range(i):
                _join(flat, basins, area, (roots[i], roots[j]), (flat[cell] - rise, least))
    return basins


@compiled
def _join(
    cost: NDArray[np.uint8],
    basins: NDArray[np.int32],
    area: NDArray[np.int32],
    pair: tuple[int, int],
    limits: tuple[int, int],
) -> None:
    """Let the shallower one of two basins that meet be part of the deeper one, if it is small."""
    deep, shallow = _root(basins, pair[0]), _root(basins, pair[1])
    if deep == shallow:
        return
    if (cost[shallow], -area[shallow]) < (cost[deep], -area[deep]):
        deep, shallow = shallow, deep
    deepest, least = limits
    if cost[shallow] > deepest or area[shallow] < least:
        basins[shallow] = deep
        area[deep] += area[shallow]


@compiled
def _numbered(basins: NDArray[np.int32], shape: tuple[int, int]) -> tuple[NDArray[np.int32], int]:
    """Give the basins numbers, in the order in which their first cells come."""
    numbers = np.zeros(basins.size, np.int32)
    found = np.zeros(basins.size, np.int32)
    count = 0
    for cell in range(basins.size):
        if basins[cell] < 0:
            continue
        root = _root(basins, cell)
        if found[root] == 0:
            count += 1
            found[root] = count
        numbers[cell] = found[root]
    return numbers.reshape(shape), count
