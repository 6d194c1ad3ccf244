"""Blur, unsharp mask and threshold, literally."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (  # type: ignore[attr-defined] # scipy hides its names from mypy
    correlate1d,
    gaussian_filter,
)

from pipeline.gaussian import EdgeRule


def weighted_sums(
    picture: NDArray[np.uint8], weights: NDArray[np.int32], rule: EdgeRule
) -> NDArray[np.int64]:
    """Correlate along y, then along x; scipy's sums are exact here, being below 2**53."""
    sums: NDArray[np.int64] = picture.astype(np.int64)
    for axis in (0, 1):
        sums = correlate1d(sums, weights.astype(np.int64), axis=axis, mode=rule)
    return sums


def unsharp_mask(picture: NDArray[np.uint8], sigma: float, amount: int) -> NDArray[np.uint8]:
    """In floating point on 0..1, as the method describes it."""
    fractions = picture / 255.0
    blurred = gaussian_filter(fractions, sigma, mode="reflect", truncate=4.0)
    sharp = np.clip(fractions + amount * (fractions - blurred), 0.0, 1.0)
    out: NDArray[np.uint8] = (sharp * 255.0).astype(np.uint8)
    return out
