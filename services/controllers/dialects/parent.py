"""What every dialect is made from: a parent image's size, and boxes or points on it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.controllers.points import Points

Boxes = NDArray[np.int32]
"""(N, 3): x, y, size in parent pixels, x right, y down, upper-left corner."""


class Parent(NamedTuple):
    """Size of the image on which boxes lie, in pixels."""

    height: int
    width: int


class Unrepresentable(ValueError):
    """A batch cannot be said in a dialect without changing it; says which box, and why.

    `place` is the box's, in the order that was to be written; None if it is no single box's fault.
    """

    def __init__(self, why: str, place: int | None = None) -> None:
        super().__init__(why)
        self.place = place


def on_grid(points: Points, parent: Parent, *, rows: int, columns: int) -> NDArray[np.int64]:
    """Return the position of each point on a grid over the whole parent, (M, 2): column, row.

    Raises
    ------
    Unrepresentable
        If a point lies outside the parent, or two fall on the same position: it would be scanned
        twice.
    """
    xy = np.stack([points.x_px, points.y_px], axis=1)
    extent = np.array([parent.width, parent.height])
    outside = np.flatnonzero(((xy < 0) | (xy >= extent)).any(axis=1))
    if outside.size:
        x, y = xy[outside[0]]
        raise Unrepresentable(
            f"point {outside[0]} at x {x}, y {y} lies outside the parent of "
            f"{parent.width} x {parent.height} px"
        )
    positions: NDArray[np.int64] = np.floor(xy * [columns, rows] / extent).astype(np.int64)
    twice = len(positions) - len(np.unique(positions, axis=0))
    if twice:
        raise Unrepresentable(
            f"{twice} of {len(positions)} points fall on positions of a {columns} x {rows} grid "
            "that others have already: they would be scanned twice"
        )
    return positions


def middles(
    positions: NDArray[np.int64], parent: Parent, *, rows: int, columns: int
) -> NDArray[np.float64]:
    """Return where the middle of each grid position lies, (M, 2): x, y in parent pixels."""
    extent = np.array([parent.width, parent.height])
    return np.asarray((positions + 0.5) * extent / np.array([columns, rows]))
