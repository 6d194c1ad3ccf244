"""What stays without boxes: what holds the fewest cells, and of single cells what tells the least.

Arrays are (row, column), in cells of the particle's lattice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

from .bodies import Mask
from .lattice import Levels, Numbers

FEW = 200
"""Squares up to which the least are found faster one by one than by ordering all."""

Squares = tuple[NDArray[np.int32], NDArray[np.int32]]
"""Where they are, (N, 3): x, y, size; and how many cells of the particle each holds, (N,)."""

Cells = tuple[NDArray[np.uint8], Levels]
"""Labels, 0 outside the particle, and levels, (rows, columns)."""


@compiled
def without_slivers(squares: Squares, cells: Cells, spare: int, rims_first: bool) -> Mask:
    """Leave out the squares that hold the fewest cells, `spare` in all.

    Of single cells those go first that are the least of the particle's own, or that tell the least
    of its levels; of equal ones the first.

    Parameters
    ----------
    squares : (boxes, held)
    cells : (labels, levels)
    spare : int
        Cells of the particle that may stay without a box.
    rims_first : bool
        Whether cells at the particle's edge go first, the darkest beside its neighbours first of
        all; else those whose level is nearest to the particle's mean.

    Returns
    -------
    ndarray, bool, (N,)
        Which squares are kept.
    """
    worths = _worths(squares, cells, rims_first)
    return _without_least(worths, squares[1], spare)


@compiled
def _worths(squares: Squares, cells: Cells, rims_first: bool) -> Numbers:
    """Count the cells a square holds, and for a single one a share of a cell more."""
    boxes, held = squares
    levels = cells[1]
    worths = held.astype(np.float64)
    mean, span = 0.0, 1.0
    if not rims_first:
        mean, span = _mean_and_span(cells)
    for at in range(boxes.shape[0]):
        if boxes[at, 2] > 1:
            continue
        x, y = boxes[at, 0], boxes[at, 1]
        if rims_first:
            worths[at] += 0.9 * _of_neighbours(cells, x, y)
        else:
            worths[at] += 0.9 * abs(levels[y, x] - mean) / span
    return worths


@compiled
def _mean_and_span(cells: Cells) -> tuple[float, float]:
    """Return the particle's mean level, and how far from it any of its cells can be."""
    labels, levels = cells
    total, lowest, highest, count = 0.0, np.inf, -np.inf, 0
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            if labels[y, x] > 0:
                total += levels[y, x]
                lowest = min(lowest, levels[y, x])
                highest = max(highest, levels[y, x])
                count += 1
    return total / max(count, 1), max(highest - lowest, 1e-300)


@compiled
def _of_neighbours(cells: Cells, x: int, y: int) -> float:
    """Take half of what a cell has of the highest level around it, and a half within the particle.

    A cell at the edge that is dark beside its neighbours has much in it that is not the particle.
    """
    labels, levels = cells
    highest = 0.0
    inner = True
    for row in range(max(y - 1, 0), min(y + 2, labels.shape[0])):
        for column in range(max(x - 1, 0), min(x + 2, labels.shape[1])):
            if labels[row, column] > 0:
                highest = max(highest, levels[row, column])
            elif row == y or column == x:
                inner = False
    share = float(max(levels[y, x], 0.0) / max(highest, 1e-300))
    return 0.5 * share + (0.5 if inner else 0.0)


@compiled
def _without_least(worths: Numbers, held: NDArray[np.int32], spare: int) -> Mask:
    """Leave out the squares of the least worth, `spare` cells in all; of equal ones the first."""
    kept = np.ones(worths.size, np.bool_)
    for at in _least_of(worths, spare):
        if held[at] <= spare:
            kept[at] = False
            spare -= held[at]
    return kept


@compiled
def _least_of(worths: Numbers, spare: int) -> NDArray[np.int64]:
    """List the squares by worth; each holds a cell or more, so that `spare` of them are enough."""
    if spare > FEW:
        return np.argsort(worths, kind="mergesort")[:spare]
    least = np.empty(spare, np.int64)
    count = 0
    for at in range(worths.size):
        if count == spare and worths[at] >= worths[least[count - 1]]:
            continue
        place = count if count < spare else spare - 1
        count = max(count, place + 1)
        while place > 0 and worths[least[place - 1]] > worths[at]:
            least[place] = least[place - 1]
            place -= 1
        least[place] = at
    return least[:count]
