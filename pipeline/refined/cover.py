"""Squares over a particle's regions: the largest first, each where it leaves the least over.

Arrays are (row, column), in cells of the particle's lattice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

from .bodies import Mask
from .lattice import Levels, Numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a box may be.

    Parameters
    ----------
    least, most : int
        Side, cells.
    outside : float
        Share outside the particle.
    impurity : float
        Share of what is inside that lies in other regions.
    max_error : float
        Sum over its cells of the squared difference from its mean.
    slivers : float
        Share of the particle that may stay without boxes.
    """

    least: int
    most: int
    outside: float
    impurity: float
    max_error: float
    slivers: float


def cover(
    labels: NDArray[np.uint8], levels: Levels, limits: Limits
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Cover the regions with squares that do not overlap.

    Sizes go down from the largest. Of one size the square is taken that keeps the limits and has
    the most of its sides against other squares and other regions, until there is none; of equal
    ones the first, down each column, columns left to right. In the end those that hold the fewest
    cells are left out, as many as `slivers` allows.

    Parameters
    ----------
    labels : ndarray, uint8, (rows, columns)
        0 outside, regions from 1.
    levels : ndarray, float32, (rows, columns)
    limits : Limits

    Returns
    -------
    boxes : ndarray, int32, (N, 3)
        x, y, size.
    regions : ndarray, uint8, (N,)
        The commonest region of each.
    """
    boxes, regions, cells = _largest_first(
        labels,
        levels,
        (limits.least, limits.most),
        (limits.outside, limits.impurity, limits.max_error),
    )
    order = np.argsort(cells, kind="stable")
    total = int(np.count_nonzero(labels))
    missing = total - int(cells.sum())
    spare = limits.slivers * total - missing
    drop = int(np.searchsorted(np.cumsum(cells[order]), spare, side="right"))
    keep = np.sort(order[drop:])
    return boxes[keep], regions[keep]


@compiled
def _largest_first(
    labels: NDArray[np.uint8],
    levels: Levels,
    sides: tuple[int, int],
    shares: tuple[float, float, float],
) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.int64]]:
    rows, columns = labels.shape
    least, most = sides
    cells, sums = _tables(labels, levels)
    taken = np.zeros((rows, columns), np.bool_)
    boxes = np.empty((rows * columns, 3), np.int32)
    regions = np.empty(rows * columns, np.uint8)
    held = np.empty(rows * columns, np.int64)
    even = _even(sums, cells, most, shares[2])
    # those that fit, of one size: where, what they hold, and how many of their sides touch
    places = np.empty((rows * columns, 2), np.int64)
    inside = np.empty(rows * columns, np.int32)
    region = np.empty(rows * columns, np.uint8)
    contact = np.empty(rows * columns, np.int16)
    number = np.empty((rows, columns), np.int32)
    found = 0
    for size in range(min(most, rows, columns), max(least, 2) - 1, -1):
        fitting = 0
        number[:] = -1
        for x in range(columns - size + 1):
            for y in range(rows - size + 1):
                if even[y, x] < size or _is_taken(taken, x, y, size):
                    continue
                held_here, label = _fitting(cells, (x, y, size), shares)
                if held_here > 0:
                    places[fitting] = x, y
                    inside[fitting] = held_here
                    region[fitting] = label
                    contact[fitting] = _contact(labels, taken, (x, y, size), label)
                    number[y, x] = fitting
                    fitting += 1
        best = _most(contact, fitting)
        while best >= 0:
            x, y = places[best]
            boxes[found] = x, y, size
            regions[found] = region[best]
            held[found] = inside[best]
            found += 1
            taken[y : y + size, x : x + size] = True
            _drop(number, contact, (x, y, size))
            _touch_again(labels, taken, (number, region, contact), (x, y, size))
            best = _most(contact, fitting)
    for x in range(columns if least == 1 else 0):
        for y in range(rows):
            if labels[y, x] > 0 and not taken[y, x]:
                boxes[found] = x, y, 1
                regions[found] = labels[y, x]
                held[found] = 1
                found += 1
    return boxes[:found].copy(), regions[:found].copy(), held[:found].copy()


@compiled
def _even(
    sums: Numbers, cells: NDArray[np.int32], most: int, max_error: float
) -> NDArray[np.int16]:
    """Find the largest square from each cell on that keeps within the error.

    What is within a square leaves no larger error, so that one step down a diagonal makes the
    square smaller by one at most.
    """
    rows, columns = cells.shape[0] - 1, cells.shape[1] - 1
    even = np.empty((rows, columns), np.int16)
    for y in range(rows):
        for x in range(columns):
            size = max(even[y - 1, x - 1] - 1, 1) if y > 0 and x > 0 else 1
            last = min(most, rows - y, columns - x)
            while size < last and _error(sums, cells, (x, y, size + 1)) <= max_error:
                size += 1
            even[y, x] = size
    return even


@compiled
def _error(sums: Numbers, cells: NDArray[np.int32], square: tuple[int, int, int]) -> float:
    """Sum the squared differences of a square's cells from their mean; 0 outside the particle."""
    x, y, size = square
    inside = size * size - int(_over(cells, x, y, size, 0))
    if inside == 0:
        return 0.0
    total = _over(sums, x, y, size, 0)
    return _over(sums, x, y, size, 1) - total * total / inside


@compiled
def _is_taken(taken: Mask, x: int, y: int, size: int) -> bool:
    """Look at the corners: what is taken is not smaller, so it covers one of them or nothing."""
    last_y, last_x = y + size - 1, x + size - 1
    return bool(taken[y, x] or taken[last_y, x] or taken[y, last_x] or taken[last_y, last_x])


@compiled
def _most(contact: NDArray[np.int16], count: int) -> int:
    """Find the first of those that touch most; -1 if none is left."""
    best = -1
    most = -1
    for at in range(count):
        if contact[at] > most:
            most = contact[at]
            best = at
    return best


@compiled
def _drop(
    number: NDArray[np.int32], contact: NDArray[np.int16], square: tuple[int, int, int]
) -> None:
    """Forget the squares of this size that overlap the one just taken: they touch -1 cells."""
    rows, columns = number.shape
    x, y, size = square
    for row in range(max(y - size + 1, 0), min(y + size, rows)):
        for column in range(max(x - size + 1, 0), min(x + size, columns)):
            if number[row, column] >= 0:
                contact[number[row, column]] = -1
                number[row, column] = -1


@compiled
def _touch_again(
    labels: NDArray[np.uint8],
    taken: Mask,
    fitting: tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.int16]],
    square: tuple[int, int, int],
) -> None:
    """Measure again what squares of this size touch that lie beside the one just taken."""
    number, region, contact = fitting
    rows, columns = labels.shape
    x, y, size = square
    for off in range(1 - size, size):
        for row, column in (
            (y - size, x + off),
            (y + size, x + off),
            (y + off, x - size),
            (y + off, x + size),
        ):
            if not (0 <= row <= rows - size and 0 <= column <= columns - size):
                continue
            at = number[row, column]
            if at >= 0:
                contact[at] = _contact(labels, taken, (column, row, size), region[at])


