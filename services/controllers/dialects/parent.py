"""What every dialect is made from: a parent image's size, and boxes or points on it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.int32]
"""(N, 3): x, y, size in parent pixels, x right, y down, upper-left corner."""


class Parent(NamedTuple):
    """Size of the image on which boxes lie, in pixels."""

    height: int
    width: int


class Unrepresentable(ValueError):
    """A batch cannot be said in a dialect without changing it; says which box, and why."""


class Points(NamedTuple):
    """Where the beam is to stand.

    `xy` is (N, 2) float64, in parent pixels: x right, y down, from the outer corner of the upper
    left pixel, so that the centre of pixel (i, j) is at (i + 0.5, j + 0.5).
    """

    xy: NDArray[np.float64]

    def on_grid(self, parent: Parent, *, rows: int, columns: int) -> NDArray[np.int64]:
        """Return the position of each point on a grid over the whole parent, (N, 2): column, row.

        Raises
        ------
        Unrepresentable
            If a point lies outside the parent, or two fall on the same position.
        """
        extent = np.array([parent.width, parent.height])
        outside = np.flatnonzero(((self.xy < 0) | (self.xy >= extent)).any(axis=1))
        if outside.size:
            x, y = self.xy[outside[0]]
            raise Unrepresentable(
                f"point {outside[0]} at x {x:g}, y {y:g} lies outside the parent of "
                f"{parent.width} x {parent.height} px"
            )
        positions = np.floor(self.xy * np.array([columns, rows]) / extent).astype(np.int64)
        twice = len(positions) - len(np.unique(positions, axis=0))
        if twice:
            raise Unrepresentable(
                f"{twice} of {len(positions)} points fall on positions of a {columns} x {rows} grid "
                "that others have already: they would be scanned twice"
            )
        return positions

    @classmethod
    def of_grid(
        cls, positions: NDArray[np.int64], parent: Parent, *, rows: int, columns: int
    ) -> Points:
        """Return the centres of the parent pixels in which grid positions have their middle."""
        extent = np.array([parent.width, parent.height])
        middle = (positions + 0.5) * extent / np.array([columns, rows])
        return cls(np.floor(middle) + 0.5)
