"""One orientation of a picture out of eight, chosen by the picture itself.

What follows may then prefer left to right and top to bottom: a picture that is turned or mirrored
is worked on in the same orientation, and its boxes are turned or mirrored with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

from .lattice import Levels

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
        turned = boxes.copy()
        x, y, size = boxes.T
        first, second = (1, 0) if self.transposed else (0, 1)
        turned[:, first] = width - x - size if self.across else x
        turned[:, second] = height - y - size if self.down else y
        return turned

    def undo_boxes(self, boxes: NDArray[np.int32], height: int, width: int) -> NDArray[np.int32]:
        """Bring boxes x, y, size back into a picture of `height` x `width`."""
        turned = boxes.copy()
        size = boxes[:, 2]
        x, y = (boxes[:, 1], boxes[:, 0]) if self.transposed else (boxes[:, 0], boxes[:, 1])
        turned[:, 0] = width - x - size if self.across else x
        turned[:, 1] = height - y - size if self.down else y
        return turned


def find_orientation(cells: Levels) -> Orientation:
    """Choose the orientation that puts most brightness to the left, the top, and the upper right.

    Parameters
    ----------
    cells : ndarray, float32, (rows, columns)
        Gray levels; whole ones count.
    """
    across, down, transposed = _most_brightness(cells)
    return Orientation(across=across, down=down, transposed=transposed)


@compiled
def _most_brightness(cells: Levels) -> tuple[bool, bool, bool]:
    """Compare the sides in whole numbers, so that a turned picture compares alike."""
    rows, columns = cells.shape
    of_rows = np.zeros(rows, np.int64)
    of_columns = np.zeros(columns, np.int64)
    for y in range(rows):
        line = cells[y]
        total = 0
        for x in range(columns):
            total += int(line[x])
            of_columns[x] += int(line[x])
        of_rows[y] = total
    # as far from the middle as they are: a sum over halves alone forgets the line between them
    to_the_right = 0
    upper_right = 0
    for x in range(columns):
        to_the_right += int(of_columns[x]) * (2 * x - (columns - 1))
        upper_right += int(of_columns[x]) ** 2
    below = 0
    lower_left = 0
    for y in range(rows):
        below += int(of_rows[y]) * (2 * y - (rows - 1))
        lower_left += int(of_rows[y]) ** 2
    transposed = lower_left * rows > upper_right * columns
    return bool(to_the_right > 0), bool(below > 0), bool(transposed)
