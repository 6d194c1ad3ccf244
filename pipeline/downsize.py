"""The parent image on the method's grid, in one pass over its rows, in exact arithmetic."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled, read_only
from .gaussian import WEIGHT_BITS, Resampling, resampling
from .grid import Grid
from .scale import Scaling
from .turned import turned

STEP_BITS = 4
"""Sums count 1/16 gray level: intensities of more than 8 bit are not cut before the blur."""

BLOCK = 65_536
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
    along_y = resampling(grid.parent_height, grid.rows)
    along_x = resampling(grid.parent_width, grid.columns)
    sums, missing = _sum_rows(read_only(image), scaling, along_y)
    step_bits = 0 if scaling.method == "8-bit as is" else STEP_BITS
    levels = _sum_columns(turned(sums), *along_x)
    if missing is None:
        levels >>= 2 * WEIGHT_BITS + step_bits
    else:
        weights = 2 ** (2 * WEIGHT_BITS) - _sum_columns(turned(missing), *along_x)
        levels //= np.maximum(weights << step_bits, 1)
    return turned(levels.astype(np.uint8))


def _sum_rows(
    image: NDArray[Any], scaling: Scaling, along_y: Resampling
) -> tuple[NDArray[np.int32], NDArray[np.int32] | None]:
    """Return the grid rows' weighted sums, and the weights of the invalid pixels if there are any.

    Of gray levels where the image is 8 bit as is, else of steps.
    """
    height, width = image.shape
    sums = np.zeros((len(along_y[0]), width), dtype=np.int32)
    if scaling.method == "8-bit as is":
        _add_rows(image, 0, *along_y, sums)
        return sums, None
    top = 255 << STEP_BITS
    span = scaling.high - scaling.low
    gain = top / span if span > 0.0 else 0.0
    gain = gain if isfinite(gain) else 0.0
    block = np.empty((max(BLOCK // width, 1), width), dtype=np.int16)
    if not _add_scaled(image, block, (scaling.low, gain, float(top)), along_y, sums):
        return sums, None
    missing = np.zeros_like(sums)
    for start in range(0, height, len(block)):
        invalid = ~np.isfinite(image[start : start + len(block)])
        _add_rows(invalid.astype(np.int16), start, *along_y, missing)
    return sums, missing


@compiled
def _add_scaled(
    image: NDArray[Any],
    block: NDArray[np.int16],
    scale: tuple[float, float, float],
    along_y: Resampling,
    sums: NDArray[np.int32],
) -> int:
    """Scale the parent rows block by block and add them; return how many pixels are invalid."""
    low, gain, top = scale
    first, weights = along_y
    invalid = 0
    for start in range(0, image.shape[0], block.shape[0]):
        lines = image[start : start + block.shape[0]]
        invalid += _scale(lines, block, low, gain, top)
        _add_rows(block[: lines.shape[0]], start, first, weights, sums)
    return invalid


@compiled
def _scale(
    lines: NDArray[Any], block: NDArray[np.int16], low: float, gain: float, top: float
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
            line[x] = np.int16(min(max(scaled, 0.0), top) + 0.5)
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
    end = start + block.shape[0]
    for row in range(rows):
        low, high = max(first[row], start), min(first[row] + taps, end)
        if low < high:
            lines = block[low - start : high - start]
            _add_weighted(lines, weights[row, low - first[row] :], sums[row])


@compiled
def _sum_columns(
    columns: NDArray[np.int32], first: NDArray[np.int64], weights: NDArray[np.int32]
) -> NDArray[np.int64]:
    """Sum the parent columns of each grid column; below 2**48.

    The columns lie along memory, and so do the sums that are returned.
    """
    cells, taps = weights.shape
    sums = np.zeros((cells, columns.shape[1]), np.int64)
    for cell in range(cells):
        _add_weighted(columns[first[cell] : first[cell] + taps], weights[cell], sums[cell])
    return sums


@compiled
def _add_weighted(lines: NDArray[Any], weights: NDArray[np.int32], target: NDArray[Any]) -> None:
    """Add the lines, weighted, to `target`; four in one pass, for one load and store of it."""
    whole = lines.shape[0] // 4 * 4
    for tap in range(0, whole, 4):
        a, b, c, d = lines[tap], lines[tap + 1], lines[tap + 2], lines[tap + 3]
        for x in range(target.shape[0]):
            target[x] += (
                np.int32(a[x]) * weights[tap]
                + np.int32(b[x]) * weights[tap + 1]
                + np.int32(c[x]) * weights[tap + 2]
                + np.int32(d[x]) * weights[tap + 3]
            )
    for tap in range(whole, lines.shape[0]):
        line = lines[tap]
        for x in range(target.shape[0]):
            target[x] += np.int32(line[x]) * weights[tap]
