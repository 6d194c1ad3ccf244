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
    "body_filled",
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
        ``body_filled``: their share of that part; small for specks that averaging has joined.
        ``clipped_body``: pixels at the maximum for each pixel of the bright class, at most 1;
        0 where more than half of the squares equal their neighbours exactly: such a picture is
        drawn, and its plateaus are honest.

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
    steps = _steps(sums, square)
    # the larger one: scan lines and fringes differ across, and not along
    texture = max(_usual(ordered) for ordered in steps) / cells
    drawn = all(ordered[ordered.size // 2] == 0 for ordered in steps)
    grain = max(texture, RESOLUTION)
    inside = _without_edge(bright, max(1, shorter // BORDER))
    bright_cells, bright_inside = _count(bright), _count(inside)
    bright_fraction = bright_cells / bright.size
    clipped = 0.0 if drawn else min(1.0, saturated_fraction / bright_fraction)
    # averaging widens a speck to a square: only cells that are bright themselves are counted
    middles = _without_edge(grid_image, square // 2)
    itself_bright = (middles > int(threshold / cells)).view(np.uint8)
    part_cells, body_cells = largest_part(bright, itself_bright)
    return {
        "contrast": contrast,
        "texture": texture,
        "contrast_to_texture": contrast / grain,
        "edge_to_texture": step_between(sums, bright, square) / cells / grain,
        "thickness": largest_square(bright) / shorter,
        "bright_border": (bright_cells - bright_inside) / (bright.size - inside.size),
        "bright_fraction": bright_fraction,
        "body_cells": float(body_cells),
        "body_filled": body_cells / max(part_cells, 1),
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


def _steps(sums: IntImage, square: int) -> tuple[IntImage, IntImage]:
    """Differences of neighbouring squares, down columns and along rows, by rising size."""
    down = np.abs(sums[square:, ::square] - sums[:-square, ::square])
    right = np.abs(sums[::square, square:] - sums[::square, :-square])
    return np.sort(down, axis=None), np.sort(right, axis=None)


def _usual(ordered: IntImage) -> int:
    """Take the value below which a third of the steps lie.

    A third, because that much background there is beside a large particle too, and a dome has no
    flat top. Where these are all 0, the background is cut off at black, or there is nothing but
    single electrons. The smaller of the other steps tell which: they are small beside a particle,
    and one electron's worth otherwise.
    """
    place = ordered.size // 3
    if ordered[place] == 0:
        zeros = int(np.searchsorted(ordered, 0, side="right"))
        place = min(zeros + (ordered.size - zeros) // 10, ordered.size - 1)
    return int(ordered[place])


def _count(classes: NDArray[np.uint8]) -> int:
    """Count the ones among zeros and ones."""
    return int(np.count_nonzero(classes.view(np.bool_)))
