"""Blur, unsharp mask and adaptive threshold of 8-bit pictures, in integers only."""

from __future__ import annotations

from typing import Any

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
from .turned import turned


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
    """Sum down the columns of the turned picture, turn the sums, sum down again."""
    height, width = picture.shape
    radius = weights.size // 2
    along_x = np.empty((width, height), np.int32)  # below 2**26
    _sum_down(turned(picture), weights, edge_index(width, radius, rule), along_x)
    _sum_down(turned(along_x), weights, edge_index(height, radius, rule), sums)


@compiled
def _sum_down(
    lines: NDArray[Any], weights: NDArray[np.int32], index: NDArray[np.int64], sums: NDArray[Any]
) -> None:
    """Weigh the lines around each line; `index` says which they are, from `radius` above on.

    Lines as far above as below have one weight: they are added first, for one multiplication
    instead of two. Three such pairs go in one pass, for one load and store of the sum.
    """
    radius = weights.shape[0] // 2
    for y in range(sums.shape[0]):
        target = sums[y]
        around = index[y : y + 2 * radius + 1]
        line, weight = lines[around[radius]], weights[radius]
        for x in range(target.shape[0]):
            target[x] = np.int32(line[x]) * weight
        tap = 0
        while tap + 3 <= radius:
            w0, w1, w2 = weights[tap], weights[tap + 1], weights[tap + 2]
            a0, a1, a2 = lines[around[tap]], lines[around[tap + 1]], lines[around[tap + 2]]
            b0 = lines[around[2 * radius - tap]]
            b1 = lines[around[2 * radius - tap - 1]]
            b2 = lines[around[2 * radius - tap - 2]]
            for x in range(target.shape[0]):
                target[x] += (
                    np.int32(a0[x] + b0[x]) * w0
                    + np.int32(a1[x] + b1[x]) * w1
                    + np.int32(a2[x] + b2[x]) * w2
                )
            tap += 3
        while tap < radius:
            weight = weights[tap]
            above, below = lines[around[tap]], lines[around[2 * radius - tap]]
            for x in range(target.shape[0]):
                target[x] += np.int32(above[x] + below[x]) * weight
            tap += 1


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
