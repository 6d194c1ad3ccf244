"""Blur, unsharp mask and adaptive threshold of 8-bit pictures, in integers only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled, read_only
from .gaussian import (
    WEIGHT_BITS,
    WINDOW_BITS,
    EdgeRule,
    edge_index,
    gaussian_weights,
    window_weights,
)
from .pair_kernels import correlate
from .pairs import window_taps


def unsharp_mask(picture: NDArray[np.uint8], sigma: float, amount: int) -> NDArray[np.uint8]:
    """Sharpen: f + amount (f - Gaussian of f), clipped and cut to 8 bit.

    Parameters
    ----------
    picture : ndarray, uint8, (height, width)
    sigma : float
        Of the Gaussian, pixels; cut at 4 sigma, edges reflected.
    amount : int

    Returns
    -------
    ndarray, uint8, (height, width)
    """
    picture = read_only(picture)
    sums = weighted_sums(picture, gaussian_weights(sigma), "reflect")
    return _unsharp(picture, sums, amount, 2 * WEIGHT_BITS)


def window_blur(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Blur with a Gaussian window of `size` x `size` pixels, edges mirrored, rounded.

    The same numbers as OpenCV's 8-bit `GaussianBlur` with sigma from the size.
    """
    sums = _window_sums(picture, size, "mirror")
    return _rounded(sums, 2 * WINDOW_BITS)


def darker_than_surroundings(
    picture: NDArray[np.uint8], size: int, offset: int
) -> NDArray[np.bool_]:
    """Adaptive threshold: where a pixel is at or below its Gaussian-weighted mean minus `offset`.

    The black side of OpenCV's adaptive Gaussian threshold.

    Parameters
    ----------
    picture : ndarray, uint8, (height, width)
    size : int
        Of the window, pixels; odd. Edge pixels repeat.
    offset : int
        Gray levels.

    Returns
    -------
    ndarray, bool, (height, width)
    """
    picture = read_only(picture)
    sums = _window_sums(picture, size, "nearest")
    return _darker(picture, sums, offset, 2 * WINDOW_BITS)


def weighted_sums(
    picture: NDArray[np.uint8], weights: NDArray[np.int32], rule: EdgeRule
) -> NDArray[np.int64]:
    """Correlate with `weights` along both axes, exactly.

    Parameters
    ----------
    picture : ndarray, uint8, (height, width)
    weights : ndarray, int32, (2 * radius + 1,)
        Non-negative and symmetric, of sum 2**18 at most.
    rule : EdgeRule
        What lies beyond the edges.

    Returns
    -------
    ndarray, int64, (height, width)
        Not divided by the weights' sum squared.
    """
    sums = np.empty(picture.shape, np.int64)  # below 2**44
    _correlate(picture, weights, rule, sums)
    return sums


def _window_sums(picture: NDArray[np.uint8], size: int, rule: EdgeRule) -> NDArray[np.int32]:
    sums = np.empty(picture.shape, np.int32)  # below 2**24
    _correlate(picture, window_weights(size), rule, sums)
    return sums


def _correlate(
    picture: NDArray[np.uint8],
    weights: NDArray[np.int32],
    rule: EdgeRule,
    sums: NDArray[np.int32] | NDArray[np.int64],
) -> None:
    """Weigh down the columns, then along the rows; of whole numbers, whichever comes first."""
    height, width = picture.shape
    radius = weights.size // 2
    along_y, along_x = edge_index(height, radius, rule), edge_index(width, radius, rule)
    correlate(read_only(picture), window_taps(weights.tobytes()), along_y, along_x, sums)


@compiled
def _unsharp(
    picture: NDArray[np.uint8], sums: NDArray[np.int64], amount: int, bits: int
) -> NDArray[np.uint8]:
    out = np.empty(picture.shape, np.uint8)
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            level = ((np.int64(picture[y, x]) * (1 + amount) << bits) - amount * sums[y, x]) >> bits
            out[y, x] = min(max(level, 0), 255)
    return out


@compiled
def _rounded(sums: NDArray[np.int32], bits: int) -> NDArray[np.uint8]:
    out = np.empty(sums.shape, np.uint8)
    half = np.int64(1) << (bits - 1)
    for y in range(sums.shape[0]):
        for x in range(sums.shape[1]):
            out[y, x] = (sums[y, x] + half) >> bits
    return out


@compiled
def _darker(
    picture: NDArray[np.uint8], sums: NDArray[np.int32], offset: int, bits: int
) -> NDArray[np.bool_]:
    """Compare with the mean rounded to the nearest level, and to the even one of two."""
    out = np.empty(picture.shape, np.bool_)
    half = np.int64(1) << (bits - 1)
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            odd = (sums[y, x] >> bits) & 1
            mean = (sums[y, x] + half - 1 + odd) >> bits
            out[y, x] = np.int64(picture[y, x]) <= mean - offset
    return out
