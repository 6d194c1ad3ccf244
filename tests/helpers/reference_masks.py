"""What lies on a border, and what encloses it, literally."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def border_is_mostly(mask: NDArray[np.bool_]) -> bool:
    """Whether more than half of the border is in the mask; a single row or column counts twice."""
    border = [*mask[0], *mask[-1], *mask[1:-1, 0], *mask[1:-1, -1]]
    return 2 * sum(map(int, border)) > len(border)


def enclose(mask: NDArray[np.bool_], side: bool) -> tuple[int, int, int, int]:
    """Half-open x0, y0, x1, y1 of the cells that are `side`, all 0 if there are none."""
    cells = [(x, y) for y, x in np.ndindex(mask.shape) if mask[y, x] == side]
    if not cells:
        return 0, 0, 0, 0
    columns, rows = [x for x, _ in cells], [y for _, y in cells]
    return min(columns), min(rows), max(columns) + 1, max(rows) + 1
