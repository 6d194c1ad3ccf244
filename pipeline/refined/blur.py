"""Gaussian blur of a frame's or a particle's cells."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from pipeline.compiled import compiled

from .lattice import Levels

REACH = 6
"""Cells on either side that count, for any width: what a narrower bell has not is zero."""

WIDEST = 1.5
"""Cells: four widths are within reach."""


def blur(cells: Levels, width: float) -> Levels:
    """Blur cells; beyond the border they are mirrored.

    Parameters
    ----------
    cells : ndarray, float32, (rows, columns)
        Finite.
    width : float
        Of the bell, a standard deviation in cells, up to `WIDEST`.

    Returns
    -------
    ndarray, float32, (rows, columns)

    Raises
    ------
    ValueError
        If the bell is wider than what is within reach.
    """
    return _blurred(cells, _bell(width))


@lru_cache(maxsize=8)
def _bell(width: float) -> Levels:
    """Weights of a cell and of those beside it, about four widths away: as many as OpenCV takes."""
    if not 0.0 < width <= WIDEST:
        raise ValueError(f"width: came {width}; expected more than 0, at most {WIDEST}")
    away = np.arange(REACH + 1)
    weights = np.exp(-0.5 * (away / width) ** 2)
    weights[away > (round(8.0 * width + 1.0) | 1) // 2] = 0.0
    bell: Levels = (weights / (2.0 * weights.sum() - weights[0])).astype(np.float32)
    return bell


@compiled
def _blurred(cells: Levels, bell: Levels) -> Levels:
    """Blur down, then across, all rows behind each other: so long a loop is a vector loop."""
    rows, columns = cells.shape
    stride = columns + 2 * REACH
    mirrored = _mirrored(cells).reshape((rows + 2 * REACH) * stride)
    down = np.zeros(rows * stride + 2 * REACH, np.float32)
    across = np.empty(rows * stride, np.float32)
    _add_up(mirrored, stride, bell, down[: rows * stride])
    _add_up(down, 1, bell, across)
    blurred = np.empty(cells.shape, np.float32)
    wide = across.reshape(rows, stride)
    for y in range(rows):
        for x in range(columns):
            blurred[y, x] = wide[y, x]
    return blurred


@compiled
def _add_up(cells: Levels, step: int, bell: Levels, sums: Levels) -> None:
    """Add cells up by their weights, from `REACH` steps before to as many behind."""
    first, second, third = cells, cells[step:], cells[2 * step :]
    fourth, fifth, sixth = cells[3 * step :], cells[4 * step :], cells[5 * step :]
    middle = cells[6 * step :]
    sixth_last, fifth_last, fourth_last = cells[7 * step :], cells[8 * step :], cells[9 * step :]
    third_last, second_last, last = cells[10 * step :], cells[11 * step :], cells[12 * step :]
    one, two, three, four, five, six = bell[1], bell[2], bell[3], bell[4], bell[5], bell[6]
    for at in range(sums.shape[0]):
        total = bell[0] * middle[at]
        total += one * (sixth[at] + sixth_last[at])
        total += two * (fifth[at] + fifth_last[at])
        total += three * (fourth[at] + fourth_last[at])
        total += four * (third[at] + third_last[at])
        total += five * (second[at] + second_last[at])
        total += six * (first[at] + last[at])
        sums[at] = total


@compiled
def _mirrored(cells: Levels) -> Levels:
    """Mirror cells beyond the border, at the middle of the outermost ones."""
    rows, columns = cells.shape
    wide = np.empty((rows + 2 * REACH, columns + 2 * REACH), np.float32)
    for y in range(rows):
        for x in range(columns):
            wide[y + REACH, x + REACH] = cells[y, x]
    for x in range(REACH):
        before, behind = _mirror(x - REACH, columns), _mirror(columns + x, columns)
        for y in range(rows):
            wide[y + REACH, x] = cells[y, before]
            wide[y + REACH, columns + REACH + x] = cells[y, behind]
    for y in range(REACH):
        before, behind = _mirror(y - REACH, rows) + REACH, _mirror(rows + y, rows) + REACH
        for x in range(wide.shape[1]):
            wide[y, x] = wide[before, x]
            wide[rows + REACH + y, x] = wide[behind, x]
    return wide


@compiled
def _mirror(at: int, count: int) -> int:
    """Bring a place back between 0 and `count`, mirrored as often as it takes."""
    if count == 1:
        return 0
    while at < 0 or at >= count:
        at = -at if at < 0 else 2 * (count - 1) - at
    return at
