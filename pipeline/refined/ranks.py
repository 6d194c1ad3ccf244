"""Order statistics without what numpy does beside."""

from __future__ import annotations

import numpy as np

from pipeline.compiled import compiled

from .lattice import Levels, Numbers


def rank(values: Levels | Numbers, share: float) -> float:
    """Return the value that this share of the values are below, or nearly.

    Parameters
    ----------
    values : ndarray, float32 or float64, (N,)
        At least one; their order is lost.
    share : float
        0..1.
    """
    at = round(share * (values.size - 1))
    values.partition(at)
    return float(values[at])


def spread(off: Levels | Numbers) -> float:
    """Estimate a standard deviation from distances, robustly; their order is lost."""
    np.abs(off, out=off)
    return 1.4826 * rank(off, 0.5)


def ends(values: Levels | Numbers, share: float) -> tuple[float, float]:
    """Return the values that this share of the values are below, and above, or nearly.

    Parameters
    ----------
    values : ndarray, float32 or float64, (N,)
        At least one, no NaN.
    share : float
        So small that only a few values are meant: they are kept in order one by one.
    """
    last = values.size - 1
    below, above = round(share * last), last - round((1.0 - share) * last)
    lowest, highest = _ends(values, below + 1, above + 1)
    return float(lowest), float(highest)


@compiled
def _ends(values: Levels | Numbers, below: int, above: int) -> tuple[float, float]:
    """Find the lowest value but so many, and the highest; hardly a value is among them."""
    lowest = np.full(below, np.inf, values.dtype)
    highest = np.full(above, -np.inf, values.dtype)
    for at in range(values.shape[0]):
        value = values[at]
        if value < lowest[below - 1]:
            place = below - 1
            while place > 0 and lowest[place - 1] > value:
                lowest[place] = lowest[place - 1]
                place -= 1
            lowest[place] = value
        if value > highest[above - 1]:
            place = above - 1
            while place > 0 and highest[place - 1] < value:
                highest[place] = highest[place - 1]
                place -= 1
            highest[place] = value
    return lowest[below - 1], highest[above - 1]
