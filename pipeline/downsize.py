"""The parent image on the method's grid, in one pass over its rows, in exact arithmetic."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled
from .gaussian import WEIGHT_BITS, Resampling, resampling
from .grid import Grid
from .scale import Scaling

STEPS = 16
"""Steps per gray level in the sums: intensities of more than 8 bit are not cut before the blur."""


def downsize(image: NDArray[Any], scaling: Scaling, grid: Grid) -> NDArray[np.uint8]:
    """Shrink `image` to `grid`, anti-aliased, and cut it to 8 bit.

    Gaussian of sigma (factor - 1) / 2 per axis, cut at 4 sigma, with mirrored edges, then linear
    interpolation at the centres of the cells (published code's constants). Only the samples of
    the grid are computed. NaN and infinite pixels are left out of the weighted means, so that a
    dead pixel does not darken its surroundings; a cell of nothing else is 0.

    Parameters
    ----------
    image : ndarray, (height, width)
        As `as_image` returns it.
    scaling : Scaling
        The map from intensities to 0..255.
    grid : Grid
        For a parent of this size.

    Returns
    -------
    ndarray, uint8, (grid.rows, grid.columns)

    Raises
    ------
    ValueError
        If the grid is one of another parent, or "8-bit as is" meets an image that is not uint8.
    """
    if image.shape != (grid.parent_height, grid.parent_width):
        raise ValueError(
            f"grid: came one for a parent of {grid.parent_height} x {grid.parent_width} px; "
            f"expected one for the image's {image.shape[0]} x {image.shape[1]}"
        )
    if scaling.method == "8-bit as is" and image.dtype != np.uint8:
        raise ValueError(f"scaling: came '8-bit as is' for {image.dtype}; expected it for uint8")
    span = scaling.high - scaling.low
    gain = 255.0 * STEPS / span if span > 0.0 else 0.0
    scale = (scaling.low, gain if isfinite(gain) else 0.0)
    along_y = resampling(grid.parent_height, grid.rows)
    along_x = resampling(grid.parent_width, grid.columns)
    out, invalid = _downsize(image, scale, along_y, along_x, False)
    if invalid:
        out, _ = _downsize(image, scale, along_y, along_x, True)
    return out


@compiled
def _downsize(
    image: NDArray[Any],
    scale: tuple[float, float],
    along_y: Resampling,
    along_x: Resampling,
    weigh_validity: bool,
) -> tuple[NDArray[np.uint8], int]:
    """Return the grid image and the number of invalid pixels met.

    A parent row adds to the few grid rows that it belongs to (`open_row` .. `next_row`); a grid
    row that has all its parent rows is summed along x and written.
    """
    first, weights = along_y
    height, width = image.shape
    rows, taps = weights.shape
    overlap = 1
    for row in range(rows):
        while row + overlap < rows and first[row + overlap] < first[row] + taps:
            overlap += 1
    sums = np.zeros((overlap, width), np.int32)
    validities = np.zeros((overlap if weigh_validity else 0, width), np.int32)
    line = np.empty(width, np.int32)
    valid = np.ones(width, np.int32)
    out = np.empty((rows, along_x[0].shape[0]), np.uint8)
    invalid = 0
    open_row = 0
    next_row = 0
    for y in range(height):
        invalid += _scale_line(image[y], scale, weigh_validity, line, valid)
        while next_row < rows and first[next_row] == y:
            sums[next_row % overlap] = 0
            if weigh_validity:
                validities[next_row % overlap] = 0
            next_row += 1
        for row in range(open_row, next_row):
            weight = weights[row, y - first[row]]
            _add_line(sums[row % overlap], line, weight)
            if weigh_validity:
                _add_line(validities[row % overlap], valid, weight)
        while open_row < next_row and first[open_row] + taps == y + 1:
            slot = open_row % overlap
            if weigh_validity:
                _finish_weighed(sums[slot], validities[slot], along_x, out[open_row])
            else:
                _finish(sums[slot], along_x, out[open_row])
            open_row += 1
    return out, invalid


@compiled
def _scale_line(
    pixels: NDArray[Any],
    scale: tuple[float, float],
    mark: bool,
    line: NDArray[np.int32],
    valid: NDArray[np.int32],
) -> int:
    """Intensities to 0..255 in steps of 1/16; invalid pixels to 0, and marked if asked."""
    low, gain = scale
    invalid = 0
    for x in range(pixels.shape[0]):
        finite = np.isfinite(pixels[x])
        invalid += not finite
        scaled = (np.float64(pixels[x]) - low) * gain if finite else np.float64(0.0)
        line[x] = np.int32(min(max(scaled, 0.0), 255.0 * STEPS) + 0.5)
    if mark:
        for x in range(pixels.shape[0]):
            valid[x] = np.isfinite(pixels[x])
    return invalid


@compiled
def _add_line(sums: NDArray[np.int32], line: NDArray[np.int32], weight: np.int32) -> None:
    """Add one parent row to one grid row; below 2**15 * 4080 < 2**27, so exact in 32 bit."""
    for x in range(line.shape[0]):
        sums[x] += line[x] * weight


@compiled
def _finish(sums: NDArray[np.int32], along_x: Resampling, out: NDArray[np.uint8]) -> None:
    """Sum along x, below 2**42, and cut to 8 bit."""
    firsts, weights = along_x
    for column in range(out.shape[0]):
        total = np.int64(0)
        for tap in range(weights.shape[1]):
            total += np.int64(sums[firsts[column] + tap]) * np.int64(weights[column, tap])
        out[column] = (total >> (2 * WEIGHT_BITS)) // STEPS


@compiled
def _finish_weighed(
    sums: NDArray[np.int32],
    validities: NDArray[np.int32],
    along_x: Resampling,
    out: NDArray[np.uint8],
) -> None:
    """As `_finish`, over the valid pixels only."""
    firsts, weights = along_x
    for column in range(out.shape[0]):
        total = np.int64(0)
        share = np.int64(0)
        for tap in range(weights.shape[1]):
            weight = np.int64(weights[column, tap])
            total += np.int64(sums[firsts[column] + tap]) * weight
            share += np.int64(validities[firsts[column] + tap]) * weight
        out[column] = total // (share * STEPS) if share > 0 else 0
