"""How far the refined method's boxes are from the fewest that would hold the same cells.

    python -m benchmarks.fewest [SEED] [IMAGES]

A lower bound by linear programming: boxes may be taken in part, as long as they add up to one over
each cell. The fewest whole boxes lie between it and what is made; seconds a particle.
"""

from __future__ import annotations

import sys
from statistics import median
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog  # type: ignore[attr-defined] # scipy hides its names from mypy
from scipy.sparse import csc_array

from pipeline import process
from pipeline.emulation import emulate
from pipeline.refined import particle
from pipeline.refined.cover import Limits, cover

Mask = NDArray[np.bool_]


def fits(labels: NDArray[np.uint8], levels: NDArray[np.float32], limits: Limits, size: int) -> Mask:
    """Say where a box of this size may begin, (rows - size + 1, columns - size + 1)."""
    inside = _sums(labels > 0, size)
    largest = np.max(
        [_sums(labels == one, size) for one in range(1, int(labels.max()) + 1)], axis=0
    )
    known = np.where(labels > 0, levels, 0.0).astype(np.float64)
    total, squares = _sums(known, size), _sums(known * known, size)
    error = squares - total * total / np.maximum(inside, 1.0)
    mostly_inside = inside >= (1.0 - limits.outside) * size * size
    pure = largest >= (1.0 - limits.impurity) * inside
    # one in a million more: sums are rounded otherwise than where boxes are made
    even = error <= limits.max_error * (1.0 + 1e-6) + 1e-6
    fitting: Mask = (inside > 0) & mostly_inside & pure & (even | (size == 1))
    return fitting


def _sums(values: NDArray[np.generic], size: int) -> NDArray[np.float64]:
    table = np.asarray(cv2.integral(values.astype(np.float64)), np.float64)
    return np.asarray(
        table[size:, size:] - table[:-size, size:] - table[size:, :-size] + table[:-size, :-size]
    )


def lower_bound(held: Mask, fitting: dict[int, Mask]) -> float:
    """Bound how few boxes hold these cells, each in one box, where boxes do not overlap.

    Parameters
    ----------
    held : ndarray, bool, (rows, columns)
        What must be in a box.
    fitting : dict of int to ndarray, bool
        Of each size, where a box may begin.

    Returns
    -------
    float
        The least sum of shares of boxes that adds up to one box over each cell: what whole boxes
        need is not less. Infinity if the cells cannot be held so.
    """
    cells = np.arange(held.size, dtype=np.int64).reshape(held.shape)
    columns = [
        cells[y : y + size, x : x + size].ravel()
        for size, starts in fitting.items()
        for y, x in np.argwhere(starts).tolist()
        if held[y : y + size, x : x + size].any()
    ]
    ends = np.cumsum([0, *(len(column) for column in columns)])
    rows = np.concatenate(columns)
    # scipy has no types
    over: Any = csc_array(  # type: ignore[no-untyped-call]
        (np.ones(rows.size), rows, ends), shape=(held.size, len(columns))
    ).tocsr()
    must, may = held.ravel(), ~held.ravel()
    found: Any = linprog(  # type: ignore[no-untyped-call]
        np.ones(len(columns)),
        A_eq=over[must],
        b_eq=np.ones(np.count_nonzero(must)),
        A_ub=over[may],
        b_ub=np.ones(np.count_nonzero(may)),
        method="highs-ipm",
    )
    return float(found.fun) if found.success else float("inf")


def main() -> None:
    """Print how many boxes are made, and how many are needed at least."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1301
    images = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    ratios: list[float] = []

    def recording(
        labels: NDArray[np.uint8], levels: NDArray[np.float32], limits: Limits
    ) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        boxes, regions = cover(labels, levels, limits)
        held = np.zeros(labels.shape, np.bool_)
        for x, y, size in boxes.tolist():
            held[y : y + size, x : x + size] |= labels[y : y + size, x : x + size] > 0
        sizes = range(limits.least, min(limits.most, *labels.shape) + 1)
        fitting = {size: fits(labels, levels, limits, size) for size in sizes}
        ratios.append(len(boxes) / lower_bound(held, fitting))
        return boxes, regions

    with patch.object(particle, "cover", recording):
        for index in range(images):
            made = emulate(index, seed)
            process(made.image, composition=made.composition, method="refined")
    sys.stdout.write(
        f"boxes over the bound: {median(ratios):.2f} in the median of {len(ratios)} particles "
        f"({min(ratios):.2f}..{max(ratios):.2f})\n"
    )


if __name__ == "__main__":
    main()
