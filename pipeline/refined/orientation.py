"""One orientation of a picture out of eight, chosen by the picture itself.

What follows may then prefer left to right and top to bottom: a picture that is turned or mirrored
is worked on in the same orientation, and its boxes are turned or mirrored with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """Mirrored left to right, top to bottom, then transposed."""

    across: bool
    down: bool
    transposed: bool

    def view(self, array: NDArray[Number]) -> NDArray[Number]:
        """Look at an array (height, width) in this orientation, without a copy."""
        turned = array[:: -1 if self.down else 1, :: -1 if self.across else 1]
        return turned.T if self.transposed else turned

    def apply(self, array: NDArray[Number]) -> NDArray[Number]:
        """Bring an array (height, width) into this orientation."""
        return np.ascontiguousarray(self.view(array))

    def undo(
        self, rectangle: tuple[int, int, int, int], height: int, width: int
    ) -> tuple[int, int, int, int]:
        """Bring a rectangle (x0, y0, x1, y1) back into a picture of `height` x `width`."""
        x0, y0, x1, y1 = rectangle
        if self.transposed:
            x0, y0, x1, y1 = y0, x0, y1, x1
        if self.across:
            x0, x1 = width - x1, width - x0
        if self.down:
            y0, y1 = height - y1, height - y0
        return x0, y0, x1, y1

    def do_boxes(self, boxes: NDArray[np.int32], height: int, width: int) -> NDArray[np.int32]:
        """Bring boxes x, y, size of a picture of `height` x `width` into this orientation."""
        x, y, size = boxes.T
        if self.across:
            x = width - x - size
        if self.down:
            y = height - y - size
        if self.transposed:
            x, y = y, x
        return np.stack([x, y, size], axis=1).astype(np.int32)

    def undo_boxes(self, boxes: NDArray[np.int32], height: int, width: int) -> NDArray[np.int32]:
        """Bring boxes x, y, size back into a picture of `height` x `width`."""
        x, y, size = boxes.T
        if self.transposed:
            x, y = y, x
        if self.across:
            x = width - x - size
        if self.down:
            y = height - y - size
        return np.stack([x, y, size], axis=1).astype(np.int32)


def find_orientation(cells: NDArray[np.uint8]) -> Orientation:
    """Choose the orientation that puts most brightness to the left, the top, and the upper right.

    Parameters
    ----------
    cells : ndarray, uint8, (rows, columns)
    """
    levels = cells.astype(np.int64)
    rows, columns = levels.shape
    # as far from the middle as they are: a sum over halves alone forgets the line between them
    along = 2 * np.arange(columns) - (columns - 1)
    across = bool((levels.sum(axis=0) * along).sum() > 0)
    below = 2 * np.arange(rows) - (rows - 1)
    down = bool((levels.sum(axis=1) * below).sum() > 0)
    turned = Orientation(across=across, down=down, transposed=False).apply(levels)
    upper_right = int((turned.sum(axis=0) ** 2).sum()) * columns
    lower_left = int((turned.sum(axis=1) ** 2).sum()) * rows
    return Orientation(across=across, down=down, transposed=lower_left > upper_right)
