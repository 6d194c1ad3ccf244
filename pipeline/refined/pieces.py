"""Masks: their connected pieces, from runs of cells along the rows, and what lies around them.

Cells are of one piece if they share a side. Arrays are (row, column).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

Bytes = NDArray[np.uint8]
Runs = NDArray[np.int32]

SPECK = 9
"""Cells below which a piece is none."""

LARGER = 100
"""How many times larger than a speck the largest piece is."""

PINHOLE = 0.004
"""Share of the whole below which a gap in it is closed."""


def widened(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """Widen a mask by so many cells all round.

    Parameters
    ----------
    mask : ndarray, bool, (rows, columns)
    by : int

    Returns
    -------
    ndarray, bool, (rows, columns)
    """
    return _widened(mask.view(np.uint8), by).view(np.bool_)


def pieces_of(mask: NDArray[np.bool_], least: int) -> list[NDArray[np.bool_]]:
    """Split a mask in connected pieces, thin bridges and specks left out.

    Parameters
    ----------
    mask : ndarray, bool, (rows, columns)
    least : int
        Cells of a piece.

    Returns
    -------
    list of ndarray, bool, (rows, columns)
        In the order in which rows come to them.
    """
    return [piece.view(np.bool_) for piece in _pieces(mask.view(np.uint8), least)]


def whole_of(steady: NDArray[np.bool_], above: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close gaps, leave out what is thin and specks, and close pinholes.

    Parameters
    ----------
    steady : ndarray, bool, (rows, columns)
        What surely counts.
    above : ndarray, bool, (rows, columns)
        What may be counted, where it closes a gap of a cell or two.

    Returns
    -------
    ndarray, bool, (rows, columns)
    """
    return _whole(steady.view(np.uint8), above.view(np.uint8)).view(np.bool_)


@compiled
def _widened(mask: Bytes, by: int) -> Bytes:
    layers = _layers(mask)
    for _ in range(by):
        _widen(layers)
    return _inner(layers)


@compiled
def _pieces(mask: Bytes, least: int) -> Bytes:
    layers = _layers(mask)
    _open(layers)
    return _each(_inner(layers), least)


@compiled
def _whole(steady: Bytes, above: Bytes) -> Bytes:
    layers = _layers(steady)
    _widen(layers)
    _narrow(layers)
    cells = layers[0]
    for y in range(above.shape[0]):
        for x in range(above.shape[1]):
            cells[y + 1, x + 1] &= above[y, x]
    _open(layers)
    return _without_specks(_inner(layers))


@compiled
def _layers(mask: Bytes) -> Bytes:
    """Lay a margin around a mask, beside room to work in and what is not of the margin.

    (3, rows + 2, columns + 2): with it, all rows are one line, and a shift needs no bounds.
    """
    rows, columns = mask.shape
    layers = np.zeros((3, rows + 2, columns + 2), np.uint8)
    cells, inside = layers[0], layers[2]
    for y in range(rows):
        for x in range(columns):
            cells[y + 1, x + 1] = mask[y, x]
            inside[y + 1, x + 1] = 1
    return layers


@compiled
def _inner(layers: Bytes) -> Bytes:
    """Take the margin away again."""
    cells = layers[0]
    inner = np.empty((cells.shape[0] - 2, cells.shape[1] - 2), np.uint8)
    for y in range(inner.shape[0]):
        for x in range(inner.shape[1]):
            inner[y, x] = cells[y + 1, x + 1]
    return inner


@compiled
def _widen(layers: Bytes) -> None:
    """Set the eight cells around each one, in place."""
    stride = layers.shape[2]
    lines = layers.reshape(3, layers.shape[1] * stride)
    cells, across, inside = lines[0], lines[1], lines[2]
    left, middle, right, wide = cells[:-2], cells[1:-1], cells[2:], across[1:-1]
    for at in range(wide.shape[0]):
        wide[at] = left[at] | middle[at] | right[at]
    above, here, below = across[: -2 * stride], across[stride:-stride], across[2 * stride :]
    inner, within = cells[stride:-stride], inside[stride:-stride]
    for at in range(inner.shape[0]):
        inner[at] = (above[at] | here[at] | below[at]) & within[at]


