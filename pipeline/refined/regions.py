"""Regions of a particle: plateaus of like brightness, and what slopes down from them.

Thickness makes brightness fall towards every edge, so that levels alone would find rims. Here
only plateaus are grouped by level, by exact k-means; slopes are given to the plateau from which
they can be reached without crossing a steeper place, so that regions meet where brightness
changes most. Arrays are (row, column), in cells of the particle's lattice.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.kmeans import optimal_thresholds

from .bodies import SQUARE
from .lattice import Levels
from .outline import Outline
from .params import RefinedParams

Labels = NDArray[np.uint8]

SMOOTH = 0.5
"""Cells, before slopes are measured."""

ENOUGH = 0.25
"""Share of the particle that must count as plateau: on a dome the flattest part does."""

STEEPEST = 0.5
"""Relative change a cell; steeper is all the same."""

UNKNOWN = 5
"""Elements that a particle of unknown composition may have."""

FULL = 200
"""Level of the histogram that stands for the particle's brightness."""


def find_regions(
    outline: Outline, n_elements: int | None, params: RefinedParams
) -> tuple[Labels, int]:
    """Part a particle in regions.

    As few as leave a relative spread below `plateau_spread` within each, and at most one more
    than there are elements.

    Parameters
    ----------
    outline : Outline
    n_elements : int or None
    params : RefinedParams

    Returns
    -------
    labels : ndarray, uint8, (rows, columns)
        0 outside; regions from 1 by rising brightness.
    k : int
        Regions.
    """
    smooth = np.asarray(cv2.GaussianBlur(outline.levels, (0, 0), SMOOTH), np.float64)
    steepness = _steepness(smooth, outline.brightness)
    flat = _plateaus(steepness, outline, params)
    grey = np.clip(smooth * (FULL / outline.brightness), 0.0, 255.0).astype(np.uint8)
    histogram = np.bincount(grey[flat], minlength=256).astype(np.int64)
    most = (n_elements or UNKNOWN) + 1
    number = np.ones(256, np.uint8)
    for threshold in _thresholds(histogram, most, params.plateau_spread):
        number[threshold:] += 1
    labels = np.where(flat, number[grey], 0).astype(np.uint8)
    for region in range(1, int(number[-1]) + 1):
        _drop_small(labels, region, params.min_plateau)
    if not labels.any():
        labels = outline.mask.astype(np.uint8)
    cost = np.clip(steepness * (255.0 / STEEPEST), 0.0, 255.0).astype(np.uint8)
    _flood(cost, labels, outline.mask)
    # the middle one of 3 x 3 labels smooths what a box cannot follow
    smoothed = cv2.medianBlur(labels, 3)
    labels = np.where(outline.mask & (smoothed > 0), smoothed, labels).astype(np.uint8)
    labels[outline.mask & (labels == 0)] = 1
    labels[~outline.mask] = 0
    return _numbered(labels)


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


def _plateaus(steepness: Levels, outline: Outline, params: RefinedParams) -> NDArray[np.bool_]:
    inner = cv2.erode(outline.mask.astype(np.uint8), SQUARE).astype(np.bool_) & outline.mask
    if not inner.any():
        inner = outline.mask
    limit = params.flat
    enough = np.quantile(steepness[inner], ENOUGH)
    flat = inner & (steepness <= max(limit, float(enough)))
    _, parts, statistics, _ = cv2.connectedComponentsWithStats(
        flat.astype(np.uint8), connectivity=4
    )
    keep = statistics[:, cv2.CC_STAT_AREA] >= params.min_plateau
    keep[0] = False
    return np.asarray(keep[parts]) if keep.any() else flat


def _thresholds(histogram: NDArray[np.int64], most: int, spread: float) -> tuple[int, ...]:
    """Split the plateaus' levels in as few groups as are even enough, at most `most`."""
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


def _drop_small(labels: Labels, region: int, fewest: int) -> None:
    _, parts, statistics, _ = cv2.connectedComponentsWithStats(
        (labels == region).astype(np.uint8), connectivity=4
    )
    small = statistics[:, cv2.CC_STAT_AREA] < fewest
    small[0] = False
    labels[small[parts]] = 0


@compiled
def _flood(cost: Labels, labels: Labels, mask: NDArray[np.bool_]) -> None:
    """Give each cell of the mask the label from which it is reached at the least highest cost.

    Buckets of cells by cost, first come first served: the watershed of Meyer, without lines.
    """
    rows, columns = labels.shape
    head = np.full(256, -1, np.int64)
    tail = np.full(256, -1, np.int64)
    following = np.full(rows * columns, -1, np.int64)
    known = np.zeros(rows * columns, np.bool_)
    for y in range(rows):
        for x in range(columns):
            if labels[y, x] > 0:
                known[y * columns + x] = True
    for y in range(rows):
        for x in range(columns):
            if labels[y, x] > 0:
                _reach(cost, mask, (y, x, 0), (head, tail, following), known)
    bucket = 0
    while bucket < 256:
        at = head[bucket]
        if at < 0:
            bucket += 1
            continue
        head[bucket] = following[at]
        y, x = at // columns, at % columns
        labels[y, x] = _label_beside(cost, labels, y, x)
        _reach(cost, mask, (y, x, bucket), (head, tail, following), known)


@compiled
def _label_beside(cost: Labels, labels: Labels, y: int, x: int) -> np.uint8:
    """Take the label of the cheapest labelled cell beside y, x."""
    rows, columns = labels.shape
    lowest = 256
    label: np.uint8 = labels[y, x]
    for turn in range(4):
        row = y + int(turn == 0) - int(turn == 1)
        column = x + int(turn == 2) - int(turn == 3)
        if not (0 <= row < rows and 0 <= column < columns):
            continue
        if labels[row, column] > 0 and cost[row, column] < lowest:
            lowest = int(cost[row, column])
            label = labels[row, column]
    return label


@compiled
def _reach(
    cost: Labels,
    mask: NDArray[np.bool_],
    place: tuple[int, int, int],
    queue: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    known: NDArray[np.bool_],
) -> None:
    """Put the cells beside y, x into the buckets of their cost, and not below the present one."""
    y, x, bucket = place
    head, tail, following = queue
    rows, columns = mask.shape
    for turn in range(4):
        row = y + int(turn == 0) - int(turn == 1)
        column = x + int(turn == 2) - int(turn == 3)
        if not (0 <= row < rows and 0 <= column < columns and mask[row, column]):
            continue
        at = row * columns + column
        if known[at]:
            continue
        known[at] = True
        wanted = max(int(cost[row, column]), bucket)
        following[at] = -1
        if head[wanted] < 0:
            head[wanted] = at
        else:
            following[tail[wanted]] = at
        tail[wanted] = at
