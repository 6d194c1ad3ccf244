"""The preprocessing step in floating point, with scikit-image and OpenCV, as it is described."""

from __future__ import annotations

from itertools import pairwise
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.helpers.reference_filters import unsharp_mask
from tests.helpers.reference_hull import convex_hull


def bounding_box(grid_image: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Half-open x0, y0, x1, y1 of everything on the other side than most of the border."""
    blurred = cv2.GaussianBlur(unsharp_mask(grid_image, 5.0, 5), (15, 15), 0)
    sides = cv2.adaptiveThreshold(
        blurred, 1, cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY, 7, 2
    )
    border = [*sides[0], *sides[-1], *sides[1:-1, 0], *sides[1:-1, -1]]
    background = 1 if sum(int(side) for side in border) * 2 >= len(border) else 0
    cells = [(x, y) for y, x in np.ndindex(sides.shape) if sides[y, x] != background]
    columns, rows = [x for x, _ in cells], [y for _, y in cells]
    return min(columns), min(rows), max(columns) + 1, max(rows) + 1


def cutoff(crop: NDArray[np.uint8]) -> tuple[int, int]:
    """The cutoff, and R."""
    height, width = crop.shape
    steps = min(height, width)
    levels = [int(crop[i * height // steps, i * width // steps]) for i in range(steps)]
    contrast = max(levels) - min(levels)
    background = [levels[0]]
    for before, level in pairwise(levels):
        if abs(level - before) < ceil(contrast / 100) and level < ceil(contrast / 10):
            background.append(level)
    return ceil(max(background) + contrast / 10), contrast


def filtered(crop: NDArray[np.uint8], level: int, contrast: int) -> NDArray[np.uint8]:
    """Zero outside the hull; inside brightened, sharpened, smoothed."""
    hull = convex_hull(crop > level)
    brightened = np.zeros(crop.shape, np.uint8)
    for y, x in np.argwhere(hull):
        brightened[y, x] = min(int(crop[y, x]) + ceil(contrast / 5), 255)
    smooth = cv2.medianBlur(unsharp_mask(brightened, 3.0, 3), 3)
    return np.asarray(smooth, dtype=np.uint8)
