"""Square cells of whole parent pixels, whose extremes do not count.

A cell is the mean of its pixels without the highest and the lowest: a hot or a dead pixel changes
nothing. Coordinates: x right, y down, from the upper-left corner.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled, read_only

Levels = NDArray[np.float32]
"""Gray levels of cells: single precision, which is far finer than any picture's 256 of them.

Intensities of more than 16 bits may lie far from 0, and stay in double precision until they are
brought to gray levels.
"""

Numbers = NDArray[np.float64]
"""Coordinates, terms and sums."""

Totals = tuple[NDArray[np.int32], NDArray[Any], NDArray[Any]]
"""Of some pixels each: their sum, the highest and the lowest."""

MOST_PITCH = 181
"""32 bits hold the sum of so many pixels of 16 bits a side."""

BATCH = 8
"""Rows of cells that are folded at once."""


def cell_means(
    image: NDArray[Any], origin: tuple[int, int], shape: tuple[int, int], pitch: int
) -> Levels | Numbers:
    """Average the pixels of each cell.

    Parameters
    ----------
    image : ndarray, (height, width)
        As `as_image` returns it.
    origin : (x, y)
        Parent pixel where the first cell starts.
    shape : (rows, columns)
        Cells; all lie in the image.
    pitch : int
        Pixels a side of a cell.

    Returns
    -------
    ndarray, float32 of pixels of 8 or 16 bits, else float64, (rows, columns)
        NaN where no pixel is finite.
    """
    pixels = read_only(image)
    if image.dtype.kind in "iu" and image.dtype.itemsize <= 2 and pitch <= MOST_PITCH:
        means = np.empty(shape, np.float32)
        _of_integers(pixels, origin, pitch, means)
        return means
    exact = np.empty(shape, np.float64)
    _of_floats(pixels, origin, pitch, exact)
    return exact


@compiled
def _of_integers(image: NDArray[Any], origin: tuple[int, int], pitch: int, means: Levels) -> None:
    """Go down the pixels of a row of cells side by side, then across them: exact sums."""
    left, top = origin
    rows, columns = means.shape
    width = columns * pitch
    sums = np.empty((2, BATCH * width), np.int32)
    highest = np.empty((2, BATCH * width), image.dtype)
    lowest = np.empty((2, BATCH * width), image.dtype)
    for start in range(0, rows, BATCH):
        count = min(BATCH, rows - start)
        for row in range(count):
            first = top + (start + row) * pitch
            here, end = row * width, (row + 1) * width
            _down(
                image[first : first + pitch],
                left,
                (sums[0][here:end], highest[0][here:end], lowest[0][here:end]),
            )
        at = _across((sums, highest, lowest), count * columns, pitch)
        _take_means(
            (sums[at], highest[at], lowest[at]), pitch, means[start : start + count].ravel()
        )


@compiled
def _down(lines: NDArray[Any], left: int, totals: Totals) -> None:
    """Add up lines of pixels, two at a time."""
    sums, highest, lowest = totals
    pitch, width = lines.shape[0], sums.shape[0]
    one = lines[0][left : left + width]
    other = lines[1 - pitch % 2][left : left + width]
    # an odd line is its own highest and lowest neighbour, and counts once
    twice = np.int32(1 - pitch % 2)
    for x in range(width):
        sums[x] = np.int32(one[x]) + twice * np.int32(other[x])
    for x in range(width):
        highest[x] = max(one[x], other[x])
        lowest[x] = min(one[x], other[x])
    for y in range(2 - pitch % 2, pitch, 2):
        one = lines[y][left : left + width]
        other = lines[y + 1][left : left + width]
        for x in range(width):
            sums[x] += np.int32(one[x]) + np.int32(other[x])
        for x in range(width):
            highest[x] = max(highest[x], one[x], other[x])
            lowest[x] = min(lowest[x], one[x], other[x])


@compiled
def _across(totals: Totals, cells: int, pitch: int) -> int:
    """Fold columns of pixels until one is left of each cell; say in which of two buffers it is.

    A stride that is written down is gone along many numbers at a time.
    """
    sums, highest, lowest = totals
    here = 0
    while pitch > 1:
        one = (sums[here], highest[here], lowest[here])
        here = 1 - here
        other = (sums[here], highest[here], lowest[here])
        if pitch % 2 == 0:
            pitch //= 2
            _fold_twos(one, other, cells * pitch)
        elif pitch % 3 == 0:
            pitch //= 3
            _fold_threes(one, other, cells * pitch)
        elif pitch % 5 == 0:
            pitch //= 5
            _fold_fives(one, other, cells * pitch)
        else:
            _fold(one, other, cells, pitch)
            pitch = 1
    return here


@compiled
def _fold_twos(totals: Totals, folded: Totals, count: int) -> None:
    sums, highest, lowest = totals
    to_sums, to_highest, to_lowest = folded
    for x in range(count):
        to_sums[x] = sums[2 * x] + sums[2 * x + 1]
    for x in range(count):
        to_highest[x] = max(highest[2 * x], highest[2 * x + 1])
    for x in range(count):
        to_lowest[x] = min(lowest[2 * x], lowest[2 * x + 1])


@compiled
def _fold_threes(totals: Totals, folded: Totals, count: int) -> None:
    sums, highest, lowest = totals
    to_sums, to_highest, to_lowest = folded
    for x in range(count):
        to_sums[x] = sums[3 * x] + sums[3 * x + 1] + sums[3 * x + 2]
    for x in range(count):
        to_highest[x] = max(highest[3 * x], highest[3 * x + 1], highest[3 * x + 2])
    for x in range(count):
        to_lowest[x] = min(lowest[3 * x], lowest[3 * x + 1], lowest[3 * x + 2])


@compiled
def _fold_fives(totals: Totals, folded: Totals, count: int) -> None:
    _fold(totals, folded, count, 5)


@compiled
def _fold(totals: Totals, folded: Totals, count: int, width: int) -> None:
    sums, highest, lowest = totals
    to_sums, to_highest, to_lowest = folded
    for at in range(count):
        first = at * width
        total, most, least = sums[first], highest[first], lowest[first]
        for x in range(first + 1, first + width):
            total += sums[x]
            most = max(most, highest[x])
            least = min(least, lowest[x])
        to_sums[at], to_highest[at], to_lowest[at] = total, most, least


@compiled
def _take_means(totals: Totals, pitch: int, means: Levels) -> None:
    """Leave out the highest and the lowest pixel, and divide by how many are left."""
    sums, highest, lowest = totals
    if pitch == 1:
        for column in range(means.shape[0]):
            means[column] = sums[column]
        return
    share = 1.0 / (pitch * pitch - 2)
    for column in range(means.shape[0]):
        extremes = np.int32(highest[column]) + np.int32(lowest[column])
        means[column] = (sums[column] - extremes) * share


@compiled
def _of_floats(image: NDArray[Any], origin: tuple[int, int], pitch: int, means: Numbers) -> None:
    """Do the same, and count finite pixels only."""
    left, top = origin
    rows, columns = means.shape
    width = columns * pitch
    sums = np.empty(width, np.float64)
    highest = np.empty(width, np.float64)
    lowest = np.empty(width, np.float64)
    counts = np.empty(width, np.int32)
    for row in range(rows):
        sums[:] = 0.0
        highest[:] = -np.inf
        lowest[:] = np.inf
        counts[:] = 0
        for y in range(top + row * pitch, top + (row + 1) * pitch):
            _add_finite(image[y][left : left + width], sums, (highest, lowest), counts)
        _across_finite(
            sums.reshape(columns, pitch),
            (highest.reshape(columns, pitch), lowest.reshape(columns, pitch)),
            counts.reshape(columns, pitch),
            means[row],
        )


@compiled
def _add_finite(
    line: NDArray[Any], sums: Numbers, extremes: tuple[Numbers, Numbers], counts: NDArray[np.int32]
) -> None:
    highest, lowest = extremes
    for x in range(line.shape[0]):
        value = np.float64(line[x])
        finite = np.isfinite(value)
        sums[x] += value if finite else 0.0
        highest[x] = max(highest[x], value if finite else -np.inf)
        lowest[x] = min(lowest[x], value if finite else np.inf)
        counts[x] += finite


@compiled
def _across_finite(
    sums: Numbers, extremes: tuple[Numbers, Numbers], counts: NDArray[np.int32], means: Numbers
) -> None:
    highest, lowest = extremes
    columns, pitch = sums.shape
    for column in range(columns):
        total = 0.0
        count = 0
        most, least = -np.inf, np.inf
        for x in range(pitch):
            total += sums[column, x]
            count += counts[column, x]
            most = max(most, highest[column, x])
            least = min(least, lowest[column, x])
        if count >= 4:
            means[column] = (total - most - least) / (count - 2)
        else:
            means[column] = total / count if count > 0 else np.nan
