"""Gaussian weights as integers, so that a blur is the same to the last bit on every machine.

The exponential differs in its last bit between machines, and floating-point sums between orders
of summation. Weights rounded to multiples of 2**-15 differ by neither, and with integer weights
every sum is exact.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, fsum

import numpy as np
from numpy.typing import NDArray

WEIGHT_BITS = 15
"""Weights of one axis add up to 2**WEIGHT_BITS exactly: flat areas keep their value."""

Resampling = tuple[NDArray[np.int64], NDArray[np.int32]]
"""What `resampling` returns: first pixels and weights."""


def integer_weights(weights: list[float]) -> NDArray[np.int32]:
    """Round non-negative weights to integers that add up to 2**15.

    Parameters
    ----------
    weights : list of float
        Not all zero; need not be normalised.

    Returns
    -------
    ndarray, int32, (len(weights),)
        What rounding left over goes to the largest weight (the first of equal ones).
    """
    total = fsum(weights)
    rounded = [round(weight / total * 2**WEIGHT_BITS) for weight in weights]
    rounded[rounded.index(max(rounded))] += 2**WEIGHT_BITS - sum(rounded)
    return np.array(rounded, dtype=np.int32)


@lru_cache(maxsize=64)
def resampling(pixels: int, cells: int) -> Resampling:
    """Weights that shrink a line of `pixels` to `cells`: Gaussian, then linear interpolation.

    The Gaussian has sigma (pixels / cells - 1) / 2, cut at 4 sigma, with the line mirrored about
    the centre of its last pixel (... c b a b c ...); it is interpolated at the centres of the
    cells (published code's constants; scikit-image's `resize` with anti-aliasing).

    Parameters
    ----------
    pixels, cells : int
        cells <= pixels.

    Returns
    -------
    first : ndarray, int64, (cells,)
        The first pixel that counts for a cell; never decreases.
    weights : ndarray, int32, (cells, taps)
        Weights of that pixel and those after it; each row adds up to 2**15. Read-only.
    """
    sigma = (pixels - cells) / (2 * cells)
    radius = (4 * (pixels - cells) + cells) // (2 * cells)  # 4 sigma, rounded, in integers
    gaussian = [exp(-0.5 * (i / sigma) ** 2) if i else 1.0 for i in range(-radius, radius + 1)]
    lines = [_line(cell, pixels, cells, gaussian) for cell in range(cells)]
    taps = max(max(line) - min(line) + 1 for line in lines)
    first = np.array([min(*line, pixels - taps) for line in lines], dtype=np.int64)
    weights = np.zeros((cells, taps), dtype=np.int32)
    for cell, line in enumerate(lines):
        spread = [line.get(int(first[cell]) + tap, 0.0) for tap in range(taps)]
        weights[cell] = integer_weights(spread)
    first.setflags(write=False)
    weights.setflags(write=False)
    return first, weights


def _line(cell: int, pixels: int, cells: int, gaussian: list[float]) -> dict[int, float]:
    """Weights of the pixels (by index) that one cell is made of, mirrored ones folded back."""
    # The cell's centre lies at (cell + 1/2) * pixels / cells - 1/2, as a whole and a rest.
    whole, rest = divmod((2 * cell + 1) * pixels - cells, 2 * cells)
    share = rest / (2 * cells)
    radius = len(gaussian) // 2
    line: dict[int, float] = {}
    for neighbour, part in ((whole, 1.0 - share), (whole + 1, share)):
        if part > 0.0:
            for offset, weight in zip(range(-radius, radius + 1), gaussian, strict=True):
                pixel = mirrored(neighbour + offset, pixels)
                line[pixel] = line.get(pixel, 0.0) + part * weight
    return line


def mirrored(index: int, length: int) -> int:
    """Index of the pixel that stands for `index` on a line mirrored about its end pixels."""
    period = 2 * (length - 1)
    if period == 0:
        return 0
    index %= period
    return index if index < length else period - index
