"""Algorithms 1 and 2, literally."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Taken = tuple[int, int, int, int]
"""x, y, size, region."""


def first_fit(labels: NDArray[np.uint8], limit: int) -> list[Taken]:
    """Algorithm 2: at each free pixel of the walk, the largest square that fits."""
    taken = []
    for region in range(1, int(labels.max()) + 1):
        free = labels == region
        for x, y in walk(free):
            if free[y, x]:
                size = largest_square(free, x, y, limit)
                free[y : y + size, x : x + size] = False
                taken.append((x, y, size, region))
    return taken


def largest_first(labels: NDArray[np.uint8], limit: int) -> list[Taken]:
    """Algorithm 1: again and again the largest square of the region, the walk's first of equals."""
    taken = []
    for region in range(1, int(labels.max()) + 1):
        free = labels == region
        while free.any():
            sizes = [(largest_square(free, x, y, limit), x, y) for x, y in walk(free)]
            largest = max(size for size, _, _ in sizes)
            x, y = next((x, y) for size, x, y in sizes if size == largest)
            free[y : y + largest, x : x + largest] = False
            taken.append((x, y, largest, region))
    return taken


def walk(free: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Pixels (x, y) down each column, columns left to right."""
    height, width = free.shape
    return [(x, y) for x in range(width) for y in range(height)]


def largest_square(free: NDArray[np.bool_], x: int, y: int, limit: int) -> int:
    """Size of the largest free square with its upper-left corner at x, y; 0 if not free."""
    size = 0
    height, width = free.shape
    while (
        size < min(limit, height - y, width - x) and free[y : y + size + 1, x : x + size + 1].all()
    ):
        size += 1
    return size
