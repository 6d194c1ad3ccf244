"""Regions of a particle: basins of even brightness, with a ridge of change between them.

Thickness makes brightness fall towards every edge, so that levels alone would find rims. Here
brightness may slope within a region; regions meet where it changes most. Arrays are
(row, column), in cells of the particle's lattice.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.kmeans import optimal_thresholds_up_to

from .basins import find_basins
from .blur import blur
from .edges import settle_edges, smooth_edges
from .inner import grow_inner
from .lattice import Levels, Numbers
from .outline import Outline
from .params import RefinedParams

Labels = NDArray[np.uint8]
Phases = Literal["all", "missing", "more", "unknown"]

SMOOTH = 0.7
"""Cells, before changes are measured."""

STEPS = 510.0
"""Steps of the cost for a relative change of 1 a cell; steeper than a half is all the same."""

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
    phases : "all", "missing", "more" or "unknown"
        Whether there are as many as elements, or fewer; of a particle of unknown composition,
        whether there are as many as are looked for, so that it may have more levels than regions.
    """

    labels: Labels
    k: int
    nested: bool
    phases: Phases


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
    smooth = blur(outline.levels, SMOOTH)
    steepness, cost = _steepness(smooth, 0.2 * outline.brightness)
    rise = ceil(STEPS * max(params.rise, params.noise_rise * outline.noise))
    parts, count = find_basins(cost, outline.mask, rise, params.min_region)
    grey, histogram = _levels(parts, count, (smooth, steepness), outline.brightness)
    thresholds = optimal_thresholds_up_to(histogram, (n_elements or UNKNOWN) + 1)
    labels = _grouped(parts, grey, histogram, thresholds, params.level_spread)
    labels = smooth_edges(settle_edges(labels, outline.levels))
    labels, nested = grow_inner(labels, steepness, params.foot)
    labels, k = _numbered(labels)
    return Regions(labels=labels, k=k, nested=nested, phases=_phases(k, n_elements))


def _phases(k: int, n_elements: int | None) -> Phases:
    if n_elements is None:
        return "more" if k > UNKNOWN else "unknown"
    return "all" if k >= n_elements else "missing"


@compiled
def _levels(
    parts: NDArray[np.int32], count: int, cells: tuple[Levels, Levels], brightness: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Average the level of each basin, its flattest cells above all; count cells by level, too."""
    smooth, steepness = cells
    weights = np.zeros(count + 1, np.float64)
    levels = np.zeros(count + 1, np.float64)
    area = np.zeros(count + 1, np.int64)
    for y in range(parts.shape[0]):
        for x in range(parts.shape[1]):
            part = parts[y, x]
            if part > 0:
                weight = 1.0 / (FLATTEST + steepness[y, x]) ** 2
                weights[part] += weight
                levels[part] += weight * smooth[y, x]
                area[part] += 1
    scale = FULL / brightness
    grey = np.zeros(count + 1, np.int64)
    histogram = np.zeros(256, np.int64)
    for part in range(1, count + 1):
        grey[part] = int(min(max(levels[part] / weights[part] * scale, 0.0), 255.0))
        histogram[grey[part]] += area[part]
    return grey, histogram


@compiled
def _grouped(
    parts: NDArray[np.int32],
    grey: NDArray[np.int64],
    histogram: NDArray[np.int64],
    thresholds: NDArray[np.int64],
    spread: float,
) -> Labels:
    """Group the basins by level, in as few groups as are even enough, and label their cells."""
    ends = np.zeros(2, np.int64)
    for k in range(1, thresholds.shape[0] + 1):
        ends = np.zeros(k + 1, np.int64)
        ends[1:k] = thresholds[k - 1, : k - 1]
        ends[k] = 256
        if _are_even(histogram, ends, spread):
            break
    numbers = np.zeros(grey.size, np.uint8)
    for part in range(1, grey.size):
        for start in ends[:-1]:
            numbers[part] += np.uint8(grey[part] >= start)
    labels = np.empty(parts.shape, np.uint8)
    for y in range(parts.shape[0]):
        for x in range(parts.shape[1]):
            labels[y, x] = numbers[parts[y, x]]
    return labels


@compiled
def _numbered(labels: Labels) -> tuple[Labels, int]:
    """Give the regions that are left numbers without gaps."""
    number = np.zeros(256, np.uint8)
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            number[labels[y, x]] = 1
    number[0] = 0
    count = 0
    for label in range(1, 256):
        if number[label] > 0:
            count += 1
            number[label] = count
    numbered = np.empty_like(labels)
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            numbered[y, x] = number[labels[y, x]]
    return numbered, count


@compiled
def _steepness(levels: Levels, least: float) -> tuple[Levels, NDArray[np.uint8]]:
    """Measure the change per cell, relative to the level, by Sobel's weights.

    Returns
    -------
    steepness : ndarray, float32, (rows, columns)
    cost : ndarray, uint8, (rows, columns)
        The same in steps.
    """
    rows, columns = levels.shape
    stride = columns + 2
    changes = np.zeros(rows * stride, np.float64)
    _measure_changes(_widened(levels).ravel(), stride, least, changes[:-2])
    steepness = np.empty(levels.shape, np.float32)
    cost = np.empty(levels.shape, np.uint8)
    for y in range(rows):
        line = changes[y * stride :]
        for x in range(columns):
            steepness[y, x] = line[x]
        for x in range(columns):
            cost[y, x] = np.uint8(np.int32(min(line[x] * STEPS, 255.0)))
    return steepness, cost


@compiled
def _widened(levels: Levels) -> Levels:
    """Repeat the outermost cells beyond the border."""
    rows, columns = levels.shape
    wide = np.empty((rows + 2, columns + 2), np.float32)
    for y in range(rows + 2):
        line = levels[min(max(y - 1, 0), rows - 1)]
        for x in range(columns):
            wide[y, x + 1] = line[x]
        wide[y, 0], wide[y, columns + 1] = line[0], line[columns - 1]
    return wide


@compiled
def _measure_changes(wide: Levels, stride: int, least: float, changes: Numbers) -> None:
    """Go along all rows behind each other: so long a loop is a vector loop."""
    above_left, above, above_right = wide, wide[1:], wide[2:]
    left, middle, right = wide[stride:], wide[stride + 1 :], wide[stride + 2 :]
    below_left, below, below_right = (
        wide[2 * stride :],
        wide[2 * stride + 1 :],
        wide[2 * stride + 2 :],
    )
    for at in range(changes.size):
        across = (
            above_right[at]
            - above_left[at]
            + 2.0 * (right[at] - left[at])
            + below_right[at]
            - below_left[at]
        )
        down = (
            below_left[at]
            - above_left[at]
            + 2.0 * (below[at] - above[at])
            + below_right[at]
            - above_right[at]
        )
        change = np.sqrt(across * across + down * down)
        # the operator would ask of each divisor whether it is 0
        changes[at] = np.true_divide(change, 8.0 * max(middle[at], least))


@compiled
def _are_even(histogram: NDArray[np.int64], ends: NDArray[np.int64], spread: float) -> bool:
    """Say whether the levels of each group differ little, beside what they are."""
    for group in range(ends.size - 1):
        count = 0
        total = 0
        squares = 0
        for level in range(ends[group], ends[group + 1]):
            count += int(histogram[level])
            total += int(histogram[level]) * level
            squares += int(histogram[level]) * level * level
        mean = float(total) / float(max(count, 1))
        deviation = np.sqrt(max(float(squares) / float(max(count, 1)) - mean * mean, 0.0))
        if deviation >= spread * max(mean, 30.0):
            return False
    return True
