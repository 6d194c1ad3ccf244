"""Squares that do not overlap: of each size, again and again the one that touches the most.

Where a square is, is the place of its first cell in the arrays of `find_room`: `stride`, the length
of a column, a step aside, and 1 a step down. Cells are one step further each way, in the frame.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

from .lattice import Numbers
from .room import Room

TAKEN = 255
"""As in `room`."""

BLOCK = 64
"""Squares whose contacts are compared at once."""

FEW = 16
"""If less than one in so many places has a square, each is measured by itself."""

Table = NDArray[np.int32] | Numbers
"""Sums over all that lies to the left and above."""

Shares = tuple[float, float, float]
"""The limits outside, impurity and max_error."""

Contacts = tuple[NDArray[np.int16], NDArray[np.int16]]
"""How many cells around each square of one size are not free, -1 where none fits; and the most in
each block."""

Taken = tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.int32]]
"""Squares: x, y, size; region; cells of the particle in them."""


@compiled
def take_squares(
    room: Room, origin: tuple[int, int], sides: tuple[int, int], shares: Shares
) -> Taken:
    """Take squares, the largest first.

    Parameters
    ----------
    room : Room
        As `find_room` returns it; what is taken is marked in it.
    origin : (x, y)
        Where its first cell is.
    sides : (least, most)
    shares : (outside, impurity, max_error)
    """
    free = room[0]
    most = (free.shape[0] - 2) * (free.shape[1] - 2)
    taken = (np.empty((most, 3), np.int32), np.empty(most, np.uint8), np.empty(most, np.int32))
    blocks = -(-free.size // BLOCK)
    contact = np.full(blocks * BLOCK, -1, np.int16)
    highest = np.full(-(-blocks // BLOCK) * BLOCK, -1, np.int16)
    found = 0
    for size in range(sides[1], max(sides[0], 2) - 1, -1):
        mixed = may_be_mixed(size, shares[0], shares[1])
        _find_whole(room, size, shares[2], contact)
        if mixed:
            _find_mixed(room, size, shares, contact)
        _refresh(contact, highest, (0, blocks - 1))
        found = _take_all(room, (size, mixed), (contact, highest), taken, found)
    if sides[0] == 1:
        found = _singles(free, taken, found)
    boxes, regions, held = taken
    boxes[:found, 0] += np.int32(origin[0])
    boxes[:found, 1] += np.int32(origin[1])
    return boxes[:found], regions[:found], held[:found]


@compiled
def _take_all(
    room: Room, sizes: tuple[int, bool], contacts: Contacts, taken: Taken, found: int
) -> int:
    """Take squares of one size until none fits, and say how many squares there are then."""
    free = room[0]
    stride = free.shape[1]
    size, mixed = sizes
    boxes, regions, held = taken
    contact, highest = contacts
    around = size * (stride + 1)
    at = _most(contact, highest)
    while at >= 0:
        x, y = at // stride, at % stride
        boxes[found, 0], boxes[found, 1], boxes[found, 2] = x, y, size
        held[found], regions[found] = size * size, free[x + 1, y + 1]
        if mixed:
            held[found], regions[found] = _inside_and_region(room, (x, y, size))
        found += 1
        _take(free, (x, y, size), contact)
        if mixed:
            _touch_again(room, (x, y, size), contact)
        last = min(at + around, contact.size - 1)
        _refresh(contact, highest, (max(at - around, 0) // BLOCK, last // BLOCK))
        at = _most(contact, highest)
    return found


@compiled
def may_be_mixed(size: int, outside: float, impurity: float) -> bool:
    """Say whether a square may have a cell outside the particle, or in another region."""
    area = size * size
    return bool(area - 1 >= (1.0 - max(outside, impurity)) * area)


@compiled
def _find_whole(room: Room, size: int, max_error: float, contact: NDArray[np.int16]) -> None:
    """Find the squares of one size that fit and are all of one region, and what they touch."""
    free = room[0]
    stride = free.shape[1]
    contact[:] = -1
    count = free.size - (size + 1) * (stride + 1)
    if count <= 0:
        return
    fits = _free_and_whole(room, size, count)
    if _marked(fits) * FEW < count:
        _measure_few(room, size, max_error, fits, contact)
    else:
        _drop_uneven(room, size, max_error, fits)
        _measure_contact(free, size, fits, contact)


@compiled
def _marked(fits: NDArray[np.uint8]) -> int:
    """Count the marks."""
    marked = np.int64(0)
    for at in range(fits.size):
        marked += np.int64(fits[at])
    return int(marked)


@compiled
def _measure_few(
    room: Room,
    size: int,
    max_error: float,
    fits: NDArray[np.uint8],
    contact: NDArray[np.int16],
) -> None:
    """Do what `_drop_uneven` and `_measure_contact` do, one marked square after the other."""
    free = room[0]
    stride = free.shape[1]
    for at in range(fits.size):
        if fits[at]:
            x, y = at // stride, at % stride
            square = (x, y, size)
            if not _is_uneven(room, square, size * size, max_error):
                contact[at] = _contact(free, square, int(free[x + 1, y + 1]))


@compiled
def _free_and_whole(room: Room, size: int, count: int) -> NDArray[np.uint8]:
    """Mark the squares that are all of one region and free.

    What is taken is not smaller, so it covers a corner of the square or nothing.
    """
    stride = room[0].shape[1]
    free = room[0].reshape(room[0].size)[stride + 1 :]
    whole = room[1].reshape(room[1].size)[stride + 1 :]
    across = (size - 1) * stride
    below, aside, opposite = free[size - 1 :], free[across:], free[across + size - 1 :]
    fits = np.empty(count, np.uint8)
    for at in range(count):
        fits[at] = (
            (whole[at] >= size)
            & (free[at] != TAKEN)
            & (below[at] != TAKEN)
            & (aside[at] != TAKEN)
            & (opposite[at] != TAKEN)
        )
    return fits


@compiled
def _drop_uneven(room: Room, size: int, max_error: float, fits: NDArray[np.uint8]) -> None:
    """Unmark the squares of one region whose error is too large, all at once: as `_is_uneven`."""
    across = size * room[0].shape[1]
    sums, squares = room[3].reshape(room[3].size), room[4].reshape(room[4].size)
    sums_below, sums_aside, sums_across = sums[size:], sums[across:], sums[across + size :]
    below, aside, opposite = squares[size:], squares[across:], squares[across + size :]
    inside = size * size
    most = max_error * inside
    for at in range(fits.size):
        total = sums_across[at] - sums_below[at] - sums_aside[at] + sums[at]
        squared = opposite[at] - below[at] - aside[at] + squares[at]
        fits[at] &= np.uint8(not squared * inside - total * total > most)


@compiled
def _measure_contact(
    free: NDArray[np.uint8], size: int, fits: NDArray[np.uint8], contact: NDArray[np.int16]
) -> None:
    """Count what the marked squares touch: where labels change along their sides."""
    stride = free.shape[1]
    labels = free.reshape(free.size)
    sideways = _windows(_changes(labels, stride), 1, size)[stride + 1 :]
    upwards = _windows(_changes(labels, 1), stride, size)[stride + 1 :]
    right, bottom = sideways[size * stride :], upwards[size:]
    for at in range(fits.size):
        touching = sideways[at] + right[at] + upwards[at] + bottom[at]
        contact[at] = np.int16(touching if fits[at] else -1)


@compiled
def _changes(labels: NDArray[np.uint8], step: int) -> NDArray[np.int16]:
    """Mark where a label is not what it is a step before."""
    changes = np.zeros(labels.size, np.int16)
    here = changes[step:]
    after = labels[step:]
    for at in range(after.size):
        here[at] = np.int16(after[at] != labels[at])
    return changes


@compiled
def _windows(marks: NDArray[np.int16], step: int, size: int) -> NDArray[np.int16]:
    """Sum `size` marks from each one on, `step` apart; the last ones are left as they are."""
    sums = marks.copy()
    for after in range(step, size * step, step):
        shifted = marks[after:]
        for at in range(shifted.size):
            sums[at] += shifted[at]
    return sums


@compiled
def _find_mixed(room: Room, size: int, shares: Shares, contact: NDArray[np.int16]) -> None:
    """Add the squares that fit though they are not all of one region."""
    free, whole, cells = room[0], room[1], room[2]
    columns, stride = free.shape[0] - 2, free.shape[1]
    for x in range(columns - size + 1):
        for y in range(stride - 2 - size + 1):
            if whole[x + 1, y + 1] >= size or _is_taken(free, x, y, size):
                continue
            square = (x, y, size)
            inside, region = _fitting(cells, square, shares)
            if inside > 0 and not _is_uneven(room, square, inside, shares[2]):
                contact[x * stride + y] = _contact(free, square, region)


@compiled
def _is_uneven(room: Room, square: tuple[int, int, int], inside: int, max_error: float) -> bool:
    """Compare the squared differences from the mean with what they may be."""
    total = _over(room[3], square)
    return bool(_over(room[4], square) * inside - total * total > max_error * inside)


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
    cells: NDArray[np.int32], square: tuple[int, int, int], shares: Shares
) -> tuple[int, int]:
    """Count the cells inside the particle, and find their commonest region; 0 if no box fits."""
    area = square[2] * square[2]
    inside = area - int(_over(cells[0], square))
    if inside == 0 or inside < (1.0 - shares[0]) * area:
        return 0, 0
    best = 0
    commonest = 0
    for region in range(1, cells.shape[0]):
        here = int(_over(cells[region], square))
        if here > best:
            best = here
            commonest = region
    if best < (1.0 - shares[1]) * inside:
        return 0, 0
    return inside, commonest


@compiled
def _over(table: Table, square: tuple[int, int, int]) -> Any:  # noqa: ANN401 - the table's numbers
    """Sum over a square, out of the table of sums."""
    x, y, size = square
    return table[x + size, y + size] - table[x, y + size] - table[x + size, y] + table[x, y]


@compiled
def _inside_and_region(room: Room, square: tuple[int, int, int]) -> tuple[int, int]:
    """Count the cells of a square that fits, and say which region it is of."""
    free, whole, cells = room[0], room[1], room[2]
    x, y, size = square
    if whole[x + 1, y + 1] >= size:
        return size * size, int(free[x + 1, y + 1])
    return _fitting(cells, square, (1.0, 1.0, 0.0))


@compiled
def _refresh(
    contact: NDArray[np.int16], highest: NDArray[np.int16], blocks: tuple[int, int]
) -> None:
    """Find the most in each block, from the first to the last."""
    for block in range(blocks[0], blocks[1] + 1):
        highest[block] = _highest(contact, block * BLOCK)


@compiled
def _highest(numbers: NDArray[np.int16], start: int) -> np.int16:
    """Find the highest of one block, many numbers at a time.

    As 64 bits they are compared without branches; as 16 bits they are not.
    """
    block = numbers[start : start + BLOCK]
    highest = np.int16(-1)
    for at in range(BLOCK):
        highest = np.int16(max(np.int64(highest), np.int64(block[at])))
    return highest


@compiled
def _most(contact: NDArray[np.int16], highest: NDArray[np.int16]) -> int:
    """Find the first of those that touch most; -1 if none is left."""
    most = -1
    for start in range(0, highest.size, BLOCK):
        most = max(most, int(_highest(highest, start)))
    if most < 0:
        return -1
    block = 0
    while highest[block] != most:
        block += 1
    at = block * BLOCK
    while contact[at] != most:
        at += 1
    return at


@compiled
def _take(
    free: NDArray[np.uint8], square: tuple[int, int, int], contact: NDArray[np.int16]
) -> None:
    """Take a square: those that overlap it fit no more, those beside it touch more."""
    x, y, size = square
    stride = free.shape[1]
    first, last = max(y - size + 1, 0), y + size
    for column in range(max(x - size + 1, 0), x + size):
        for at in range(column * stride + first, column * stride + last):
            contact[at] = -1
    at = x * stride + y
    _touch_whole(free, (at, size), (stride, 1), contact)
    _touch_whole(free, (at, size), (1, stride), contact)
    for column in range(x + 1, x + 1 + size):
        for row in range(y + 1, y + 1 + size):
            free[column, row] = TAKEN


@compiled
def _touch_whole(
    free: NDArray[np.uint8],
    square: tuple[int, int],
    steps: tuple[int, int],
    contact: NDArray[np.int16],
) -> None:
    """Let the squares on two sides of one that is taken next touch the cells they share.

    It is right where both are of one region; `_touch_again` is for all others. A place beyond an
    end of a column is in another, where none fits.
    """
    at, size = square
    aside, along = steps
    labels = free.reshape(free.size)[free.shape[1] + 1 :]
    region = labels[at]
    for off in range(1 - size, size):
        shared = np.int16(size - abs(off))
        before = at + off * along - size * aside
        after = at + off * along + size * aside
        if before >= 0 and contact[before] >= 0 and labels[before] == region:
            contact[before] += shared
        if after >= 0 and contact[after] >= 0 and labels[after] == region:
            contact[after] += shared


@compiled
def _touch_again(room: Room, square: tuple[int, int, int], contact: NDArray[np.int16]) -> None:
    """Measure again what squares touch beside the one just taken, unless both are of one region."""
    stride = room[0].shape[1]
    x, y, size = square
    is_whole = room[1][x + 1, y + 1] >= size
    for off in range(1 - size, size):
        for column, row in (
            (x - size, y + off),
            (x + size, y + off),
            (x + off, y - size),
            (x + off, y + size),
        ):
            at = column * stride + row
            if min(column, row) < 0 or contact[at] < 0:
                continue
            if not is_whole or room[1][column + 1, row + 1] < size:
                beside = (column, row, size)
                region = _inside_and_region(room, beside)[1]
                contact[at] = _contact(room[0], beside, region)


@compiled
def _singles(free: NDArray[np.uint8], taken: Taken, found: int) -> int:
    """Take what is left cell by cell, and say how many squares there are then."""
    boxes, regions, held = taken
    for x in range(1, free.shape[0] - 1):
        labels = free[x]
        for y in range(1, labels.size - 1):
            label = labels[y]
            if 0 < label < TAKEN:
                boxes[found, 0], boxes[found, 1], boxes[found, 2] = x - 1, y - 1, 1
                regions[found] = label
                held[found] = 1
                found += 1
    return found
