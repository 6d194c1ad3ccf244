"""What the quality gate measures on the grid image, in integers: the same on every machine.

All of it rests on one idea. The picture, averaged over small squares, is split into a bright and
a dark class. If there is a particle, the two classes differ by much more than squares usually
differ from their neighbours, the step between them is steep, the border of the picture lies in
one of them, and one of them is thick somewhere. Which of the two is the particle is not assumed
until the polarity is asked for, so that a bright-field picture is told from an empty one.

Coordinates: x right, y down, in grid cells. Arrays are (row, column).
"""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from .quality_kernels import largest_part, largest_square, step_between, two_classes

IntImage = NDArray[np.int32]
Number = TypeVar("Number", bound=np.generic)

SQUARES = 25
"""Averaging squares along the shorter side, about: 5 x 5 cells of 128."""

BORDER = 32
"""The border is one such part of the shorter side wide."""

RESOLUTION = 0.25
"""Gray levels: a smaller spread cannot be told from the rounding to 8 bit."""

SMALLEST = 8
"""Cells per side below which there is nothing to measure."""

MEASURES = (
    "contrast",
    "texture",
    "contrast_to_texture",
    "edge_to_texture",
    "thickness",
    "bright_border",
    "bright_fraction",
    "body_cells",
    "clipped_body",
)
"""Names, in the order in which a trained model takes them."""


def measure(grid_image: NDArray[np.uint8], saturated_fraction: float) -> dict[str, float]:
    """Measure how much a picture looks like a particle on a background.

    Parameters
    ----------
    grid_image : ndarray, uint8, (rows, columns)
        The parent on the method's grid.
    saturated_fraction : float
        Share of the parent's pixels that are exactly at its maximum.

    Returns
    -------
    dict
        ``contrast``: mean of the bright class less that of the dark one, gray levels.
        ``texture``: how much a square differs from its neighbour, gray levels.
        ``contrast_to_texture``: their ratio; about 2 for noise, whatever its strength.
        ``edge_to_texture``: step across the boundary of the classes, in units of the texture;
        about 2 for noise, film and slopes.
        ``thickness``: side of the largest square within one class, as a share of the shorter
        side; small for lattices and noise.
        ``bright_border``: share of the border in the bright class.
        ``bright_fraction``: share of the picture in it.
        ``body_cells``: cells of its largest connected part that are bright themselves.
        ``clipped_body``: pixels at the maximum for each pixel of the bright class, at most 1;
        0 where the texture is exactly 0: such a picture is drawn, and its plateaus are honest.

        All are 0 for a flat picture.
    """
    shorter = min(grid_image.shape)
    if shorter < SMALLEST:
        return dict.fromkeys(MEASURES, 0.0)
    square = max(3, (shorter // SQUARES) | 1)
    sums = _sums_over_squares(grid_image, square)
    bright = np.empty(sums.shape, dtype=np.uint8)
    threshold, contrast = two_classes(sums, bright)
    if contrast == 0.0:
        return dict.fromkeys(MEASURES, 0.0)
    cells = square * square  # one gray level in the sums
    contrast /= cells
    texture = _texture(sums, square) / cells
    grain = max(texture, RESOLUTION)
    border = _border(bright, max(1, shorter // BORDER))
    bright_fraction = int(np.count_nonzero(bright)) / bright.size
    clipped = min(1.0, saturated_fraction / bright_fraction) if texture > 0.0 else 0.0
    # averaging widens a speck to a square: only cells that are bright themselves are counted
    middles = _without_edge(grid_image, square // 2)
    itself_bright = (middles > threshold / cells).astype(np.uint8)
    return {
        "contrast": contrast,
        "texture": texture,
        "contrast_to_texture": contrast / grain,
        "edge_to_texture": step_between(sums, bright, square) / cells / grain,
        "thickness": largest_square(bright) / shorter,
        "bright_border": int(np.count_nonzero(border)) / border.size,
        "bright_fraction": bright_fraction,
        "body_cells": float(largest_part(bright, itself_bright)),
        "clipped_body": clipped,
    }


def _sums_over_squares(image: NDArray[np.uint8], square: int) -> IntImage:
    """Sum over the square around each cell, where it fits in.

    Squares that reach over the edge would see the picture mirrored, and that turns a lattice into
    bright and dark stripes along the edge.
    """
    sums = cv2.boxFilter(image, cv2.CV_32S, (square, square), normalize=False)
    return np.ascontiguousarray(_without_edge(sums, square // 2), dtype=np.int32)


def _without_edge(image: NDArray[Number], width: int) -> NDArray[Number]:
    return image[width:-width, width:-width]


def _texture(sums: IntImage, square: int) -> int:
    """Median difference of neighbouring squares, along rows or columns, whichever is larger.

    The larger one: scan lines and fringes differ across, not along. Where more than half of the
    squares are equal (a background cut off at black, single electrons on nothing) the median
    says nothing: there, two thirds of the differences are smaller.
    """
    apart = sums[::square, ::square]
    textures = []
    for axis in (0, 1):
        steps = np.abs(np.diff(apart, axis=axis)).ravel()
        middle, higher = steps.size // 2, 2 * steps.size // 3
        ordered = np.partition(steps, (middle, higher))
        textures.append(int(ordered[middle]) or int(ordered[higher]))
    return max(textures)


def _border(image: NDArray[Number], width: int) -> NDArray[Number]:
    """Cells within `width` of the picture's border, in one dimension."""
    inner = image[width:-width]
    return np.concatenate(
        [
            image[:width].ravel(),
            image[-width:].ravel(),
            inner[:, :width].ravel(),
            inner[:, -width:].ravel(),
        ]
    )
