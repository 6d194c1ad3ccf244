"""The grid of at most 128 x 128 cells that the method works on, and the way back to the parent.

Coordinates: x right, y down, from the upper-left corner. Cell i of n along a side of L parent
pixels is [i * L // n, (i + 1) * L // n): whole pixels, without gaps, whatever L is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CELLS = 128
"""Cells along the longer side (Day et al., Sci. Rep. 15, 17180 (2025), Methods)."""

MIN_CELLS = 16
"""Cells along the shorter side of a very long parent, as far as it has that many pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A grid over a parent image.

    Parameters
    ----------
    rows, columns : int
        Cells; at least one, at most as many as the parent has pixels there.
    parent_height, parent_width : int
        Parent pixels.

    Raises
    ------
    ValueError
        If there is no cell, or a cell would be smaller than a pixel.
    """

    rows: int
    columns: int
    parent_height: int
    parent_width: int

    def __post_init__(self) -> None:
        for name, cells, pixels in (
            ("rows", self.rows, self.parent_height),
            ("columns", self.columns, self.parent_width),
        ):
            if not 1 <= cells <= pixels:
                raise ValueError(
                    f"{name}: came {cells} cells on {pixels} parent pixels; "
                    "expected at least one cell, and no more cells than pixels"
                )

    @classmethod
    def for_parent(cls, height: int, width: int) -> Grid:
        """Choose the grid for a parent of `height` x `width` pixels.

        The longer side gets 128 cells, or one per pixel if it has fewer. The shorter side gets
        as many as keep the cells square (to the nearest), but at least 16, or one per pixel.
        """
        longer, shorter = max(height, width), min(height, width)
        along = min(CELLS, longer)
        across = (2 * shorter * along + longer) // (2 * longer)  # rounded, in integers
        across = min(max(across, MIN_CELLS), shorter)
        rows, columns = (along, across) if height >= width else (across, along)
        return cls(rows=rows, columns=columns, parent_height=height, parent_width=width)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.rows, self.columns

    def to_parent(self, boxes: NDArray[np.int32]) -> NDArray[np.int32]:
        """Turn boxes in cells into boxes in whole parent pixels.

        Parameters
        ----------
        boxes : ndarray, int32, (N, 3)
            x, y, size in cells, inside the grid.

        Returns
        -------
        ndarray, int32, (N, 3)
            x, y, size in parent pixels. Square: where the cells under a box are not (a side that
            128 does not divide), the shorter side counts, so that boxes which did not overlap in
            cells do not overlap in pixels, and lie inside the parent.
        """
        if self.parent_width % self.columns == 0 and self.parent_height % self.rows == 0:
            across, down = self.parent_width // self.columns, self.parent_height // self.rows
            return boxes * np.array([across, down, min(across, down)], dtype=np.int32)
        cells = boxes.astype(np.int64)
        x, y, size = cells[:, 0], cells[:, 1], cells[:, 2]
        left = x * self.parent_width // self.columns
        right = (x + size) * self.parent_width // self.columns
        top = y * self.parent_height // self.rows
        bottom = (y + size) * self.parent_height // self.rows
        side = np.minimum(right - left, bottom - top)
        return np.stack([left, top, side], axis=1).astype(np.int32)

    def rectangle_to_parent(
        self, rectangle: tuple[int, int, int, int]
    ) -> tuple[int, int, int, int]:
        """Turn a half-open rectangle (x0, y0, x1, y1) in cells into one in parent pixels."""
        x0, y0, x1, y1 = rectangle
        return (
            x0 * self.parent_width // self.columns,
            y0 * self.parent_height // self.rows,
            x1 * self.parent_width // self.columns,
            y1 * self.parent_height // self.rows,
        )
