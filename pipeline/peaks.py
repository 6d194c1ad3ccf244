"""Peaks of a picture's histogram: how many phases of distinct brightness there seem to be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled


@compiled
def count_peaks(histogram: NDArray[np.int64], bins: int, prominence_percent: int) -> int:
    """Count the prominent peaks of the non-zero gray levels.

    The levels present are gathered into `bins` equal bins from the lowest to the highest, and
    one empty bin is appended, so that a peak in the last bin counts (published code's constant).
    A peak is a bin, or a run of equal bins, higher than its neighbours; a bin at the very start
    has no neighbour and is none. The same as scipy.signal.find_peaks with a prominence, except
    that a prominence must exceed its share of the tallest bin, and that the arithmetic is exact.

    Parameters
    ----------
    histogram : ndarray, int64, (256,)
        Pixels per gray level; level 0 is left out.
    bins : int
    prominence_percent : int
        Of the tallest bin.

    Returns
    -------
    int
    """
    low = 0
    high = 0
    for level in range(1, 256):
        if histogram[level] > 0:
            low = level if low == 0 else low
            high = level
    heights = np.zeros(bins + 1, np.int64)
    if high == 0:
        return 0
    tallest = 0
    for level in range(low, high + 1):
        # one level alone goes to the middle, where it can be a peak
        at = (level - low) * bins // (high - low) if high > low else bins // 2
        at = min(at, bins - 1)
        heights[at] += histogram[level]
        tallest = max(tallest, heights[at])
    peaks = 0
    start = 1
    while start < bins:
        end = start
        while end < bins and heights[end + 1] == heights[start]:
            end += 1
        is_peak = (
            heights[start - 1] < heights[start]
            and end < bins
            and heights[end + 1] < heights[start]
            and 100 * _prominence(heights, start) > prominence_percent * tallest
        )
        peaks += is_peak
        start = end + 1
    return peaks


@compiled
def _prominence(heights: NDArray[np.int64], peak: int) -> int:
    """Height above the higher of the two lowest places on the way to higher ground."""
    height = int(heights[peak])
    left = height
    at = peak
    while at >= 0 and heights[at] <= height:
        left = min(left, int(heights[at]))
        at -= 1
    right = height
    at = peak
    while at < heights.shape[0] and heights[at] <= height:
        right = min(right, int(heights[at]))
        at += 1
    return height - max(left, right)
