"""The convex hull of a mask, exactly: integers only, no tolerance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled


@compiled
def convex_hull(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill the convex hull of `mask`.

    A pixel stands for the diamond through the middles of its four sides, as in scikit-image's
    `convex_hull_image`; the hull holds every pixel whose centre lies in or on it. Coordinates
    are doubled, so that all these points are integers.

    Parameters
    ----------
    mask : ndarray, bool, (height, width)

    Returns
    -------
    ndarray, bool, (height, width)
        Empty if the mask is.
    """
    height, width = mask.shape
    far = 4 * width + 4
    # Extreme points of each half row: half row 2 y + 1 runs through the centres of row y.
    left = np.full(2 * height + 1, far, np.int64)
    right = np.full(2 * height + 1, -far, np.int64)
    for y in range(height):
        first = -1
        last = -1
        for x in range(width):
            if mask[y, x]:
                first = x if first < 0 else first
                last = x
        if first >= 0:
            left[2 * y + 1] = min(left[2 * y + 1], 2 * first - 1)
            right[2 * y + 1] = max(right[2 * y + 1], 2 * last + 1)
            for half_row in (2 * y, 2 * y + 2):
                left[half_row] = min(left[half_row], 2 * first)
                right[half_row] = max(right[half_row], 2 * last)
    _pull_taut(left, far)
    for half_row in range(2 * height + 1):
        right[half_row] = -right[half_row]
    _pull_taut(right, far)
    hull = np.zeros((height, width), np.bool_)
    for y in range(height):
        if left[2 * y + 1] < far:
            # `left` and `right` now are the least x, doubled and rounded up, of either side.
            for x in range((left[2 * y + 1] + 1) // 2, -right[2 * y + 1] // 2 + 1):
                hull[y, x] = True
    return hull


@compiled
def _pull_taut(side: NDArray[np.int64], far: int) -> None:
    """Replace the points (half row, side[half row]) by the string pulled taut on their left.

    Where there is no point, `side` is `far`. Between the first and the last point the string's
    place is rounded up; beyond them `side` stays `far`.
    """
    knots = np.empty(side.shape[0], np.int64)
    count = 0
    for at in range(side.shape[0]):
        if side[at] >= far:
            continue
        while count >= 2:
            a, b = knots[count - 2], knots[count - 1]
            # b stays only if it lies strictly left of the line from a to `at`
            if (side[b] - side[a]) * (at - a) < (side[at] - side[a]) * (b - a):
                break
            count -= 1
        knots[count] = at
        count += 1
    for knot in range(count - 1):
        a, b = knots[knot], knots[knot + 1]
        rise = side[b] - side[a]
        for at in range(a + 1, b):
            side[at] = side[a] - (-rise * (at - a)) // (b - a)
