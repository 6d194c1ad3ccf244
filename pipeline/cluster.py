"""From the filtered crop to regions of like intensity, by exact 1D k-means.

Source: Day et al., Sci. Rep. 15, 17180 (2025), Methods, Procedure 1. Their k-means starts from a
fixed random seed and may stop at a local optimum; this one finds the optimum itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from .checks import check_range
from .compiled import read_only
from .histogram import gray_levels
from .kmeans import optimal_thresholds
from .peaks import count_peaks

LEVELS = np.arange(256)

KFrom = Literal["composition", "n_elements", "peaks"]
"""What beside the peaks of the histogram went into k; "peaks" is nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterParams:
    """Constants of the step; the defaults are the published ones.

    Parameters
    ----------
    bins : int
        Of the histogram of the non-zero pixels.
    prominence_percent : int
        Of the tallest bin: a peak must be more prominent.

    Raises
    ------
    ValueError
        If a constant is out of range.
    """

    bins: int = 20
    prominence_percent: int = 5

    def __post_init__(self) -> None:
        check_range("bins", self.bins, 2, 256)
        check_range("prominence_percent", self.prominence_percent, 0, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clusters:
    """Regions of like intensity.

    Parameters
    ----------
    labels : ndarray, uint8, (height, width)
        0 is background; regions count from 1 by rising intensity.
    k : int
        Clusters made, background included.
    k_wanted : int
        Clusters that Procedure 1 asked for: more than k if the crop has fewer gray levels.
    n_peaks : int
        Prominent peaks of the histogram.
    k_from : "n_elements" or "peaks"
        Whether the number of elements was known.
    centers : tuple of float
        Mean gray level of each cluster, background first if there is one.
    """

    labels: NDArray[np.uint8]
    k: int
    k_wanted: int
    n_peaks: int
    k_from: KFrom
    centers: tuple[float, ...]

    @property
    def reason(self) -> str | None:
        """Why there is nothing to box, `code: what was measured`; None if there is something."""
        if self.labels.any():
            return None
        return (
            f"no particle: all {self.labels.size} cells of the crop are background after "
            f"filtering ({self.k} clusters); expected at least one region beside it"
        )


def cluster(
    filtered: NDArray[np.uint8],
    n_elements: int | None = None,
    params: ClusterParams | None = None,
) -> Clusters:
    """Group the pixels of `filtered` into regions of like intensity.

    Exact 1D k-means on all pixels, background included. The cluster that holds intensity 0 is
    the background; without such a pixel, nothing is.

    Parameters
    ----------
    filtered : ndarray, uint8, (height, width)
        As `preprocess` returns it.
    n_elements : int, optional
        Elements in the particle's composition, at least 1.
    params : ClusterParams, optional

    Returns
    -------
    Clusters

    Raises
    ------
    ValueError
        If `n_elements` is less than 1.
    """
    params = params or ClusterParams()
    histogram = gray_levels(filtered)
    n_peaks = count_peaks(histogram, params.bins, params.prominence_percent)
    k_wanted = choose_k(n_peaks, n_elements)
    thresholds = optimal_thresholds(histogram, k_wanted)
    label_of = np.full(256, 0 if histogram[0] else 1, dtype=np.uint8)
    for threshold in thresholds:
        label_of[threshold:] += 1
    starts = (0, *thresholds)
    counts = np.add.reduceat(histogram, starts)
    totals = np.add.reduceat(histogram * LEVELS, starts)
    return Clusters(
        labels=np.asarray(cv2.LUT(read_only(filtered), label_of), dtype=np.uint8),
        k=len(starts),
        k_wanted=k_wanted,
        n_peaks=n_peaks,
        k_from="peaks" if n_elements is None else "n_elements",
        centers=tuple((totals / counts).tolist()),
    )


def choose_k(n_peaks: int, n_elements: int | None) -> int:
    """Choose the number of clusters, background included (Procedure 1).

    The peaks decide (one cluster each, and the background), unless there is at most one or
    their number is two or more away from the number of elements: then the elements decide. If
    these are not known, the peaks decide alone, and at least one region is assumed.

    Raises
    ------
    ValueError
        If `n_elements` is less than 1.
    """
    if n_elements is None:
        return max(n_peaks, 1) + 1
    check_range("n_elements", n_elements, 1, 118)
    if n_peaks < 2 or abs(n_peaks - n_elements) >= 2:
        return n_elements + 1
    return n_peaks + 1
