"""What the boxes of a particle may be, by how surely its regions are its phases.

A region that is one phase may be covered with large boxes, whatever its thickness does to the
brightness. Where more may hide in it than is told apart, boxes are kept small.
"""

from __future__ import annotations

import cv2

from .outline import Outline
from .params import RefinedParams
from .regions import Regions

FEW_PIXELS = 2
"""Pixels a side of a cell, up to which there may be too few cells."""

FILLED = 0.6
"""Share of a lattice that particles cover, about."""


def largest_side(allowed: int, regions: Regions, params: RefinedParams) -> int:
    """Bound the side of a box, in cells: a phase that is not told apart is not far from an edge."""
    if regions.nested:
        return round(params.nested_side * allowed)
    if regions.phases == "missing":
        return round(params.missing_side * allowed)
    return allowed


def max_error(
    outline: Outline, regions: Regions, pitch: int, params: RefinedParams, *, smaller: bool
) -> float:
    """Bound the squared error of a box, in gray levels squared times cells.

    Where pixels are too few for a full lattice, more of the area lies at edges, and boxes have to
    be smaller; where noise hides edges, or regions may hide more, too. If no `smaller` ones may be
    made, what is left out of these bounds would stay without boxes.
    """
    area = cv2.countNonZero(regions.labels)
    error = params.max_error * outline.brightness**2 * area / 1000.0
    if pitch <= FEW_PIXELS:
        error *= min(area / (FILLED * params.cells**2), 1.0) ** 1.5
    if regions.phases == "all":
        error *= params.told
    if smaller:
        error *= _calm(outline, params) ** 2
        if regions.nested or regions.phases == "more":
            error *= params.hidden
    return error


def share_left_out(outline: Outline, regions: Regions, params: RefinedParams) -> float:
    """Say what share of the particle may stay without boxes: less of it where noise hides edges."""
    if regions.phases == "more":
        return params.slivers
    return max(params.rims * _calm(outline, params), params.slivers)


def _calm(outline: Outline, params: RefinedParams) -> float:
    """Say how much of an edge shows through the noise: 1 up to `calm`, less above it."""
    return min(params.calm / outline.noise, 1.0)
