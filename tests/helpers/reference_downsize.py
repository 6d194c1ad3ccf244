"""The downsize, literally: blur the whole line, then interpolate; then whole matrices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (  # type: ignore[attr-defined] # scipy hides its names from mypy
    gaussian_filter1d,
)

from pipeline.gaussian import WEIGHT_BITS, resampling


def resampling_matrix(pixels: int, cells: int) -> NDArray[np.float64]:
    """(cells, pixels): what each pixel of a line gives to each cell, in floating point."""
    factor = pixels / cells
    impulses = np.eye(pixels)
    blurred = impulses
    if pixels > cells:
        blurred = gaussian_filter1d(impulses, (factor - 1) / 2, axis=0, mode="mirror", truncate=4.0)
    at = (np.arange(cells) + 0.5) * factor - 0.5
    below = np.minimum(np.floor(at + 1e-9).astype(int), pixels - 1)
    above = np.minimum(below + 1, pixels - 1)
    share = np.clip(at - below, 0.0, 1.0)[:, None]
    matrix: NDArray[np.float64] = (1 - share) * blurred[below] + share * blurred[above]
    return matrix


def integer_matrix(pixels: int, cells: int) -> NDArray[np.int64]:
    """(cells, pixels): the pipeline's integer weights, spread out."""
    first, weights = resampling(pixels, cells)
    matrix = np.zeros((cells, pixels), np.int64)
    for cell in range(cells):
        matrix[cell, first[cell] : first[cell] + weights.shape[1]] = weights[cell]
    return matrix


def downsize_levels(
    levels: NDArray[np.int64], valid: NDArray[np.bool_], shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """Shrink whole numbers (1/16 gray levels) to `shape` in unbounded integers.

    Where `valid` is false the level does not count; a cell without any valid pixel is 0.
    """
    along_y = integer_matrix(levels.shape[0], shape[0]).astype(object)
    along_x = integer_matrix(levels.shape[1], shape[1]).astype(object)
    sums = along_y @ np.where(valid, levels, 0).astype(object) @ along_x.T
    weights = along_y @ valid.astype(object) @ along_x.T
    out = np.zeros(shape, np.uint8)
    for at in np.ndindex(shape):
        if weights[at] > 0:
            out[at] = sums[at] // (16 * weights[at])
    assert int(along_y.sum(axis=1)[0]) == 2**WEIGHT_BITS
    return out
