"""Squares over a particle's regions: the largest first, each where it leaves the least over.

Arrays are (row, column), in cells of the particle's lattice.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

from .lattice import Levels
from .room import Room, find_room
from .slivers import without_slivers

TAKEN = 255
"""Stands for a region where a square lies already, and all around the lattice."""

BLOCK = 32
"""Squares whose contacts are compared at once."""


Squares = tuple[
    NDArray[np.int32], NDArray[np.int32], NDArray[np.uint8], NDArray[np.int16], NDArray[np.int32]
]
"""Those of one size that fit: x and y, cells of the particle in them, region, cells around that are
not free; and by [x, y], which of them begins there."""


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
    left_out : float
        Share of the particle that may stay without boxes.
    rims_first : bool
        Whether single cells at the particle's edge that are dark beside their neighbours are left
        out first; those with the least to tell of its levels, if not.
    """

    least: int
    most: int
    outside: float
    impurity: float
    max_error: float
    left_out: float
    rims_first: bool


def cover(
    labels: NDArray[np.uint8], levels: Levels, limits: Limits
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Cover the regions with squares that do not overlap.

    Sizes go down from the largest. Of one size the square is taken that keeps the limits and has
    the most of its sides against other squares and other regions, until there is none; of equal
    ones the first, down each column, columns left to right. In the end those that hold the fewest
    cells are left out, as many as `left_out` allows.

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
    most = min(limits.most, *labels.shape)
    shares = (limits.outside, limits.impurity, limits.max_error)
    room = find_room(labels, levels, most, shares)
    boxes, regions, held = _largest_first(labels, room, (limits.least, most), shares)
    missing = cv2.countNonZero(labels) - int(held.sum())
    spare = int(limits.left_out * (missing + int(held.sum()))) - missing
    if spare > 0:
        kept = without_slivers((boxes, held), (labels, levels), spare, limits.rims_first)
        boxes, regions = boxes[kept], regions[kept]
    return boxes, regions


@compiled
def _largest_first(
    labels: NDArray[np.uint8],
    room: Room,
    sides: tuple[int, int],
    shares: tuple[float, float, float],
) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.int32]]:
    """Take the squares; all that is looked up here is [x, y], because y goes first."""
    rows, columns = labels.shape
    starts = room[1].shape[0]
    free = _free(labels)
    boxes = np.empty((rows * columns, 3), np.int32)
    regions = np.empty(rows * columns, np.uint8)
    held = np.empty(rows * columns, np.int32)
    # those that fit, of one size: where, what they hold, and how many of their sides touch
    places = np.empty((starts, 2), np.int32)
    inside = np.empty(starts, np.int32)
    region = np.empty(starts, np.uint8)
    contact = np.empty(starts + BLOCK, np.int16)
    number = np.full((columns, rows), -1, np.int32)
    found = 0
    for size in range(sides[1], max(sides[0], 2) - 1, -1):
        fitting = _find_fitting(free, room, size, shares, (places, inside, region, contact, number))
        best = _most(contact, fitting)
        while best >= 0:
            x, y = places[best, 0], places[best, 1]
            boxes[found, 0], boxes[found, 1], boxes[found, 2] = x, y, size
            regions[found] = region[best]
            held[found] = inside[best]
            found += 1
            free[x + 1 : x + 1 + size, y + 1 : y + 1 + size] = TAKEN
            _drop(number, contact, (x, y, size))
            _touch_again(free, (number, region, contact), (x, y, size))
            best = _most(contact, fitting)
    if sides[0] == 1:
        found = _singles(labels, free, (boxes, regions, held), found)
    return boxes[:found].copy(), regions[:found].copy(), held[:found].copy()


@compiled
def _find_fitting(
    free: NDArray[np.uint8],
    room: Room,
    size: int,
    shares: tuple[float, float, float],
    squares: Squares,
) -> int:
    """Note the squares of one size that fit, and say how many there are."""
    cells, starts, even = room
    places, inside, region, contact, number = squares
    fitting = 0
    for at in range(starts.shape[0]):
        if even[at] < size:
            continue
        x, y = starts[at, 0], starts[at, 1]
        if free[x + 1, y + 1] == TAKEN:
            # also for all that are smaller
            even[at] = 0
            continue
        if _is_taken(free, x, y, size):
            continue
        held, label = _fitting(cells, (x, y, size), shares)
        if held > 0:
            places[fitting, 0], places[fitting, 1] = x, y
            inside[fitting] = held
            region[fitting] = label
            contact[fitting] = _contact(free, (x, y, size), label)
            number[x, y] = fitting
            fitting += 1
    contact[fitting : fitting + BLOCK] = -1
    return fitting