@compiled
def _contact(
    labels: NDArray[np.uint8], taken: Mask, square: tuple[int, int, int], region: int
) -> int:
    """Count the cells around a square that are taken or of another region."""
    rows, columns = labels.shape
    x, y, size = square
    contact = 0
    for along in range(size):
        for row, column in (
            (y - 1, x + along),
            (y + size, x + along),
            (y + along, x - 1),
            (y + along, x + size),
        ):
            within = 0 <= row < rows and 0 <= column < columns
            if not within or taken[row, column] or labels[row, column] != region:
                contact += 1
    return contact


@compiled
def _tables(labels: NDArray[np.uint8], levels: Levels) -> tuple[NDArray[np.int32], Numbers]:
    """Sum over all that lies above and to the left: cells of each region; levels, squares."""
    rows, columns = labels.shape
    count = int(labels.max())
    cells = np.zeros((rows + 1, columns + 1, count + 1), np.int32)
    sums = np.zeros((rows + 1, columns + 1, 2), np.float64)
    line = np.zeros(count + 1, np.int32)
    for y in range(rows):
        line[:] = 0
        first = 0.0
        second = 0.0
        for x in range(columns):
            label = labels[y, x]
            line[label] += 1
            if label > 0:
                first += levels[y, x]
                second += levels[y, x] * levels[y, x]
            for region in range(count + 1):
                cells[y + 1, x + 1, region] = cells[y, x + 1, region] + line[region]
            sums[y + 1, x + 1, 0] = sums[y, x + 1, 0] + first
            sums[y + 1, x + 1, 1] = sums[y, x + 1, 1] + second
    return cells, sums


@compiled
def _fitting(
    cells: NDArray[np.int32], square: tuple[int, int, int], shares: tuple[float, float, float]
) -> tuple[int, int]:
    """Count the cells inside the particle, and find their commonest region; 0 if no box fits."""
    x, y, size = square
    outside, impurity, _ = shares
    area = size * size
    inside = area - int(_over(cells, x, y, size, 0))
    if inside == 0 or inside < (1.0 - outside) * area:
        return 0, 0
    best = 0
    commonest = 0
    for region in range(1, cells.shape[2]):
        here = int(_over(cells, x, y, size, region))
        if here > best:
            best = here
            commonest = region
    if best < (1.0 - impurity) * inside:
        return 0, 0
    return inside, commonest


@compiled
def _over(table: NDArray[Any], x: int, y: int, size: int, what: int) -> float:
    """Sum over a square, out of the table of sums."""
    return float(
        table[y + size, x + size, what]
        - table[y, x + size, what]
        - table[y + size, x, what]
        + table[y, x, what]
    )
