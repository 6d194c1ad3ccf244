"""Square cells of whole parent pixels, whose extremes do not count.

A cell is the mean of its pixels without the highest and the lowest: a hot or a dead pixel changes
nothing. Coordinates: x right, y down, from the upper-left corner.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled, read_only

Levels = NDArray[np.float64]


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
    ndarray, float64, (rows, columns)
        NaN where no pixel is finite.
    """
    means = _of_integers if image.dtype.kind in "iu" and image.dtype.itemsize < 8 else _of_floats
    return means(read_only(image), origin, shape, pitch)


@compiled
def _of_integers(
    image: NDArray[Any], origin: tuple[int, int], shape: tuple[int, int], pitch: int
) -> Levels:
    """Go down the pixels of a row of cells side by side, then across them: exact sums."""
    left, top = origin
    rows, columns = shape
    width = columns * pitch
    count = pitch * pitch
    means = np.empty(shape, np.float64)
    sums = np.empty(width, np.int64)
    highest = np.empty(width, image.dtype)
    lowest = np.empty(width, image.dtype)
    for row in range(rows):
        start = top + row * pitch
        line = image[start, left : left + width]
        for x in range(width):
            sums[x] = line[x]
            highest[x] = line[x]
            lowest[x] = line[x]
        for y in range(start + 1, start + pitch):
            line = image[y, left : left + width]
            for x in range(width):
                sums[x] += line[x]
                highest[x] = max(highest[x], line[x])
                lowest[x] = min(lowest[x], line[x])
        for column in range(columns):
            first = column * pitch
            total = sums[first]
            top_most = highest[first]
            least = lowest[first]
            for x in range(first + 1, first + pitch):
                total += sums[x]
                top_most = max(top_most, highest[x])
                least = min(least, lowest[x])
            if count >= 4:
                means[row, column] = (total - np.int64(top_most) - np.int64(least)) / (count - 2)
            else:
                means[row, column] = total / count
    return means


@compiled
def _of_floats(
    image: NDArray[Any], origin: tuple[int, int], shape: tuple[int, int], pitch: int
) -> Levels:
    left, top = origin
    rows, columns = shape
    sums = np.zeros(columns, np.float64)
    highest = np.zeros(columns, np.float64)
    lowest = np.zeros(columns, np.float64)
    counts = np.zeros(columns, np.int64)
    means = np.empty(shape, np.float64)
    for row in range(rows):
        sums[:] = 0.0
        counts[:] = 0
        highest[:] = -np.inf
        lowest[:] = np.inf
        for y in range(top + row * pitch, top + (row + 1) * pitch):
            line = image[y]
            for column in range(columns):
                start = left + column * pitch
                for x in range(start, start + pitch):
                    value = np.float64(line[x])
                    if np.isfinite(value):
                        sums[column] += value
                        counts[column] += 1
                        highest[column] = max(highest[column], value)
                        lowest[column] = min(lowest[column], value)
        for column in range(columns):
            count = counts[column]
            if count >= 4:
                means[row, column] = (sums[column] - highest[column] - lowest[column]) / (count - 2)
            elif count > 0:
                means[row, column] = sums[column] / count
            else:
                means[row, column] = np.nan
    return means
