"""The convex hull, literally: a pixel is in it if no edge of the hull has it outside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Point = tuple[int, int]


def convex_hull(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Hull of the diamonds of all pixels; coordinates doubled."""
    points = sorted(
        {
            (2 * int(x) + dx, 2 * int(y) + dy)
            for y, x in np.argwhere(mask)
            for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1))
        }
    )
    hull = np.zeros(mask.shape, np.bool_)
    if points:
        corners = _half(points) + _half(points[::-1])
        edges = list(zip(corners, [*corners[1:], corners[0]], strict=True))
        for y, x in np.ndindex(mask.shape):
            hull[y, x] = all(_turn(a, b, (2 * x, 2 * y)) >= 0 for a, b in edges)
    return hull


def _half(points: list[Point]) -> list[Point]:
    chain: list[Point] = []
    for point in points:
        while len(chain) >= 2 and _turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return chain[:-1]


def _turn(a: Point, b: Point, c: Point) -> int:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
