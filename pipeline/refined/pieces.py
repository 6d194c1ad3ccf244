"""Connected pieces of a mask, cells that share a side; from runs of cells along the rows."""

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


def pieces_of(mask: Bytes, least: int) -> list[NDArray[np.bool_]]:
    """Split a mask in its connected pieces, in the order in which rows come to them.

    Parameters
    ----------
    mask : ndarray, uint8, (rows, columns)
        0 or 1.
    least : int
        Cells of a piece.

    Returns
    -------
    list of ndarray, bool, (rows, columns)
    """
    return [piece.view(np.bool_) for piece in _each(mask, least)]


def whole_of(mask: Bytes) -> NDArray[np.bool_]:
    """Leave out specks, and close pinholes.

    Parameters
    ----------
    mask : ndarray, uint8, (rows, columns)
        0 or 1.

    Returns
    -------
    ndarray, bool, (rows, columns)
    """
    return _without_specks(mask).view(np.bool_)


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
