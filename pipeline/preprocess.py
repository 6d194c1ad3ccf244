"""From the grid image to the particle alone, its background zero.

Source: Day et al., Sci. Rep. 15, 17180 (2025), Methods; "published code's constant" where the
paper gives no figure. Coordinates: x right, y down, from the upper-left corner, in grid cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from .checks import check_odd, check_range
from .compiled import compiled, read_only
from .filters import darker_than_surroundings, unsharp_mask, window_blur
from .hull import convex_hull


@dataclass(frozen=True, slots=True, kw_only=True)
class PreprocessParams:
    """Constants of the step; the defaults are the published ones.

    Parameters
    ----------
    find_sharpen_sigma, find_sharpen_amount : float (cells), int
        Unsharp mask before the particle is looked for.
    find_blur : int
        Gaussian window after it, cells.
    threshold_window, threshold_offset : int
        Adaptive threshold: window in cells, gray levels below the mean.
    flat_percent, low_percent, margin_percent : int
        Of the range R along the crop's diagonal: what counts as a flat step, what as low, and
        how far above the highest flat low value the cutoff lies.
    brighten_percent : int
        Of R: added inside the particle (Eq. 1).
    sharpen_sigma, sharpen_amount : float (cells), int
        Unsharp mask of the filtered crop.
    median : int
        Window of the last blur, cells.

    Raises
    ------
    ValueError
        If a constant is out of range.
    """

    find_sharpen_sigma: float = 5.0
    find_sharpen_amount: int = 5
    find_blur: int = 15
    threshold_window: int = 7
    threshold_offset: int = 2
    flat_percent: int = 1
    low_percent: int = 10
    margin_percent: int = 10
    brighten_percent: int = 20
    sharpen_sigma: float = 3.0
    sharpen_amount: int = 3
    median: int = 3

    def __post_init__(self) -> None:
        check_range("find_sharpen_sigma", self.find_sharpen_sigma, 0.5, 32)
        check_range("find_sharpen_amount", self.find_sharpen_amount, 0, 100)
        check_odd("find_blur", self.find_blur, 1, 63)
        check_odd("threshold_window", self.threshold_window, 3, 63)
        check_range("threshold_offset", self.threshold_offset, 0, 255)
        check_range("flat_percent", self.flat_percent, 0, 100)
        check_range("low_percent", self.low_percent, 0, 100)
        check_range("margin_percent", self.margin_percent, 0, 100)
        check_range("brighten_percent", self.brighten_percent, 0, 100)
        check_range("sharpen_sigma", self.sharpen_sigma, 0.5, 32)
        check_range("sharpen_amount", self.sharpen_amount, 0, 100)
        check_odd("median", self.median, 1, 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessed:
    """The particle on its own.

    Parameters
    ----------
    bounding_box : (x0, y0, x1, y1)
        Half-open rectangle [x0, x1) x [y0, y1), grid cells; encloses the whole particle.
    cutoff : int
        Gray level; the particle is above it.
    contrast : int
        R, the range of gray levels along the crop's diagonal.
    mask : ndarray, bool, (y1 - y0, x1 - x0)
        Convex hull of what is above the cutoff.
    filtered : ndarray, uint8, (y1 - y0, x1 - x0)
        The particle brightened, sharpened and smoothed; zero outside (to within the smoothing).
    """

    bounding_box: tuple[int, int, int, int]
    cutoff: int
    contrast: int
    mask: NDArray[np.bool_]
    filtered: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingFound:
    """The answer where there is no particle.

    Parameters
    ----------
    reason : str
        `code: what was measured and what was expected`.
    """

    reason: str


def preprocess(
    grid_image: NDArray[np.uint8], params: PreprocessParams | None = None
) -> Preprocessed | NothingFound:
    """Find the particle in `grid_image`, crop to it and set its background to zero.

    Parameters
    ----------
    grid_image : ndarray, uint8, (rows, columns)
        As `downsize` returns it.
    params : PreprocessParams, optional

    Returns
    -------
    Preprocessed or NothingFound
    """
    params = params or PreprocessParams()
    box = find_bounding_box(grid_image, params)
    if box is None:
        return NothingFound(
            reason=f"empty: no cell is {params.threshold_offset} gray levels darker than its "
            f"surroundings (levels {grid_image.min()} to {grid_image.max()}); "
            "expected the outline of a particle"
        )
    x0, y0, x1, y1 = box
    crop = grid_image[y0:y1, x0:x1]
    cutoff, contrast = find_cutoff(diagonal(crop), params)
    mask = convex_hull(np.ascontiguousarray(crop > cutoff))
    if not mask.any():
        return NothingFound(
            reason=f"no particle: no cell of the bounding box x {x0}..{x1}, y {y0}..{y1} is above "
            f"the cutoff of {cutoff} gray levels; expected a particle brighter than its background"
        )
    return Preprocessed(
        bounding_box=box,
        cutoff=cutoff,
        contrast=contrast,
        mask=mask,
        filtered=filter_particle(crop, mask, contrast, params),
    )


def find_bounding_box(
    grid_image: NDArray[np.uint8], params: PreprocessParams
) -> tuple[int, int, int, int] | None:
    """Enclose everything that stands out from the background; None if nothing does.

    The adaptive threshold splits the sharpened image in two sides. Background is the side that
    holds the larger part of the image's border (the published code asks the corner pixel, which
    a particle in the corner turns around).

    Returns
    -------
    (x0, y0, x1, y1) or None
        Half-open, grid cells.
    """
    sharp = unsharp_mask(grid_image, params.find_sharpen_sigma, params.find_sharpen_amount)
    smooth = window_blur(sharp, params.find_blur)
    dark = darker_than_surroundings(smooth, params.threshold_window, params.threshold_offset)
    x0, y0, x1, y1 = enclose(dark, not border_is_mostly(dark))
    return (x0, y0, x1, y1) if x0 < x1 else None


@compiled
def border_is_mostly(mask: NDArray[np.bool_]) -> bool:
    """Say whether more than half of the border is in the mask."""
    height, width = mask.shape
    inside = 0
    for x in range(width):
        inside += int(mask[0, x]) + int(mask[height - 1, x])
    for y in range(1, height - 1):
        inside += int(mask[y, 0]) + int(mask[y, width - 1])
    return bool(inside > width + max(height - 2, 0))


@compiled
def enclose(mask: NDArray[np.bool_], side: bool) -> tuple[int, int, int, int]:
    """Find the smallest x0, y0, x1, y1 that holds all cells that are `side`; all 0 without any."""
    height, width = mask.shape
    x0, y0, x1, y1 = width, height, 0, 0
    for y in range(height):
        line = mask[y]
        first = 0
        while first < width and line[first] != side:
            first += 1
        if first == width:
            continue
        last = width - 1
        while line[last] != side:
            last -= 1
        x0, x1 = min(x0, first), max(x1, last + 1)
        y0, y1 = min(y0, y), y + 1
    return (x0, y0, x1, y1) if x1 > 0 else (0, 0, 0, 0)


def diagonal(crop: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Take gray levels along the line from the upper-left to the lower-right corner.

    One per step of the shorter side. Whatever the crop's proportions, the line crosses its
    middle; in a square crop it is the main diagonal.
    """
    height, width = crop.shape
    steps = min(height, width)
    step = np.arange(steps)
    levels: NDArray[np.uint8] = crop[step * height // steps, step * width // steps]
    return levels.astype(np.int64)


def find_cutoff(levels: NDArray[np.int64], params: PreprocessParams) -> tuple[int, int]:
    """Find the gray level that separates the particle from its background.

    Background is low and flat along the diagonal; the cutoff lies a margin above its highest
    such value. The first value always counts as background.

    Parameters
    ----------
    levels : ndarray, int64, (n,)
        As `diagonal` returns it.
    params : PreprocessParams

    Returns
    -------
    cutoff, contrast : int
        The cutoff, and R = max - min of the levels.
    """
    contrast = int(levels.max() - levels.min())
    flat = percent(params.flat_percent, contrast)
    low = percent(params.low_percent, contrast)
    highest = _highest_background(read_only(levels), flat, low)
    return highest + percent(params.margin_percent, contrast), contrast


@compiled
def _highest_background(levels: NDArray[np.int64], flat: int, low: int) -> int:
    """Find the highest of the levels below `low` that differ by less than `flat` from the last."""
    highest = levels[0]
    for at in range(1, levels.shape[0]):
        if levels[at] < low and abs(levels[at] - levels[at - 1]) < flat:
            highest = max(highest, levels[at])
    return int(highest)


def filter_particle(
    crop: NDArray[np.uint8], mask: NDArray[np.bool_], contrast: int, params: PreprocessParams
) -> NDArray[np.uint8]:
    """Zero outside the mask; inside brighten (Eq. 1, saturating), sharpen and smooth."""
    brightened = _brighten(read_only(crop), mask, percent(params.brighten_percent, contrast))
    sharp = unsharp_mask(brightened, params.sharpen_sigma, params.sharpen_amount)
    smooth = cv2.medianBlur(sharp, params.median)
    return np.asarray(smooth, dtype=np.uint8)


@compiled
def _brighten(crop: NDArray[np.uint8], mask: NDArray[np.bool_], amount: int) -> NDArray[np.uint8]:
    """Add `amount` inside the mask, saturating (250 + 20 is 255), and set all else to 0."""
    brightened = np.empty(crop.shape, np.uint8)
    for y in range(crop.shape[0]):
        for x in range(crop.shape[1]):
            brightened[y, x] = min(int(crop[y, x]) + amount, 255) if mask[y, x] else 0
    return brightened


def percent(part: int, whole: int) -> int:
    """`part` % of `whole`, rounded up, in integers."""
    return -(-part * whole // 100)
