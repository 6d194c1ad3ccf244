"""Exact k-means in one dimension, by dynamic programming over a histogram."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled


def optimal_thresholds(histogram: NDArray[np.int64], k: int) -> tuple[int, ...]:
    """Split gray levels into `k` clusters with the least sum of squared distances to their means.

    In one dimension the best clusters are intervals, so the optimum can be found exactly: no
    start values, no seed, no local optimum.

    Parameters
    ----------
    histogram : ndarray, int64, (256,)
        Pixels per gray level, at most 2**20 in all.
    k : int
        At least 1. More clusters than levels present make as many clusters as levels.

    Returns
    -------
    tuple of int
        Rising; cluster i starts at the i-th threshold (the first cluster has none). Each
        threshold is a level present. Of equally good splits the one with the lowest thresholds,
        the last threshold deciding first.
    """
    levels = np.flatnonzero(histogram)
    k = min(k, levels.size)
    if k <= 1:
        return ()
    starts = _optimal_starts(levels, histogram[levels], k)
    return tuple(levels[starts].tolist())


@compiled
def optimal_thresholds_up_to(histogram: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Do the same for each number of clusters up to `most`, or to as many as there are levels.

    Parameters
    ----------
    histogram : ndarray, int64, (256,)
        As above, not empty.
    most : int
        At least 1.

    Returns
    -------
    ndarray, int64, (clusters, clusters - 1)
        The first k - 1 numbers of row k - 1 are the thresholds of k clusters.
    """
    levels = np.flatnonzero(histogram)
    most = min(most, levels.size)
    starts = _best_starts(levels, histogram[levels], most)
    thresholds = np.zeros((most, most - 1), np.int64)
    for k in range(2, most + 1):
        thresholds[k - 1, : k - 1] = levels[_last_starts(starts[:k])]
    return thresholds


@compiled
def _optimal_starts(
    levels: NDArray[np.int64], counts: NDArray[np.int64], k: int
) -> NDArray[np.int64]:
    """Return the index of the first level of clusters 1 .. k - 1."""
    return _last_starts(_best_starts(levels, counts, k))


@compiled
def _best_starts(levels: NDArray[np.int64], counts: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Return where the last of up to k clusters starts best, for each end that it may have.

    Least squares about the means is most of sum(S * S / n) over clusters of n pixels with
    intensities summing to S. The squares are whole numbers below 2**53 and the quotients are
    rounded as IEEE 754 says, so the result is the same everywhere. `best[end]` is the most that
    the first `end` levels can give; the best start of the last cluster never moves left, neither
    with one level more nor with one cluster more, which bounds the search (Knuth).
    """
    n = levels.shape[0]
    pixels = np.zeros(n + 1, np.int64)
    sums = np.zeros(n + 1, np.int64)
    for i in range(n):
        pixels[i + 1] = pixels[i] + counts[i]
        sums[i + 1] = sums[i] + counts[i] * levels[i]
    best = np.zeros(n + 1, np.float64)
    for end in range(1, n + 1):
        best[end] = np.float64(sums[end] * sums[end]) / np.float64(pixels[end])
    starts = np.zeros((k, n + 2), np.int64)
    better = np.zeros(n + 1, np.float64)
    for clusters in range(1, k):
        starts[clusters, n + 1] = n - 1
        least = clusters if clusters < k - 1 else n - 1  # the last cluster ends at the last level
        for end in range(n, least, -1):
            most = -1.0
            first = max(starts[clusters - 1, end], clusters)
            for start in range(first, min(starts[clusters, end + 1], end - 1) + 1):
                total = sums[end] - sums[start]
                share = np.float64(total * total) / np.float64(pixels[end] - pixels[start])
                if best[start] + share > most:
                    most = best[start] + share
                    starts[clusters, end] = start
            better[end] = most
        best, better = better, best
    return starts


@compiled
def _last_starts(starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Follow the best starts back from the last level."""
    k = starts.shape[0]
    thresholds = np.empty(k - 1, np.int64)
    end = starts.shape[1] - 2
    for clusters in range(k - 1, 0, -1):
        end = starts[clusters, end]
        thresholds[clusters - 1] = end
    return thresholds
