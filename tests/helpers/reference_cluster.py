"""Histogram peaks and k-means, literally."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.signal import (  # type: ignore[attr-defined] # scipy hides its names from mypy
    find_peaks,
)


def count_peaks(histogram: NDArray[np.int64], bins: int, prominence_percent: int) -> int:
    """Bins with exact edges, then scipy's peaks."""
    levels = [level for level in range(1, 256) if histogram[level]]
    if not levels:
        return 0
    low, high = levels[0], levels[-1]
    heights = [0] * (bins + 1)
    for level in levels:
        place = Fraction(level - low, high - low) * bins if high > low else Fraction(bins, 2)
        heights[min(int(place), bins - 1)] += int(histogram[level])
    _, found = find_peaks(heights, prominence=0)
    least = Fraction(prominence_percent * max(heights), 100)
    return sum(1 for prominence in found["prominences"] if prominence > least)


def cost(histogram: NDArray[np.int64], thresholds: tuple[int, ...]) -> Fraction:
    """Sum of squared distances to the clusters' means, exactly."""
    total = Fraction(0)
    for start, end in pairwise((0, *thresholds, 256)):
        levels = [(level, int(histogram[level])) for level in range(start, end)]
        pixels = sum(count for _, count in levels)
        if pixels:
            mean = Fraction(sum(level * count for level, count in levels), pixels)
            total += sum(((level - mean) ** 2 * count for level, count in levels), Fraction(0))
    return total


def optimal_thresholds(histogram: NDArray[np.int64], k: int) -> tuple[int, ...]:
    """Try every split; of equally good ones, the last threshold lowest, then the one before."""
    levels = [level for level in range(256) if histogram[level]]
    splits = combinations(levels[1:], max(min(k, len(levels)) - 1, 0))
    return min(splits, key=lambda split: (cost(histogram, split), split[::-1]))
