"""Gaussian weights as integers, so that a blur is the same to the last bit on every machine.

The exponential differs in its last bit between machines, and floating-point sums between orders
of summation. Weights rounded to integers differ by neither, and with integer weights every sum
is exact.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, fsum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

WEIGHT_BITS = 18
"""Weights of one axis add up to 2**18 exactly: flat areas keep their value. Of what a sum of
12-bit intensities may have in 32 bit, this is the most."""

WINDOW_BITS = 8
"""The same for `window_weights`, whose coarse steps are those of OpenCV's 8-bit blur."""

EdgeRule = Literal["reflect", "mirror", "nearest"]
"""What lies beyond the edge of a line a b c, named as in scipy.ndimage: reflect is c b a|a b c|,
mirror is c b|a b c|, nearest is a a a|a b c|."""

Resampling = tuple[NDArray[np.int64], NDArray[np.int32]]
"""What `resampling` returns: first pixels and weights."""


@lru_cache(maxsize=64)
def gaussian_weights(sigma: float) -> NDArray[np.int32]:
    """Weights of a Gaussian of `sigma` pixels, cut at 4 sigma.

    Returns
    -------
    ndarray, int32, (2 * radius + 1,)
        Sum 2**18. Read-only.
    """
    radius = int(4.0 * sigma + 0.5)
    return _frozen(_rounded(_bell(sigma, radius)))


@lru_cache(maxsize=64)
def window_weights(size: int) -> NDArray[np.int32]:
    """Weights of a Gaussian window of `size` pixels whose sigma follows from the size.

    Sigma 0.3 ((size - 1) / 2 - 1) + 0.8, and binomial-like tables for windows up to 7: the
    conventions of OpenCV, in whose terms the published code's constants are given. From the
    outside in, each weight takes over the rounding error of the one before; the centre balances.

    Parameters
    ----------
    size : int
        Odd.

    Returns
    -------
    ndarray, int32, (size,)
        Sum 2**8. Read-only.
    """
    tables = {1: [256], 3: [64, 128, 64], 5: [16, 64, 96, 64, 16], 7: [8, 28, 56, 72, 56, 28, 8]}
    if size in tables:
        return _frozen(np.array(tables[size], dtype=np.int32))
    radius = size // 2
    bell = _bell(0.3 * (radius - 1) + 0.8, radius)
    total = fsum(bell)
    half: list[int] = []
    error = 0.0
    for weight in bell[:radius]:
        exact = weight / total * 2**WINDOW_BITS + error
        half.append(round(exact))
        error = exact - half[-1]
    return _frozen(np.array([*half, 2**WINDOW_BITS - 2 * sum(half), *half[::-1]], dtype=np.int32))


@lru_cache(maxsize=64)
def resampling(pixels: int, cells: int) -> Resampling:
    """Weights that shrink a line of `pixels` to `cells`: Gaussian, then linear interpolation.

    The Gaussian has sigma (pixels / cells - 1) / 2, cut at 4 sigma, with the line mirrored at
    its ends; it is interpolated at the centres of the cells (published code's constants;
    scikit-image's `resize` with anti-aliasing).

    Parameters
    ----------
    pixels, cells : int
        cells <= pixels.

    Returns
    -------
    first : ndarray, int64, (cells,)
        The first pixel that counts for a cell; never decreases.
    weights : ndarray, int32, (cells, taps)
        Weights of that pixel and those after it; each row adds up to 2**18. Read-only.
    """
    sigma = (pixels - cells) / (2 * cells)
    radius = (4 * (pixels - cells) + cells) // (2 * cells)  # 4 sigma, rounded, in integers
    mirror = edge_index(pixels, radius + 1, "mirror").tolist()
    bell = _bell(sigma, radius)
    lines = [_line(cell, pixels, cells, bell, mirror) for cell in range(cells)]
    taps = max(max(line) - min(line) + 1 for line in lines)
    first = np.array([min(*line, pixels - taps) for line in lines], dtype=np.int64)
    weights = np.zeros((cells, taps), dtype=np.int32)
    for cell, line in enumerate(lines):
        weights[cell] = _rounded([line.get(int(first[cell]) + tap, 0.0) for tap in range(taps)])
    first.setflags(write=False)
    return first, _frozen(weights)


@lru_cache(maxsize=256)
def edge_index(length: int, radius: int, rule: EdgeRule) -> NDArray[np.int64]:
    """Say which pixel of a line stands for each of -radius .. length + radius - 1.

    Returns
    -------
    ndarray, int64, (length + 2 * radius,)
        Indices into the line. Read-only.
    """
    wanted = np.arange(-radius, length + radius)
    if rule == "nearest":
        index = np.clip(wanted, 0, length - 1)
    elif rule == "reflect":
        index = wanted % (2 * length)
        index = np.minimum(index, 2 * length - 1 - index)
    else:
        period = max(2 * (length - 1), 1)
        index = wanted % period
        index = np.minimum(index, period - index) if length > 1 else np.zeros_like(wanted)
    index.setflags(write=False)
    return index


def _bell(sigma: float, radius: int) -> list[float]:
    return [exp(-0.5 * (i / sigma) ** 2) if i else 1.0 for i in range(-radius, radius + 1)]


def _rounded(weights: list[float]) -> NDArray[np.int32]:
    """Round to integers of sum 2**18; what is left over goes to the (first) largest weight."""
    total = fsum(weights)
    rounded = [round(weight / total * 2**WEIGHT_BITS) for weight in weights]
    rounded[rounded.index(max(rounded))] += 2**WEIGHT_BITS - sum(rounded)
    return np.array(rounded, dtype=np.int32)


def _line(
    cell: int, pixels: int, cells: int, bell: list[float], mirror: list[int]
) -> dict[int, float]:
    """Weights of the pixels (by index) that one cell is made of, mirrored ones folded back."""
    # The cell's centre lies at (cell + 1/2) * pixels / cells - 1/2, as a whole and a rest.
    whole, rest = divmod((2 * cell + 1) * pixels - cells, 2 * cells)
    share = rest / (2 * cells)
    line: dict[int, float] = {}
    for neighbour, part in ((whole, 1.0 - share), (whole + 1, share)):
        if part > 0.0:
            for tap, weight in enumerate(bell):
                pixel = mirror[neighbour + tap + 1]  # the table and the bell start one apart
                line[pixel] = line.get(pixel, 0.0) + part * weight
    return line


def _frozen(weights: NDArray[np.int32]) -> NDArray[np.int32]:
    """Make read-only: the tables are shared by all callers."""
    weights.setflags(write=False)
    return weights
