"""Regions of a particle: basins of even brightness, with a ridge of change between them.

Thickness makes brightness fall towards every edge, so that levels alone would find rims. Here
brightness may slope within a region; regions meet where it changes most. Arrays are
(row, column), in cells of the particle's lattice.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.kmeans import optimal_thresholds

from .basins import find_basins
from .edges import settle_edges
from .inner import grow_inner
from .lattice import Levels
from .outline import Outline
from .params import RefinedParams

Labels = NDArray[np.uint8]

SMOOTH = 0.7
"""Cells, before changes are measured."""

STEEPEST = 0.5
"""Relative change a cell; steeper is all the same."""

UNKNOWN = 5
"""Elements that a particle of unknown composition may have."""

FULL = 200
"""Level of the histogram that stands for the particle's brightness."""

FLATTEST = 0.01
"""Relative change a cell: what changes less counts alike for a basin's level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regions:
    """The regions of a particle.

    Parameters
    ----------
    labels : ndarray, uint8, (rows, columns)
        0 outside; regions from 1 by rising brightness.
    k : int
        How many there are.
    nested : bool
        Whether one lies within another.
    """

    labels: Labels
    k: int
    nested: bool


def find_regions(outline: Outline, n_elements: int | None, params: RefinedParams) -> Regions:
    """Part a particle in regions.

    Basins of the change of brightness are found first. Then their levels are grouped by exact
    k-means: in as few groups as leave a relative spread below `level_spread` within each, and at
    most one more than there are elements. A region that lies within another one begins where
    brightness begins to change.

    Parameters
    ----------
    outline : Outline
    n_elements : int or None
    params : RefinedParams

    Returns
    -------
    Regions
    """
    smooth = np.asarray(cv2.GaussianBlur(outline.levels, (0, 0), SMOOTH), np.float64)
    steepness = _steepness(smooth, outline.brightness)
    steps = 255.0 / STEEPEST
    cost = np.clip(steepness * steps, 0.0, 255.0).astype(np.uint8)
    rise = ceil(steps * max(params.rise, params.noise_rise * outline.noise))
    parts, count = find_basins(cost, outline.mask, rise, params.min_region)
    labels = _grouped(parts, count, smooth, steepness, outline, n_elements, params)
    labels = settle_edges(labels, outline.levels)
    # the middle one of 3 x 3 labels smooths what a box cannot follow
    smoothed = cv2.medianBlur(labels, 3)
    labels = np.where(outline.mask & (smoothed > 0), smoothed, labels).astype(np.uint8)
    labels, nested = grow_inner(labels, steepness, params.foot)
    labels, k = _numbered(labels)
    return Regions(labels=labels, k=k, nested=nested)


def _grouped(
    parts: NDArray[np.int32],
    count: int,
    smooth: Levels,
    steepness: Levels,
    outline: Outline,
    n_elements: int | None,
    params: RefinedParams,
) -> Labels:
    """Number the basins by level; a basin's level is that of its flattest cells."""
    at = parts[outline.mask]
    weights = (FLATTEST + steepness[outline.mask]) ** -2
    total = np.bincount(at, weights, minlength=count + 1)
    level = np.bincount(at, weights * smooth[outline.mask], minlength=count + 1)
    grey = level[1:] / total[1:] * (FULL / outline.brightness)
    grey = np.clip(grey, 0.0, 255.0).astype(np.int64)
    area = np.bincount(at, minlength=count + 1)[1:]
    histogram = np.bincount(grey, area, minlength=256).astype(np.int64)
    number = np.ones(256, np.uint8)
    for threshold in _thresholds(histogram, (n_elements or UNKNOWN) + 1, params.level_spread):
        number[threshold:] += 1
    return np.concatenate([np.zeros(1, np.uint8), number[grey]])[parts]


def _numbered(labels: Labels) -> tuple[Labels, int]:
    """Give the regions that are left numbers without gaps."""
    there = np.flatnonzero(np.bincount(labels.ravel(), minlength=2)[1:]) + 1
    number = np.zeros(256, np.uint8)
    number[there] = np.arange(1, len(there) + 1)
    return number[labels], len(there)


def _steepness(levels: Levels, brightness: float) -> Levels:
    """Change per cell, relative to the level."""
    across = cv2.Sobel(levels, cv2.CV_64F, 1, 0, ksize=3)
    down = cv2.Sobel(levels, cv2.CV_64F, 0, 1, ksize=3)
    relative: Levels = np.sqrt(across * across + down * down) / 8.0
    relative /= np.maximum(levels, 0.2 * brightness)
    return relative


def _thresholds(histogram: NDArray[np.int64], most: int, spread: float) -> tuple[int, ...]:
    """Split the basins' levels in as few groups as are even enough, at most `most`."""
    levels = np.arange(256)
    thresholds: tuple[int, ...] = ()
    for k in range(1, most + 1):
        thresholds = optimal_thresholds(histogram, k)
        starts = (0, *thresholds)
        counts = np.maximum(np.add.reduceat(histogram, starts), 1)
        means = np.add.reduceat(histogram * levels, starts) / counts
        squares = np.add.reduceat(histogram * levels * levels, starts) / counts
        deviations = np.sqrt(np.maximum(squares - means * means, 0.0))
        if (deviations < spread * np.maximum(means, 30.0)).all():
            break
    return thresholds
