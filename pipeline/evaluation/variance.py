"""What boxes tell of a picture where there is no truth: how much of its variance they explain.

Each box stands for one measurement, so a box says the mean of its pixels, and of a pixel without
a box nothing is known but the particle's mean. A uniform grid of as many points, each the mean of
its tile, is what a scan without any method does.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Levels = NDArray[np.float64]

STEPS = 24
"""Of the search for the tile that gives the wanted number of points."""


def particle_domain(image: NDArray[Any]) -> Mask:
    """Mark the particle by no method's own means: what is brighter than the picture's border.

    Five standard deviations of the border's pixels above its median, after a blur of a hundredth
    of the picture; pieces below a tenth of the largest are left out.

    Parameters
    ----------
    image : ndarray, real, (height, width)

    Returns
    -------
    ndarray, bool, (height, width)
    """
    levels = _finite(image)
    longer = max(levels.shape)
    smooth = cv2.GaussianBlur(levels, (0, 0), max(longer / 200.0, 0.6))
    width = max(longer // 32, 1)
    border = np.concatenate(
        [
            smooth[:width].ravel(),
            smooth[-width:].ravel(),
            smooth[width:-width, :width].ravel(),
            smooth[width:-width, -width:].ravel(),
        ]
    )
    middle = np.median(border)
    spread = 1.4826 * np.median(np.abs(border - middle))
    top = np.percentile(smooth, 99.0)
    bright = smooth > max(middle + 5.0 * spread, middle + 0.1 * (top - middle))
    _, pieces, statistics, _ = cv2.connectedComponentsWithStats(bright.astype(np.uint8))
    areas = statistics[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    domain: Mask = (areas >= max(areas.max() / 10, 1))[pieces]
    return domain


def explained(image: NDArray[Any], domain: Mask, boxes: NDArray[np.integer]) -> NDArray[np.float64]:
    """Measure what share of the domain's variance the first 0, 1, .. N boxes explain.

    Parameters
    ----------
    image : ndarray, real, (height, width)
    domain : ndarray, bool, (height, width)
        Pixels that count.
    boxes : ndarray, integer, (N, 3)
        x, y, size; not overlapping.

    Returns
    -------
    ndarray, float64, (N + 1,)
        From 0, rising to at most 1.
    """
    return np.concatenate([[0.0], np.cumsum(_gains(image, domain, boxes))])


def by_gain(image: NDArray[Any], domain: Mask, boxes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Order boxes so that the first n explain as much as any n of them can.

    Returns
    -------
    ndarray, int64, (N,)
        Places in `boxes`; of equal gains the first comes first.
    """
    return np.argsort(-_gains(image, domain, boxes), kind="stable")


def uniform_grid(domain: Mask, n: int) -> tuple[float, float, float]:
    """Lay square tiles over the domain so that `n` of them, or nearly, hold a part of it.

    Returns
    -------
    (x, y, side) : float
        Where the first tile starts, and its side, in pixels.
    """
    x, y, width, height = cv2.boundingRect(domain.astype(np.uint8))
    low, high = 1.0, float(max(width, height, 1))
    for _ in range(STEPS):
        side = np.sqrt(low * high)
        if len(np.unique(_tiles(domain, (x, y, side)))) > n:
            low = side
        else:
            high = side
    return float(x), float(y), high


def explained_by_grid(image: NDArray[Any], domain: Mask, n: int) -> float:
    """Measure what share of the domain's variance a uniform grid of `n` points explains."""
    values = _finite(image)[domain].astype(np.float64)
    if n < 1 or values.size == 0:
        return 0.0
    tiles = np.unique(_tiles(domain, uniform_grid(domain, n)), return_inverse=True)[1]
    values -= values.mean()
    counts = np.bincount(tiles)
    sums = np.bincount(tiles, weights=values)
    return float((sums**2 / counts).sum() / max(float((values**2).sum()), 1e-300))


def _tiles(domain: Mask, tiles: tuple[float, float, float]) -> NDArray[np.int64]:
    """Return, for each of the domain's pixels, the number of its tile."""
    x0, y0, side = tiles
    y, x = np.nonzero(domain)
    across = int(domain.shape[1] / side) + 2
    row = ((y + 0.5 - y0) / side).astype(np.int64)
    return row * across + ((x + 0.5 - x0) / side).astype(np.int64)


def _gains(image: NDArray[Any], domain: Mask, boxes: NDArray[np.integer]) -> Levels:
    """Share of the variance that each box explains: they add up, as boxes do not overlap."""
    levels = _finite(image).astype(np.float64)
    inside = levels[domain]
    if inside.size == 0:
        return np.zeros(len(boxes))
    levels = np.where(domain, levels - inside.mean(), 0.0)
    total = max(float((levels**2).sum()), 1e-300)
    sums = np.asarray(cv2.integral(levels), np.float64)
    counts = np.asarray(cv2.integral(domain.astype(np.uint8)), np.float64)
    x, y, size = np.asarray(boxes, dtype=np.int64).T
    height, width = domain.shape
    x0, x1 = np.clip(x, 0, width), np.clip(x + size, 0, width)
    y0, y1 = np.clip(y, 0, height), np.clip(y + size, 0, height)

    def over(table: Levels) -> Levels:
        return np.asarray(table[y1, x1] - table[y0, x1] - table[y1, x0] + table[y0, x0])

    gains: Levels = over(sums) ** 2 / np.maximum(over(counts), 1.0) / total
    return gains


def _finite(image: NDArray[Any]) -> NDArray[np.float32]:
    levels = np.asarray(image, dtype=np.float32)
    return np.nan_to_num(levels, nan=0.0, posinf=0.0, neginf=0.0)
