"""The pipeline with its deliberate differences from the published code switched back, one by one.

Only for the comparison with that code's outputs: it shows that a difference in the result comes
from the difference in the method that is named for it. Written from the description of the
method; coordinates in grid cells, x right, y down, from the upper-left corner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from pipeline import BoxParams, ClusterParams, PreprocessParams, box, choose_k, cluster
from pipeline.filters import darker_than_surroundings, unsharp_mask, window_blur
from pipeline.hull import convex_hull
from pipeline.peaks import count_peaks
from pipeline.preprocess import (
    diagonal,
    filter_particle,
    find_bounding_box,
    find_cutoff,
    percent,
)

DIFFERENCES = ("border", "last row and column", "diagonal", "saturation", "k-means")
"""border: background decided from the whole border, not from the corner pixel. last row and
column: part of the bounding box. diagonal: from corner to corner of the crop, not at 45 degrees.
saturation: brightening stops at 255 and does not wrap around. k-means: the optimum, not where a
random start leads."""

PREPROCESS, CLUSTER, BOX = PreprocessParams(), ClusterParams(), BoxParams()


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """What is compared: cells of the grid, and k."""

    bounding_box: tuple[int, int, int, int]
    k: int
    n_boxes: int
    boxed: NDArray[np.bool_]


def locate(
    grid_image: NDArray[np.uint8],
    n_elements: int,
    switched_back: frozenset[str] = frozenset(),
    seed: int = 0,
) -> Located:
    """Run the method on a grid image, with some of `DIFFERENCES` as in the published code.

    Parameters
    ----------
    grid_image : ndarray, uint8, (rows, columns)
    n_elements : int
    switched_back : frozenset of str
        Names from `DIFFERENCES`.
    seed : int
        Of the random start, if "k-means" is switched back.

    Returns
    -------
    Located
    """
    x0, y0, x1, y1 = bounding_box(grid_image, switched_back)
    crop = np.ascontiguousarray(grid_image[y0:y1, x0:x1])
    levels = np.diagonal(crop).astype(np.int64) if "diagonal" in switched_back else diagonal(crop)
    cutoff, contrast = find_cutoff(levels, PREPROCESS)
    mask = convex_hull(crop > cutoff)
    if "saturation" in switched_back:
        # Wrapping around: bright pixels become dark before the sharpening that follows.
        added = percent(PREPROCESS.brighten_percent, contrast)
        crop = ((crop.astype(np.int64) + added) % 256).astype(np.uint8)
        mask_params = PreprocessParams(brighten_percent=0)
        filtered = filter_particle(crop, mask, contrast, mask_params)
    else:
        filtered = filter_particle(crop, mask, contrast, PREPROCESS)
    if "k-means" in switched_back:
        labels, k = lloyd(filtered, n_elements, seed)
    else:
        clusters = cluster(filtered, n_elements, CLUSTER)
        labels, k = clusters.labels, clusters.k
    boxed = np.zeros(grid_image.shape, np.bool_)
    boxed[y0:y1, x0:x1] = labels > 0
    boxes, _ = box(labels, BOX)
    return Located(bounding_box=(x0, y0, x1, y1), k=k, n_boxes=len(boxes), boxed=boxed)


def bounding_box(
    grid_image: NDArray[np.uint8], switched_back: frozenset[str]
) -> tuple[int, int, int, int]:
    """Half-open; without the last row and column if that is switched back."""
    found = find_bounding_box(grid_image, PREPROCESS)
    if "border" in switched_back:
        sharp = unsharp_mask(
            grid_image, PREPROCESS.find_sharpen_sigma, PREPROCESS.find_sharpen_amount
        )
        smooth = window_blur(sharp, PREPROCESS.find_blur)
        dark = darker_than_surroundings(
            smooth, PREPROCESS.threshold_window, PREPROCESS.threshold_offset
        )
        rows, columns = np.nonzero(dark != dark[0, 0])
        if rows.size:
            found = (
                int(columns.min()),
                int(rows.min()),
                int(columns.max()) + 1,
                int(rows.max()) + 1,
            )
    if found is None:
        raise ValueError("grid_image: came without any foreground; expected a particle")
    x0, y0, x1, y1 = found
    shorten = 1 if "last row and column" in switched_back else 0
    return x0, y0, x1 - shorten, y1 - shorten


def lloyd(filtered: NDArray[np.uint8], n_elements: int, seed: int) -> tuple[NDArray[np.uint8], int]:
    """Cluster by k-means from one random start; 0 is background, regions by rising intensity."""
    histogram = np.bincount(filtered.ravel(), minlength=256)
    n_peaks = count_peaks(histogram, CLUSTER.bins, CLUSTER.prominence_percent)
    k = choose_k(n_peaks, n_elements)
    pixels = filtered.reshape(-1, 1).astype(np.float64)
    found = KMeans(k, n_init=1, random_state=seed).fit(pixels)  # type: ignore[no-untyped-call] # no stubs
    order = np.argsort(found.cluster_centers_.ravel())
    rank = np.empty(k, np.uint8)
    rank[order] = np.arange(k)
    return rank[found.labels_].reshape(filtered.shape), k
