"""Weights in pairs, unpacked again, and counts scaled one by one."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
from numpy.typing import NDArray

from pipeline.pairs import LineTaps, PixelTaps, WindowTaps


def matrix_of_lines(taps: LineTaps, pixels: int) -> NDArray[np.int64]:
    """(cells, pixels): what each line gives to each cell."""
    pairs, weights, _, _ = taps
    matrix = np.zeros((len(pairs), pixels + 1), np.int64)
    for cell, line in enumerate(zip(pairs.tolist(), weights.tolist(), strict=True)):
        for pair, both in zip(*line, strict=True):
            matrix[cell, 2 * pair] += both & 0xFFFF
            matrix[cell, 2 * pair + 1] += both >> 16
    assert not matrix[:, pixels].any()
    return matrix[:, :pixels]


def matrix_of_pixels(taps: PixelTaps, pixels: int) -> NDArray[np.int64]:
    """(cells, pixels): what each pixel gives to each cell."""
    bounds, starts, weights = taps
    vectors = weights.reshape(len(starts), -1)
    matrix = np.zeros((len(bounds) - 1, pixels + vectors.shape[1]), np.int64)
    for cell in range(len(matrix)):
        for vector in range(bounds[cell], bounds[cell + 1]):
            matrix[cell, starts[vector] : starts[vector] + vectors.shape[1]] += vectors[vector]
    assert not matrix[:, pixels:].any()
    return matrix[:, :pixels]


def window_of(taps: WindowTaps, size: int) -> NDArray[np.int64]:
    """(size,): the weights of a window."""
    window = np.zeros(size + 1, np.int64)
    for start, both in zip(*(each.tolist() for each in taps), strict=True):
        window[start] += both & 0xFFFF
        window[start + 1] += both >> 16
    assert window[size] == 0
    return window[:size]


def steps_in_floating_point(counts: NDArray[np.int64], span: int, top: int) -> NDArray[np.int64]:
    """Count above the lowest -> step, as `downsize` says it for numbers of any kind."""
    steps: NDArray[np.int64] = (counts * (top / span) + 0.5).astype(np.int64)
    return steps


def step_in_fractions(count: int, span: int, top: int) -> int:
    """Count above the lowest -> step, without any rounding but the last, halves up."""
    return floor(Fraction(count * top, span) + Fraction(1, 2))
