"""The parent image on the method's grid, in one pass over its rows, in exact arithmetic."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .compiled import read_only
from .counts import MOST, count_factors
from .gaussian import WEIGHT_BITS
from .grid import Grid
from .pair_kernels import Counts, shrink_counts, shrink_levels, shrink_scaled
from .pairs import line_taps, pixel_taps
from .scale import Scaling

STEP_BITS = 4
"""Sums count 1/16 gray level: intensities of more than 8 bit are not cut before the blur."""

TOP = 255 << STEP_BITS
"""The highest step: white."""


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
    taps = (
        line_taps(grid.parent_height, grid.rows),
        pixel_taps(grid.parent_width, grid.columns),
    )
    image = read_only(image)
    if scaling.method == "8-bit as is":
        shrunk = np.empty(grid.shape, np.uint8)
        shrink_levels(image, taps, 2 * WEIGHT_BITS, shrunk)
        return shrunk
    counts = _as_counts(image, scaling)
    if counts is not None:
        shrunk = np.empty(grid.shape, np.uint8)
        shrink_counts(image, counts, taps, 2 * WEIGHT_BITS + STEP_BITS, shrunk)
        return shrunk
    sums = np.empty(grid.shape, np.int64)
    scale = _as_floats(scaling)
    if shrink_scaled(image, scale, taps, 0, sums) == 0:
        sums >>= 2 * WEIGHT_BITS + STEP_BITS
    else:
        invalid = ~np.isfinite(image)
        weights = np.empty(grid.shape, np.int64)
        shrink_levels(read_only(invalid.view(np.uint8)), taps, 0, weights)
        np.subtract(2 ** (2 * WEIGHT_BITS), weights, out=weights)
        sums //= np.maximum(weights << STEP_BITS, 1)
    return sums.astype(np.uint8)


def _as_counts(image: NDArray[Any], scaling: Scaling) -> Counts | None:
    """Say how 16-bit counts become steps in whole numbers; None where that is not the same."""
    low, high = scaling.low, scaling.high
    if image.dtype != np.uint16 or not (low.is_integer() and high.is_integer()):
        return None
    if not 0 <= low < high <= MOST:
        return None
    span = int(high - low)
    factors = count_factors(span, TOP, image.shape[1])
    return None if factors is None else (int(low), span, *factors)


def _as_floats(scaling: Scaling) -> tuple[float, float, float]:
    """Say how any numbers become steps: offset, factor, and the highest step."""
    span = scaling.high - scaling.low
    gain = TOP / span if span > 0.0 else 0.0
    return scaling.low, gain if isfinite(gain) else 0.0, float(TOP)
