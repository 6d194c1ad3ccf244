"""From regions to acquisition boxes.

Source: Day et al., Sci. Rep. 15, 17180 (2025), Methods, Algorithms 1 and 2. Coordinates: x right,
y down, from the upper-left corner, in cells of the crop. A box x, y, size is the square
[x, x + size) x [y, y + size).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .checks import check_range
from .compiled import compiled, read_only

Algorithm = Literal[1, 2]

Taken = tuple[NDArray[np.int32], NDArray[np.uint8]]
"""Squares x, y, size in the order taken, and the region of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxParams:
    """Constants of the step; the defaults are the published ones.

    Parameters
    ----------
    algorithm : 2 or 1
        2 takes the largest square at each pixel of the walk, 1 the largest squares of the region
        first.
    max_box_percent : int
        Largest box, in percent of the crop's shorter side.

    Raises
    ------
    ValueError
        If a constant is out of range.
    """

    algorithm: Algorithm = 2
    max_box_percent: int = 20

    def __post_init__(self) -> None:
        if self.algorithm not in (1, 2):
            raise ValueError(f"algorithm: came {self.algorithm!r}; expected 1 or 2")
        check_range("max_box_percent", self.max_box_percent, 1, 100)


def box(
    labels: NDArray[np.uint8], params: BoxParams | None = None
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Cover every region of `labels` with squares: completely, without overlap.

    Both algorithms go region by region, and through a region's pixels down each column, columns
    left to right. Of equally large squares Algorithm 1 takes the first in that order.

    Parameters
    ----------
    labels : ndarray, uint8, (height, width)
        0 is background, regions count from 1.
    params : BoxParams, optional

    Returns
    -------
    boxes : ndarray, int32, (N, 3)
        x, y, size in cells of the crop, region by region, each in the order taken.
    regions : ndarray, uint8, (N,)
        The region of each box.
    """
    params = params or BoxParams()
    limit = largest_box(labels.shape, params.max_box_percent)
    take = _first_fit if params.algorithm == 2 else _largest_first
    boxes, regions = take(read_only(labels), limit)
    # A square lies in one region, so one walk serves all regions; a stable sort parts them.
    order = np.argsort(regions, kind="stable")
    return boxes[order], regions[order]


def largest_box(shape: tuple[int, ...], max_box_percent: int) -> int:
    """`max_box_percent` % of the crop's shorter side, rounded up: at least 1."""
    return -(-max_box_percent * min(shape) // 100)


@compiled
def _first_fit(labels: NDArray[np.uint8], limit: int) -> Taken:
    """Algorithm 2."""
    height, width = labels.shape
    free = labels.copy()  # the region of a free pixel, 0 where there is none
    taken = np.empty((height * width, 3), np.int32)
    regions = np.empty(height * width, np.uint8)
    count = 0
    for x in range(width):
        for y in range(height):
            region = free[y, x]
            if region == 0:
                continue
            most = min(limit, height - y, width - x)
            size = 1
            while size < most and _grows(free, x, y, size, region):
                size += 1
            regions[count] = _take(free, taken[count], (x, y, size))
            count += 1
    return taken[:count].copy(), regions[:count].copy()


@compiled
def _grows(free: NDArray[np.uint8], x: int, y: int, size: int, region: int) -> bool:
    """Whether the square at x, y can have one row and column more."""
    for step in range(size + 1):
        if free[y + size, x + step] != region or free[y + step, x + size] != region:
            return False
    return True


@compiled
def _largest_first(labels: NDArray[np.uint8], limit: int) -> Taken:
    """Algorithm 1.

    `fits` is the largest free square with its upper-left corner at a pixel. Going through the
    sizes from the largest down, no square larger than the present size is left, so one that is
    taken changes `fits` only as far to the left and above as its own size reaches.
    """
    height, width = labels.shape
    free = labels.copy()
    fits = np.zeros((height + 1, width + 1), np.int32)
    _measure(free, fits, limit, (0, 0, width, height))
    taken = np.empty((height * width, 3), np.int32)
    regions = np.empty(height * width, np.uint8)
    count = 0
    for size in range(min(limit, height, width), 0, -1):
        for x in range(width - size + 1):
            for y in range(height - size + 1):
                if fits[y, x] < size:
                    continue
                regions[count] = _take(free, taken[count], (x, y, size))
                count += 1
                reach = (max(x - size + 1, 0), max(y - size + 1, 0), x + size, y + size)
                _measure(free, fits, limit, reach)
    return taken[:count].copy(), regions[:count].copy()


@compiled
def _measure(
    free: NDArray[np.uint8],
    fits: NDArray[np.int32],
    limit: int,
    window: tuple[int, int, int, int],
) -> None:
    """Fill `fits` within the window x0, y0, x1, y1 from right to left, bottom to top."""
    height, width = free.shape
    x0, y0, x1, y1 = window
    for y in range(y1 - 1, y0 - 1, -1):
        for x in range(x1 - 1, x0 - 1, -1):
            region = free[y, x]
            if region == 0:
                fits[y, x] = 0
            elif (
                y + 1 < height
                and x + 1 < width
                and free[y + 1, x] == region
                and free[y, x + 1] == region
                and free[y + 1, x + 1] == region
            ):
                around = min(fits[y + 1, x], fits[y, x + 1], fits[y + 1, x + 1])
                fits[y, x] = min(around + 1, limit)
            else:
                fits[y, x] = 1


@compiled
def _take(
    free: NDArray[np.uint8], taken: NDArray[np.int32], square: tuple[int, int, int]
) -> np.uint8:
    """Write a square down and mark it used; return its region."""
    x, y, size = square
    taken[0] = x
    taken[1] = y
    taken[2] = size
    region: np.uint8 = free[y, x]
    for row in range(y, y + size):
        for column in range(x, x + size):
            free[row, column] = 0
    return region