@compiled
def _singles(
    labels: NDArray[np.uint8],
    free: NDArray[np.uint8],
    squares: tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.int32]],
    found: int,
) -> int:
    """Take what is left cell by cell, and say how many squares there are then."""
    boxes, regions, held = squares
    rows, columns = labels.shape
    for x in range(columns):
        for y in range(rows):
            if labels[y, x] > 0 and free[x + 1, y + 1] != TAKEN:
                boxes[found, 0], boxes[found, 1], boxes[found, 2] = x, y, 1
                regions[found] = labels[y, x]
                held[found] = 1
                found += 1
    return found


@compiled
def _free(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Copy the labels, [x + 1, y + 1]: a frame of `TAKEN` around them saves looking for ends."""
    rows, columns = labels.shape
    free = np.full((columns + 2, rows + 2), TAKEN, np.uint8)
    for x in range(columns):
        for y in range(rows):
            free[x + 1, y + 1] = labels[y, x]
    return free


@compiled
def _is_taken(free: NDArray[np.uint8], x: int, y: int, size: int) -> bool:
    """Look at the corners: what is taken is not smaller, so it covers one of them or nothing."""
    return bool(
        (free[x + 1, y + 1] == TAKEN)
        | (free[x + size, y + 1] == TAKEN)
        | (free[x + 1, y + size] == TAKEN)
        | (free[x + size, y + size] == TAKEN)
    )


@compiled
def _most(contact: NDArray[np.int16], count: int) -> int:
    """Find the first of those that touch most; -1 if none is left.

    Blocks first: their maximum is taken many numbers at a time. Behind `count` lies a block of -1.
    """
    best = -1
    most = np.int16(-1)
    for start in range(0, count, BLOCK):
        block = contact[start : start + BLOCK]
        highest = np.int16(-1)
        for at in range(BLOCK):
            highest = max(highest, block[at])
        if highest > most:
            most = highest
            best = start
    if best < 0:
        return -1
    while contact[best] != most:
        best += 1
    return best


@compiled
def _drop(
    number: NDArray[np.int32], contact: NDArray[np.int16], square: tuple[int, int, int]
) -> None:
    """Forget the squares of this size that overlap the one just taken: they touch -1 cells."""
    columns, rows = number.shape
    x, y, size = square
    first, last = max(y - size + 1, 0), min(y + size, rows)
    for column in range(max(x - size + 1, 0), min(x + size, columns)):
        for row in range(first, last):
            if number[column, row] >= 0:
                contact[number[column, row]] = -1
                number[column, row] = -1


@compiled
def _touch_again(
    free: NDArray[np.uint8],
    fitting: tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.int16]],
    square: tuple[int, int, int],
) -> None:
    """Measure again what squares of this size touch that lie beside the one just taken."""
    number, region, contact = fitting
    columns, rows = number.shape
    x, y, size = square
    for column in (x - size, x + size):
        if 0 <= column <= columns - size:
            for row in range(max(y - size + 1, 0), min(y + size, rows - size + 1)):
                at = number[column, row]
                if at >= 0:
                    contact[at] = _contact(free, (column, row, size), region[at])
    for row in (y - size, y + size):
        if 0 <= row <= rows - size:
            for column in range(max(x - size + 1, 0), min(x + size, columns - size + 1)):
                at = number[column, row]
                if at >= 0:
                    contact[at] = _contact(free, (column, row, size), region[at])


@compiled
def _contact(free: NDArray[np.uint8], square: tuple[int, int, int], region: int) -> int:
    """Count the cells around a square that are taken or of another region."""
    x, y, size = square
    contact = 0
    before, after = free[x], free[x + size + 1]
    for row in range(y + 1, y + 1 + size):
        contact += (before[row] != region) + (after[row] != region)
    for column in range(x + 1, x + 1 + size):
        contact += (free[column, y] != region) + (free[column, y + size + 1] != region)
    return contact


@compiled
def _fitting(
    cells: NDArray[np.int32], square: tuple[int, int, int], shares: tuple[float, float, float]
) -> tuple[int, int]:
    """Count the cells inside the particle, and find their commonest region; 0 if no box fits."""
    x, y, size = square
    area = size * size
    inside = area - _over(cells[0], x, y, size)
    if inside == 0 or inside < (1.0 - shares[0]) * area:
        return 0, 0
    best = 0
    commonest = 0
    for region in range(1, cells.shape[0]):
        here = _over(cells[region], x, y, size)
        if here > best:
            best = here
            commonest = region
    if best < (1.0 - shares[1]) * inside:
        return 0, 0
    return inside, commonest


@compiled
def _over(table: NDArray[np.int32], x: int, y: int, size: int) -> int:
    """Sum over a square, out of the table of sums."""
    return int(table[x + size, y + size] - table[x, y + size] - table[x + size, y] + table[x, y])
