"""Squares over a particle's regions: the largest first, each where it leaves the least over.

Arrays are (row, column), in cells of the particle's lattice.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .lattice import Levels
from .room import find_room
from .slivers import without_slivers
from .squares import may_be_mixed, take_squares


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a box may be.

    Parameters
    ----------
    least, most : int
        Side, cells.
    outside : float
        Share outside the particle.
    impurity : float
        Share of what is inside that lies in other regions.
    max_error : float
        Sum over its cells of the squared difference from its mean.
    left_out : float
        Share of the particle that may stay without boxes.
    rims_first : bool
        Whether single cells at the particle's edge that are dark beside their neighbours are left
        out first; those with the least to tell of its levels, if not.
    """

    least: int
    most: int
    outside: float
    impurity: float
    max_error: float
    left_out: float
    rims_first: bool


def cover(
    labels: NDArray[np.uint8], levels: Levels, limits: Limits
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Cover the regions with squares that do not overlap.

    Sizes go down from the largest. Of one size the square is taken that keeps the limits and has
    the most of its sides against other squares and other regions, until there is none; of equal
    ones the first, down each column, columns left to right. In the end those that hold the fewest
    cells are left out, as many as `left_out` allows.

    Parameters
    ----------
    labels : ndarray, uint8, (rows, columns)
        0 outside, regions from 1.
    levels : ndarray, float32, (rows, columns)
    limits : Limits

    Returns
    -------
    boxes : ndarray, int32, (N, 3)
        x, y, size.
    regions : ndarray, uint8, (N,)
        The commonest region of each.
    """
    most = min(limits.most, *labels.shape)
    window = _window(labels, limits.outside * most)
    mixed = may_be_mixed(most, limits.outside, limits.impurity)
    room = find_room(labels, levels, window, most, mixed)
    shares = (limits.outside, limits.impurity, limits.max_error)
    boxes, regions, held = take_squares(room, window[:2], (limits.least, most), shares)
    area = cv2.countNonZero(labels)
    spare = int(limits.left_out * area) - (area - int(held.sum()))
    if spare > 0:
        kept = without_slivers((boxes, held), (labels, levels), spare, limits.rims_first)
        boxes, regions = boxes.compress(kept, axis=0), regions.compress(kept)
    return boxes, regions


def _window(labels: NDArray[np.uint8], beyond: float) -> tuple[int, int, int, int]:
    """Bound the particle, and so much around it as a square may lie beyond it: x, y, width, height.

    A row of a square that holds none of the particle is a share of it that lies outside.
    """
    x, y, columns, rows = cv2.boundingRect(labels)
    around = int(beyond + 1e-6)
    left, top = max(x - around, 0), max(y - around, 0)
    right = min(x + columns + around, labels.shape[1])
    bottom = min(y + rows + around, labels.shape[0])
    return left, top, right - left, bottom - top
