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
    return _cell_means(read_only(image), origin, shape, pitch)


@compiled
def _cell_means(
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
