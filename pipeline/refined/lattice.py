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
"""Gray levels of cells: single precision, which is far finer than any picture."""

Numbers = NDArray[np.float64]
"""Coordinates, terms and sums."""


def cell_means(
    image: NDArray[Any], origin: tuple[int, int], shape: tuple[int, int], pitch: int
) -> Levels:
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
    ndarray, float32, (rows, columns)
        NaN where no pixel is finite.
    """
    pixels = read_only(image)
    means = np.empty(shape, np.float32)
    if image.dtype.kind in "iu" and image.dtype.itemsize <= 2:
        _of_integers(pixels, origin, pitch, means)
    else:
        _of_floats(pixels, origin, pitch, means)
    return means


@compiled
def _of_integers(image: NDArray[Any], origin: tuple[int, int], pitch: int, means: Levels) -> None:
    """Go down the pixels of a row of cells side by side, then across them: exact sums.

    32 bits hold the sum of 32,768 lines.
    """
    left, top = origin
    rows, columns = means.shape
    width = columns * pitch
    sums = np.empty(width, np.int32)
    highest = np.empty(width, image.dtype)
    lowest = np.empty(width, image.dtype)
    for row in range(rows):
        start = top + row * pitch
        _start(image[start][left : left + width], sums, highest, lowest)
        for y in range(start + 1, start + pitch):
            _add(image[y][left : left + width], sums, highest, lowest)
        _across(
            sums.reshape(columns, pitch),
            highest.reshape(columns, pitch),
            lowest.reshape(columns, pitch),
            means[row],
        )


@compiled
def _start(
    line: NDArray[Any], sums: NDArray[Any], highest: NDArray[Any], lowest: NDArray[Any]
) -> None:
    for x in range(line.shape[0]):
        sums[x] = np.int32(line[x])
        highest[x] = line[x]
        lowest[x] = line[x]


@compiled
def _add(
    line: NDArray[Any], sums: NDArray[Any], highest: NDArray[Any], lowest: NDArray[Any]
) -> None:
    for x in range(line.shape[0]):
        sums[x] += np.int32(line[x])
        highest[x] = max(highest[x], line[x])
        lowest[x] = min(lowest[x], line[x])


@compiled
def _across(sums: NDArray[Any], highest: NDArray[Any], lowest: NDArray[Any], means: Levels) -> None:
    columns, pitch = sums.shape
    all_count = pitch * pitch < 4
    share = 1.0 / (pitch * pitch if all_count else pitch * pitch - 2)
    for column in range(columns):
        total = np.int64(0)
        most, least = highest[column, 0], lowest[column, 0]
        for x in range(pitch):
            total += sums[column, x]
            most = max(most, highest[column, x])
            least = min(least, lowest[column, x])
        if not all_count:
            total -= np.int64(most) + np.int64(least)
        means[column] = total * share


@compiled
def _of_floats(image: NDArray[Any], origin: tuple[int, int], pitch: int, means: Levels) -> None:
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
    sums: Numbers, extremes: tuple[Numbers, Numbers], counts: NDArray[np.int32], means: Levels
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
