"""The parent image on the method's grid, in one pass over its rows, in exact arithmetic."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled, read_only
from .gaussian import WEIGHT_BITS, resampling
from .grid import Grid
from .scale import Scaling

STEP_BITS = 4
"""Sums count 1/16 gray level: intensities of more than 8 bit are not cut before the blur."""

BLOCK = 32_768
"""Parent pixels brought to gray levels at a time: what a core's cache holds."""


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
    sums, missing = _weighted_sums(image, scaling, grid)
    levels = sums >> (2 * WEIGHT_BITS + STEP_BITS)
    if missing is not None:
        weights = 2 ** (2 * WEIGHT_BITS) - missing
        levels = np.where(missing > 0, sums // np.maximum(weights << STEP_BITS, 1), levels)
    grid_image: NDArray[np.uint8] = levels.astype(np.uint8)
    return grid_image


def _weighted_sums(
    image: NDArray[Any], scaling: Scaling, grid: Grid
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Return the cells' weighted sums, and the weights of the invalid pixels if there are any."""
    image = read_only(image)
    height, width = image.shape
    along_y = resampling(height, grid.rows)
    along_x = resampling(width, grid.columns)
    sums = np.zeros((grid.rows, width), dtype=np.int32)
    if scaling.method == "8-bit as is":
        _add_rows(image, 0, *along_y, sums)
        return _sum_along_x(sums, *along_x) << STEP_BITS, None
    top = 255 << STEP_BITS
    span = scaling.high - scaling.low
    gain = top / span if span > 0.0 else 0.0
    step = max(BLOCK // width, 1)
    block = np.empty((step, width), dtype=np.int32)
    missing: NDArray[np.int32] | None = None
    for start in range(0, height, step):
        lines = image[start : start + step]
        invalid = _scale(lines, block, scaling.low, gain if isfinite(gain) else 0.0, float(top))
        _add_rows(block[: len(lines)], start, *along_y, sums)
        if invalid:
            missing = np.zeros_like(sums) if missing is None else missing
            _add_rows((~np.isfinite(lines)).astype(np.int32), start, *along_y, missing)
    if missing is None:
        return _sum_along_x(sums, *along_x), None
    return _sum_along_x(sums, *along_x), _sum_along_x(missing, *along_x)


@compiled
def _scale(
    lines: NDArray[Any], block: NDArray[np.int32], low: float, gain: float, top: float
) -> int:
    """Bring intensities to 0..top, invalid pixels to 0; return how many are invalid."""
    invalid = 0
    for y in range(lines.shape[0]):
        pixels = lines[y]
        line = block[y]
        for x in range(pixels.shape[0]):
            finite = np.isfinite(pixels[x])
            invalid += not finite
            scaled = (np.float64(pixels[x]) - low) * gain if finite else np.float64(0.0)
            line[x] = np.int32(min(max(scaled, 0.0), top) + 0.5)
    return invalid


@compiled
def _add_rows(
    block: NDArray[Any],
    start: int,
    first: NDArray[np.int64],
    weights: NDArray[np.int32],
    sums: NDArray[np.int32],
) -> None:
    """Add the parent rows from `start` on to the grid rows they belong to.

    Sums stay below 2**18 * 4080 < 2**30: exact in 32 bit.
    """
    rows, taps = weights.shape
    low = 0
    for y in range(start, start + block.shape[0]):
        while low < rows and first[low] + taps <= y:
            low += 1
        row = low
        line = block[y - start]
        while row < rows and first[row] <= y:
            target = sums[row]
            weight = weights[row, y - first[row]]
            for x in range(line.shape[0]):
                target[x] += np.int32(line[x]) * weight
            row += 1


@compiled
def _sum_along_x(
    sums: NDArray[np.int32], first: NDArray[np.int64], weights: NDArray[np.int32]
) -> NDArray[np.int64]:
    """Sum the parent columns of each grid column; below 2**48.

    On the transposed sums, so that the innermost loop runs along memory.
    """
    rows, width = sums.shape
    columns, taps = weights.shape
    turned = np.empty((width, rows), np.int32)
    for left in range(0, width, 16):
        for row in range(rows):
            for x in range(left, min(left + 16, width)):
                turned[x, row] = sums[row, x]
    out = np.empty((rows, columns), np.int64)
    total = np.empty(rows, np.int64)
    for column in range(columns):
        for row in range(rows):
            total[row] = 0
        for tap in range(taps):
            weight = np.int64(weights[column, tap])
            line = turned[first[column] + tap]
            for row in range(rows):
                total[row] += np.int64(line[row]) * weight
        for row in range(rows):
            out[row, column] = total[row]
    return out
