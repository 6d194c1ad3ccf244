"""Boxes as points, for controllers that take a list of positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .controller import Box


class Points(NamedTuple):
    """Positions box by box, and within a box row by row; each (M,)."""

    x_px: NDArray[np.float64]
    y_px: NDArray[np.float64]
    """In parent pixels from the upper-left corner: the centre of the first pixel is 0.5, 0.5."""
    place: NDArray[np.int32]
    """Of the box in the sequence that was expanded, for what comes back point by point."""

    @property
    def columns(self) -> NDArray[np.int32]:
        """The pixel columns that the points lie in."""
        return np.floor(self.x_px).astype(np.int32)

    @property
    def rows(self) -> NDArray[np.int32]:
        """The pixel rows that the points lie in."""
        return np.floor(self.y_px).astype(np.int32)


def expand(boxes: Sequence[Box], per_edge: int) -> Points:
    """Lay n x n points into each box, at the centres of n x n equal squares.

    Parameters
    ----------
    boxes
        In parent pixels.
    per_edge
        n; 1 is the box's centre. With n equal to the box's size each pixel has one, at its centre;
        with more some pixels have two (`bounds.refusals` refuses such boxes).

    Raises
    ------
    ValueError
        n is below 1.
    """
    if per_edge < 1:
        raise ValueError(f"per_edge: came {per_edge}; expected 1 or more points along an edge")
    squares = np.array([(box.x_px, box.y_px, box.size_px) for box in boxes], np.int64)
    x, y, size = squares.reshape(-1, 3).T[..., None, None]
    # One rounding, in the division: a pixel's centre is exact.
    steps = 2 * np.arange(per_edge) + 1
    across = x + steps[None, None, :] * size / (2 * per_edge)
    down = y + steps[None, :, None] * size / (2 * per_edge)
    shape = (len(boxes), per_edge, per_edge)
    return Points(
        x_px=np.broadcast_to(across, shape).ravel(),
        y_px=np.broadcast_to(down, shape).ravel(),
        place=np.repeat(np.arange(len(boxes), dtype=np.int32), per_edge**2),
    )
