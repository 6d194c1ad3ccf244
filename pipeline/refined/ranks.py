"""Order statistics without what numpy does beside."""

from __future__ import annotations

import numpy as np

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