@compiled
def _narrow(layers: Bytes) -> None:
    """Leave the cells that all eight around them are beside; none is missed outside the mask."""
    _turn(layers)
    _widen(layers)
    _turn(layers)


@compiled
def _turn(layers: Bytes) -> None:
    """Swap what is of the mask and what is not."""
    lines = layers.reshape(3, layers.shape[1] * layers.shape[2])
    cells, inside = lines[0], lines[2]
    for at in range(cells.shape[0]):
        cells[at] ^= inside[at]


@compiled
def _open(layers: Bytes) -> None:
    """Leave out what no square of three by three fits in."""
    _narrow(layers)
    _widen(layers)


@compiled
def _each(mask: Bytes, least: int) -> Bytes:
    """Draw each piece that is large enough, (pieces, rows, columns)."""
    rows, columns = mask.shape
    runs, areas = _runs(mask, 1)
    large = np.flatnonzero(areas >= least)
    drawn = np.zeros((large.size, rows, columns), np.uint8)
    layers = np.full(areas.size, -1, np.int64)
    for layer in range(large.size):
        layers[large[layer]] = layer
    for at in range(runs.shape[0]):
        layer = layers[runs[at, 3]]
        if layer >= 0:
            drawn[layer, runs[at, 0], runs[at, 1] : runs[at, 2]] = 1
    return drawn


@compiled
def _without_specks(mask: Bytes) -> Bytes:
    whole = np.zeros(mask.shape, np.uint8)
    runs, areas = _runs(mask, 1)
    if areas.size == 0:
        return whole
    solid = areas >= max(SPECK, areas.max() / LARGER)
    _draw(runs, solid, whole)
    area = areas[solid].sum()
    runs, areas = _runs(whole, 0)
    if areas.size > 1:
        _draw(runs, areas < PINHOLE * area, whole)
    return whole


@compiled
def _draw(runs: Runs, wanted: NDArray[np.bool_], drawn: Bytes) -> None:
    """Set the cells of the wanted pieces."""
    for at in range(runs.shape[0]):
        if wanted[runs[at, 3]]:
            drawn[runs[at, 0], runs[at, 1] : runs[at, 2]] = 1


@compiled
def _runs(mask: Bytes, value: int) -> tuple[Runs, NDArray[np.int64]]:
    """Find the runs of a value, (runs, 4): row, first column, the one behind, and the piece.

    The pieces' areas go with them. Pieces are numbered in the order in which rows come to them.
    """
    rows, columns = mask.shape
    runs = np.empty((rows * ((columns + 1) // 2), 4), np.int32)
    before, count = 0, 0
    for y in range(rows):
        start = count
        count = _scan(mask[y], value, y, (runs, count))
        _join(runs, before, start, count)
        before = start
    areas = np.zeros(count, np.int64)
    pieces = 0
    for at in range(count):
        if runs[at, 3] == at:
            piece = pieces
            pieces += 1
        else:
            # the run that it hangs on came before it, and has its piece already
            piece = runs[runs[at, 3], 3]
        runs[at, 3] = piece
        areas[piece] += runs[at, 2] - runs[at, 1]
    return runs[:count], areas[:pieces]


@compiled
def _scan(line: Bytes, value: int, row: int, found: tuple[Runs, int]) -> int:
    """Note the runs of one row, each as a piece of its own; return how many there are then."""
    runs, count = found
    columns = line.shape[0]
    x = 0
    while x < columns:
        while x < columns and line[x] != value:
            x += 1
        first = x
        while x < columns and line[x] == value:
            x += 1
        if x > first:
            runs[count, 0] = row
            runs[count, 1] = first
            runs[count, 2] = x
            runs[count, 3] = count
            count += 1
    return count


@compiled
def _join(runs: Runs, before: int, start: int, end: int) -> None:
    """Join the runs start..end of a row with those before..start of the row above."""
    above = before
    for at in range(start, end):
        while above < start and runs[above, 2] <= runs[at, 1]:
            above += 1
        other = above
        while other < start and runs[other, 1] < runs[at, 2]:
            one, two = _root(runs, at), _root(runs, other)
            runs[max(one, two), 3] = min(one, two)
            other += 1


@compiled
def _root(runs: Runs, at: int) -> int:
    while runs[at, 3] != at:
        at = runs[at, 3]
    return at
