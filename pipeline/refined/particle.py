"""One particle: outlined, parted in regions, and boxed.

Coordinates: x right, y down, from the upper-left corner.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

from .bodies import Mask
from .close_up import Lattice, Scene, lay_lattice, outline_of
from .cover import Limits, cover
from .lattice import Levels, Numbers
from .limits import largest_side, max_error, share_left_out
from .params import Controls
from .regions import find_regions

MARGIN = 2
"""Cells of the frame between what is boxed and the bounding box, for edges that fade out."""

LEAST_RISE = 4.0
"""Spreads of the film that a particle must be above it for its outline to be placed."""

SQUARE = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Particle:
    """One particle.

    Parameters
    ----------
    bounding_box : (x0, y0, x1, y1)
        Half-open, parent pixels; two cells of the frame wider than what is boxed, for faint edges.
    k : int
        Regions, background not counted.
    boxes : ndarray, int32, (N, 3)
        x, y, size in parent pixels; the best first.
    regions : ndarray, uint8, (N,)
        The region of each box, from 1 by rising brightness.
    area_px : int
        Parent pixels of the particle.
    pitch_px : int
        Side of a cell of its lattice.
    explained : float
        Share of its variance of brightness that its boxes explain.
    """

    bounding_box: tuple[int, int, int, int]
    k: int
    boxes: NDArray[np.int32]
    regions: NDArray[np.uint8]
    area_px: int
    pitch_px: int
    explained: float


def box_particle(
    scene: Scene,
    mask: Mask,
    n_elements: int | None,
    controls: Controls,
    before: list[NDArray[np.int32]],
) -> tuple[Particle, Numbers] | Literal["no outline", "no room"]:
    """Box one particle, or say what is missing. Its boxes' gains go with it.

    `before` are the boxes of particles that were boxed before it.
    """
    height, width = scene.image.shape
    frame, orientation, params, size = scene.frame, scene.orientation, scene.params, scene.size
    sides = controls.sides_px()
    lattice = lay_lattice(mask, scene, controls)
    outline = outline_of(scene, mask, lattice)
    if outline is None or outline.brightness < LEAST_RISE * outline.spread:
        return "no outline"
    regions = find_regions(outline, n_elements, params)
    labels = regions.labels
    area = cv2.countNonZero(labels)
    if controls.margin_px:
        grown = ceil(controls.margin_px / lattice.pitch)
        labels = _grown(labels, grown)
    theirs = _boxed_before(scene, lattice, before)
    if theirs is not None:
        labels = np.where(theirs, 0, labels).astype(np.uint8)
    _, _, across, down = cv2.boundingRect(labels)
    least = max(ceil(sides[0] / lattice.pitch), 1)
    most = -(-controls.max_box_percent * min(across, down) // 100)
    # who asks for large boxes means them, however small the particle is
    most = max(largest_side(most, regions, params), least)
    most = int(min(most, sides[1] // lattice.pitch))
    if most < least:
        return "no room"
    limits = Limits(
        least=least,
        most=most,
        outside=params.outside,
        impurity=1.0 - controls.purity,
        max_error=max_error(outline, regions, lattice.pitch, params, smaller=least == 1),
        # what lies around is dark, and was asked for
        left_out=0.0 if controls.margin_px else share_left_out(outline, regions, params),
        rims_first=regions.phases != "more",
    )
    cells, region_of = cover(labels, outline.levels, limits)
    if theirs is not None:
        # a box may stick out of its particle by a few cells
        apart = _are_apart(theirs, cells)
        cells, region_of = cells[apart], region_of[apart]
    if not len(cells):
        return "no room"
    gains, total = _gains(outline.levels, labels, cells)
    order = np.argsort(-gains, kind="stable")
    pixels = cells[order] * np.int32(lattice.pitch)
    pixels += np.array([lattice.x, lattice.y, 0], np.int32)
    x0, y0, x1, y1 = outline.extent
    margin = MARGIN * frame.pitch + controls.margin_px
    edges = (
        max(lattice.x + x0 * lattice.pitch - margin, 0),
        max(lattice.y + y0 * lattice.pitch - margin, 0),
        min(lattice.x + x1 * lattice.pitch + margin, size[1]),
        min(lattice.y + y1 * lattice.pitch + margin, size[0]),
    )
    particle = Particle(
        bounding_box=orientation.undo(edges, height, width),
        k=regions.k,
        boxes=orientation.undo_boxes(pixels, height, width),
        regions=region_of[order],
        area_px=area * lattice.pitch**2,
        pitch_px=lattice.pitch,
        explained=float(gains.sum() / max(total, 1e-300)),
    )
    return (particle, gains[order] * lattice.pitch**2)


def _boxed_before(scene: Scene, lattice: Lattice, before: list[NDArray[np.int32]]) -> Mask | None:
    """Mark the lattice's cells that other particles' boxes touch; None if there are none.

    Lattices of particles beside each other overlap, and no place may be boxed twice.
    """
    marked = None
    for boxes in before:
        x, y, size = scene.orientation.do_boxes(boxes, *scene.image.shape).T.astype(np.int64)
        left = np.maximum((x - lattice.x) // lattice.pitch, 0)
        top = np.maximum((y - lattice.y) // lattice.pitch, 0)
        right = -(-(x + size - lattice.x) // lattice.pitch)
        bottom = -(-(y + size - lattice.y) // lattice.pitch)
        within = (right > 0) & (bottom > 0) & (left < lattice.columns) & (top < lattice.rows)
        for at in np.flatnonzero(within).tolist():
            if marked is None:
                marked = np.zeros((lattice.rows, lattice.columns), np.bool_)
            marked[top[at] : bottom[at], left[at] : right[at]] = True
    return marked


def _grown(labels: NDArray[np.uint8], cells: int) -> NDArray[np.uint8]:
    """Grow the outermost regions by so many cells all round."""
    for _ in range(min(cells, max(labels.shape))):
        wider = cv2.dilate(labels, SQUARE)
        labels = np.where(labels > 0, labels, wider).astype(np.uint8)
    return labels


@compiled
def _gains(
    levels: Levels, labels: NDArray[np.uint8], boxes: NDArray[np.int32]
) -> tuple[Numbers, float]:
    """Measure what each box explains of the particle's squared deviations, and all there are."""
    off, squares = _deviations(levels, labels)
    gains = np.empty(boxes.shape[0], np.float64)
    for at in range(boxes.shape[0]):
        x0, y0, size = boxes[at, 0], boxes[at, 1], boxes[at, 2]
        total = 0.0
        inside = 0
        for y in range(y0, y0 + size):
            for x in range(x0, x0 + size):
                total += off[y, x]
                inside += int(labels[y, x] > 0)
        gains[at] = total * total / max(inside, 1)
    return gains, squares


@compiled
def _deviations(levels: Levels, labels: NDArray[np.uint8]) -> tuple[Numbers, float]:
    """Take the particle's mean from its cells, nothing elsewhere; and sum their squares."""
    rows, columns = labels.shape
    total = 0.0
    count = 0
    for y in range(rows):
        for x in range(columns):
            if labels[y, x] > 0:
                total += levels[y, x]
                count += 1
    mean = total / max(count, 1)
    off = np.zeros((rows, columns), np.float64)
    squares = 0.0
    for y in range(rows):
        for x in range(columns):
            if labels[y, x] > 0:
                off[y, x] = levels[y, x] - mean
                squares += off[y, x] * off[y, x]
    return off, squares


@compiled
def _are_apart(theirs: Mask, boxes: NDArray[np.int32]) -> Mask:
    """Say which boxes touch no cell of others."""
    apart = np.ones(boxes.shape[0], np.bool_)
    for at in range(boxes.shape[0]):
        x0, y0, size = boxes[at, 0], boxes[at, 1], boxes[at, 2]
        for y in range(y0, y0 + size):
            for x in range(x0, x0 + size):
                if theirs[y, x]:
                    apart[at] = False
    return apart
