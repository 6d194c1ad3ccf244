"""The published method, written plainly with scikit-image, scikit-learn, SciPy and NumPy.

The yardstick of `make bench`: what one writes first, from the description of the method (Day et
al., Sci. Rep. 15, 17180 (2025), Methods), with a library call wherever there is one. It has no
quality gate. Slow is its purpose; it is not meant to agree to the last bit.

Coordinates: x right, y down, from the upper-left corner, in cells of the grid. Arrays are
(row, column).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (  # type: ignore[attr-defined] # scipy hides its names from mypy
    gaussian_filter,
    median_filter,
)
from scipy.signal import (  # type: ignore[attr-defined] # scipy hides its names from mypy
    find_peaks,
)
from skimage.filters import unsharp_mask
from skimage.morphology import convex_hull_image
from skimage.transform import resize
from sklearn.cluster import KMeans

Gray = NDArray[np.uint8]
Box = tuple[int, int, int]
"""x, y, size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """What the method found, in cells of the grid.

    Parameters
    ----------
    bounding_box : (x0, y0, x1, y1)
        Half-open.
    labels : ndarray, int, (y1 - y0, x1 - x0)
        0 is background, regions count from 1 by rising intensity.
    boxes : list of (x, y, size)
    """

    bounding_box: tuple[int, int, int, int]
    labels: NDArray[np.int64]
    boxes: list[Box]


def locate(image: NDArray[Any], n_elements: int) -> Located:
    """Run all steps on a parent image, (height, width), that shows one particle."""
    grid_image = downsize(image)
    bounding_box, filtered = preprocess(grid_image)
    labels = cluster(filtered, n_elements)
    x0, y0, _, _ = bounding_box
    boxes = [(x0 + x, y0 + y, size) for x, y, size in cover(labels)]
    return Located(bounding_box=bounding_box, labels=labels, boxes=boxes)


def downsize(image: NDArray[Any]) -> Gray:
    """Shrink to 128 x 128, anti-aliased, 8 bit; raw counts are stretched between percentiles."""
    if image.dtype != np.uint8:
        low, high = np.percentile(image, (0.05, 99.95))
        image = np.clip((image - low) / (high - low), 0, 1) * 255
    small = resize(  # type: ignore[no-untyped-call] # no stubs
        image, (128, 128), anti_aliasing=True, preserve_range=True
    )
    whole: Gray = small.astype(np.uint8)
    return whole


def preprocess(grid_image: Gray) -> tuple[tuple[int, int, int, int], Gray]:
    """Find the particle; return its bounding box and the crop with its background zero."""
    bounding_box = find_particle(grid_image)
    x0, y0, x1, y1 = bounding_box
    crop = grid_image[y0:y1, x0:x1]
    cutoff, contrast = find_cutoff(crop)
    hull = convex_hull_image(crop > cutoff)  # type: ignore[no-untyped-call] # no stubs
    brightened = np.minimum(crop.astype(int) + ceil(0.2 * contrast), 255)
    sharp = sharpen(np.where(hull, brightened, 0).astype(np.uint8), sigma=3, amount=3)
    return bounding_box, median_filter(sharp, size=3, mode="nearest")


def find_particle(grid_image: Gray) -> tuple[int, int, int, int]:
    """Enclose what the adaptive threshold puts on the other side than the border."""
    smooth = window_blur(sharpen(grid_image, sigma=5, amount=5), size=15, mode="mirror")
    dark = smooth <= np.rint(window_blur(smooth, size=7, mode="nearest")) - 2
    border = np.concatenate([dark[0], dark[-1], dark[1:-1, 0], dark[1:-1, -1]])
    rows, columns = np.nonzero(~dark if border.mean() > 0.5 else dark)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def sharpen(picture: Gray, *, sigma: float, amount: float) -> Gray:
    """Unsharp mask on 0..1, back to 8 bit."""
    sharp = unsharp_mask(  # type: ignore[no-untyped-call] # no stubs
        picture / 255, radius=sigma, amount=amount
    )
    whole: Gray = (sharp * 255).astype(np.uint8)
    return whole


def window_blur(picture: NDArray[Any], *, size: int, mode: str) -> NDArray[np.float64]:
    """Gaussian of `size` x `size`, sigma from the size as OpenCV derives it, whole levels."""
    sigma = 0.3 * ((size - 1) / 2 - 1) + 0.8
    blurred = gaussian_filter(picture.astype(float), sigma, radius=size // 2, mode=mode)
    whole: NDArray[np.float64] = np.rint(blurred)
    return whole


def find_cutoff(crop: Gray) -> tuple[int, int]:
    """Return the cutoff, and the range R of the levels along the crop's diagonal."""
    steps = np.arange(min(crop.shape))
    height, width = crop.shape
    levels = crop[steps * height // len(steps), steps * width // len(steps)].astype(int)
    contrast = int(np.ptp(levels))
    flat = np.abs(np.diff(levels)) < ceil(0.01 * contrast)
    low = levels[1:] < ceil(0.1 * contrast)
    background = [levels[0], *levels[1:][flat & low]]
    return int(max(background)) + ceil(0.1 * contrast), contrast


def cluster(filtered: Gray, n_elements: int) -> NDArray[np.int64]:
    """Procedure 1, then k-means on the pixels from a fixed seed."""
    k = choose_k(filtered, n_elements)
    pixels = filtered.reshape(-1, 1).astype(float)
    found = KMeans(k, random_state=0).fit(pixels)  # type: ignore[no-untyped-call] # no stubs
    rank = np.argsort(np.argsort(found.cluster_centers_.ravel()))
    labels: NDArray[np.int64] = rank[found.labels_].reshape(filtered.shape)
    return labels


def choose_k(filtered: Gray, n_elements: int) -> int:
    """Let the peaks of the histogram decide, unless they are too far from the elements."""
    heights, _ = np.histogram(filtered[filtered > 0], bins=20)
    peaks, _ = find_peaks([*heights, 0], prominence=0.05 * heights.max())
    if len(peaks) < 2 or abs(len(peaks) - n_elements) >= 2:
        return n_elements + 1
    return len(peaks) + 1


def cover(labels: NDArray[np.int64]) -> list[Box]:
    """Algorithm 2: at each free pixel down the columns, the largest square that fits."""
    limit = ceil(0.2 * min(labels.shape))
    boxes = []
    for region in range(1, labels.max() + 1):
        free = labels == region
        height, width = free.shape
        for x in range(width):
            for y in range(height):
                if free[y, x]:
                    size = 1
                    most = min(limit, height - y, width - x)
                    while size < most and free[y : y + size + 1, x : x + size + 1].all():
                        size += 1
                    free[y : y + size, x : x + size] = False
                    boxes.append((x, y, size))
    return boxes
