"""The refined method as a whole: from a parent image to boxes, particle by particle.

Coordinates: x right, y down, from the upper-left corner. Docs, and what each step gave:
docs/method.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.grid import CELLS, Grid
from pipeline.quality import Quality, QualityParams, assess
from pipeline.quality_model import QualityModel
from pipeline.scale import Scaling, find_scaling

from .bodies import SQUARE, Bodies, Mask, find_bodies
from .cover import Limits, cover
from .lattice import Levels, cell_means
from .orientation import Orientation, find_orientation
from .outline import Outline, Surroundings, find_outline, variance
from .params import Controls, RefinedParams
from .ranks import rank
from .regions import Regions, find_regions

AROUND = 3
"""Cells of the frame around a particle that go with it: film to compare with."""

FAINT_REACH = 3
"""Cells of the frame by which an outline may lie outside what the frame's cells show."""

MARGIN = 2
"""Cells of the frame between what is boxed and the bounding box, for edges that fade out."""

LEAST_RISE = 4.0
"""Spreads of the film that a particle must be above it for its outline to be placed."""

FEW = 4
"""Particles that have a full lattice each."""

FEWEST_CELLS = 24
"""Cells along the longer side that a particle always gets, if it has so many pixels."""

FEW_PIXELS = 2
"""Pixels a side of a cell, up to which there may be too few cells."""

FILLED = 0.6
"""Share of a lattice that particles cover, about."""

FILLS = 0.6
"""Share of the frame's border that particles may cover."""

ALIKE = 4.0
"""Pixels that may have the same noise: detectors smear a pixel's over its neighbours."""

HOLE = 0.0005
"""Share of cells beyond which levels are clipped, at either end."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """What was found.

    Parameters
    ----------
    particles : tuple of Particle
    boxes : ndarray, int32, (N, 3)
        Of all particles, the best first: the first n explain as much as any n of them.
    regions : ndarray, uint8, (N,)
    owners : ndarray, int32, (N,)
        Which particle each box is of.
    """

    particles: tuple[Particle, ...]
    boxes: NDArray[np.int32]
    regions: NDArray[np.uint8]
    owners: NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The frame in cells.

    Parameters
    ----------
    cells : ndarray, float64, (rows, columns)
        Gray levels 0..255.
    pitch : int
        Parent pixels a side.
    scaling : Scaling
        From intensities to gray levels.
    quality : Quality
    """

    cells: Levels
    pitch: int
    scaling: Scaling
    quality: Quality


def see(
    image: NDArray[Any], params: QualityParams | None = None, model: QualityModel | None = None
) -> Frame:
    """Look at a frame as a whole: cells, their scaling, and the gate's judgement.

    Hot pixels are left out before the scaling is found, not after.
    """
    height, width = image.shape
    pitch = -(-max(height, width) // CELLS)
    rows, columns = height // pitch, width // pitch
    means = cell_means(image, (0, 0), (rows, columns), pitch)
    scaling = find_scaling(image)
    if scaling.method != "8-bit as is":
        finite = means[np.isfinite(means)]
        low, high = (0.0, 0.0)
        if finite.size:
            low, high = rank(finite, HOLE), rank(finite, 1.0 - HOLE)
        scaling = Scaling(
            low=low,
            high=high,
            method=scaling.method,
            saturated_fraction=scaling.saturated_fraction,
            sampled=scaling.sampled,
            invalid=scaling.invalid,
        )
    cells = to_grey(means, scaling)
    grid = Grid(
        rows=rows, columns=columns, parent_height=rows * pitch, parent_width=columns * pitch
    )
    quality = assess(cells.astype(np.uint8), grid, scaling, params, model)
    return Frame(cells=cells, pitch=pitch, scaling=scaling, quality=quality)


def to_grey(means: Levels, scaling: Scaling) -> Levels:
    """Bring cells to 0..255; a cell without a finite pixel becomes 0."""
    span = scaling.high - scaling.low
    grey = (means - scaling.low) * (255.0 / span if span > 0.0 else 0.0)
    # also turns NaN into 0
    return np.fmin(np.fmax(grey, 0.0, out=grey), 255.0, out=grey)


def locate(
    image: NDArray[Any],
    frame: Frame,
    n_elements: int | None,
    params: RefinedParams,
    controls: Controls,
) -> Located | str:
    """Box the particles of a frame that the gate let pass; or say why not.

    Parameters
    ----------
    image : ndarray, (height, width)
        As `as_image` returns it.
    frame : Frame
        As `see` returns it.
    n_elements : int or None
    params : RefinedParams
    controls : Controls

    Returns
    -------
    Located or str
        The reason, `code: what was measured and what was expected`.
    """
    orientation = find_orientation(frame.cells.astype(np.uint8))
    bodies = find_bodies(orientation.apply(frame.cells))
    if not bodies.masks:
        return (
            f"no particle: the brightest part is {bodies.highest / bodies.film.spread:.1f} spreads "
            "of the film above it; expected a connected part of 6 or more"
        )
    filled = _on_border(bodies.masks)
    if filled > FILLS:
        return (
            f"no particle: particles cover {filled:.0%} of the frame's border, so nothing shows "
            f"what the film looks like; expected at most {FILLS:.0%}"
        )
    chosen = _chosen(bodies.masks, controls)
    # many particles share what a few would have each: a lattice with fewer cells
    share = max(len(chosen) / FEW, 1.0) ** 0.5
    cells = max(round(params.cells / share), min(params.cells, FEWEST_CELLS))
    scene = _Scene(
        image=image,
        frame=frame,
        orientation=orientation,
        bodies=bodies,
        params=params,
        cells=cells,
    )
    found: list[tuple[Particle, Levels]] = []
    for mask in chosen:
        before = [particle.boxes for particle, _ in found]
        found += _box(scene, mask, n_elements, controls, before)
    if not found:
        return (
            "too noisy: no outline can be placed: what is brightest is "
            f"{bodies.highest:.1f} gray levels above the film, which varies by "
            f"{bodies.film.spread:.1f}; expected {LEAST_RISE:.0f} times as much on the "
            "particle's own lattice, and room for a box"
        )
    return _ranked(found, controls.max_boxes)


def _on_border(masks: tuple[Mask, ...]) -> float:
    whole = np.any(masks, axis=0)
    border = np.concatenate([whole[0], whole[-1], whole[1:-1, 0], whole[1:-1, -1]])
    return float(border.mean())


def _chosen(masks: tuple[Mask, ...], controls: Controls) -> tuple[Mask, ...]:
    if controls.particles == "largest":
        return (max(masks, key=np.count_nonzero),)
    if controls.particles == "middle":
        return (min(masks, key=_off_middle),)
    return masks


def _off_middle(mask: Mask) -> float:
    """How far a particle's centre is from the frame's, squared."""
    y, x = np.nonzero(mask)
    rows, columns = mask.shape
    return float((y.mean() + 0.5 - rows / 2) ** 2 + (x.mean() + 0.5 - columns / 2) ** 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """What all particles of a frame share."""

    image: NDArray[Any]
    frame: Frame
    orientation: Orientation
    bodies: Bodies
    params: RefinedParams
    cells: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image in the orientation that is worked in."""
        height, width = self.image.shape
        return (width, height) if self.orientation.transposed else (height, width)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lattice:
    """A particle's own lattice, in the frame's orientation: where it starts, in parent pixels."""

    x: int
    y: int
    rows: int
    columns: int
    pitch: int


def _lattice(mask: Mask, frame: Frame, size: tuple[int, int], cells: int) -> _Lattice:
    """Lay a lattice over a particle: `cells` along its longer side, and film around it."""
    height, width = size
    left, top, across, down = cv2.boundingRect(mask.astype(np.uint8))
    longer = max(across, down) * frame.pitch
    pitch = min(max(ceil(longer / cells), 1), 2 * frame.pitch)
    x0, x1 = _widened(left, left + across, mask.shape[1], frame.pitch, width)
    y0, y1 = _widened(top, top + down, mask.shape[0], frame.pitch, height)
    columns, rows = max((x1 - x0) // pitch, 1), max((y1 - y0) // pitch, 1)
    # a particle at the frame's end is boxed up to it; what does not fit lies on the other side
    x = x1 - columns * pitch if x1 == width else x0
    y = y1 - rows * pitch if y1 == height else y0
    return _Lattice(x=x, y=y, rows=rows, columns=columns, pitch=pitch)


def _widened(first: int, last: int, cells: int, pitch: int, pixels: int) -> tuple[int, int]:
    """Turn cells first..last into parent pixels, with some film around them."""
    end = min(last + AROUND, cells)
    return max(first - AROUND, 0) * pitch, pixels if end == cells else end * pitch


def _box(
    scene: _Scene,
    mask: Mask,
    n_elements: int | None,
    controls: Controls,
    before: list[NDArray[np.int32]],
) -> list[tuple[Particle, Levels]]:
    """Box one particle; nothing if its outline cannot be placed. Its boxes' gains go with it.

    `before` are the boxes of particles that were boxed before it.
    """
    height, width = scene.image.shape
    frame, orientation, params, size = scene.frame, scene.orientation, scene.params, scene.size
    lattice = _lattice(mask, frame, size, scene.cells)
    outline = _outline(scene, mask, lattice)
    if outline is None or outline.brightness < LEAST_RISE * outline.spread:
        return []
    regions = find_regions(outline, n_elements, params)
    labels = regions.labels
    area = int(np.count_nonzero(labels))
    if controls.margin_px:
        grown = ceil(controls.margin_px / lattice.pitch)
        labels = _grown(labels, grown)
    theirs = _boxed_before(scene, lattice, before)
    if theirs is not None:
        labels = np.where(theirs, 0, labels).astype(np.uint8)
    _, _, across, down = cv2.boundingRect((labels > 0).astype(np.uint8))
    smallest, largest = controls.sides_px()
    limits = Limits(
        least=max(ceil(smallest / lattice.pitch), 1),
        most=int(
            min(
                -(-controls.max_box_percent * min(across, down) // 100),
                max(largest // lattice.pitch, 1),
            )
        ),
        outside=params.outside,
        impurity=1.0 - controls.purity,
        max_error=_max_error(scene, outline, regions, lattice.pitch),
        slivers=params.slivers,
    )
    cells, region_of = cover(labels, outline.levels, limits)
    if theirs is not None and len(cells):
        # a box may stick out of its particle by a few cells
        apart = _sums(theirs.astype(np.float64), cells) == 0.0
        cells, region_of = cells[apart], region_of[apart]
    if not len(cells):
        return []
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
    return [(particle, gains[order] * lattice.pitch**2)]


def _boxed_before(scene: _Scene, lattice: _Lattice, before: list[NDArray[np.int32]]) -> Mask | None:
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


def _outline(scene: _Scene, mask: Mask, lattice: _Lattice) -> Outline | None:
    image, frame, orientation, bodies = scene.image, scene.frame, scene.orientation, scene.bodies
    height, width = image.shape
    right = lattice.x + lattice.columns * lattice.pitch
    bottom = lattice.y + lattice.rows * lattice.pitch
    x0, y0, _, _ = orientation.undo((lattice.x, lattice.y, right, bottom), height, width)
    shape = (lattice.rows, lattice.columns)
    if orientation.transposed:
        shape = shape[::-1]
    means = cell_means(image, (x0, y0), shape, lattice.pitch)
    cells = orientation.apply(to_grey(means, frame.scaling))
    x = lattice.x + (np.arange(lattice.columns) + 0.5) * lattice.pitch
    y = lattice.y + (np.arange(lattice.rows) + 0.5) * lattice.pitch
    rows, columns = mask.shape
    seen_x = np.minimum((x / frame.pitch).astype(np.int64), columns - 1)
    seen_y = np.minimum((y / frame.pitch).astype(np.int64), rows - 1)
    whole = np.any(bodies.masks, axis=0) & ~mask
    x, y = x / (columns * frame.pitch) - 0.5, y / (rows * frame.pitch) - 0.5
    film = bodies.film.at(x, y) + bodies.edge.at(x, y)
    where = np.ix_(seen_y, seen_x)
    surroundings = Surroundings(
        film=film,
        body=mask[where],
        others=whole[where],
        reach=max(FAINT_REACH * frame.pitch // lattice.pitch, 2),
        least_spread=bodies.film.spread,
        most_noise=_most_noise(scene, lattice, mask[where]),
    )
    return find_outline(cells, surroundings, scene.params)


def _max_error(scene: _Scene, outline: Outline, regions: Regions, pitch: int) -> float:
    """Bound the squared error of a box, in cells.

    Where pixels are too few for a full lattice, more of the area lies at edges, and boxes have to
    be smaller; also where brightness tells less of the edges, as a core shows through its shell.
    """
    params = scene.params
    area = int(np.count_nonzero(regions.labels))
    error = params.max_error * outline.brightness**2 * area / 1000.0
    if pitch <= FEW_PIXELS:
        error *= min(area / (FILLED * params.cells**2), 1.0) ** 1.5
    return error * params.nested if regions.nested else error


def _most_noise(scene: _Scene, lattice: _Lattice, body: Mask) -> float:
    """Bound a cell's noise by that of its pixels: so much if each had its neighbours' noise."""
    pitch = lattice.pitch
    if pitch == 1:
        return float("inf")
    picture = scene.orientation.view(scene.image)
    top, left = lattice.y + pitch // 2, lattice.x + pitch // 2
    # one pixel in the middle of every other cell
    body = body[:-1:2, :-1:2]
    rows, columns = body.shape
    step = 2 * pitch
    before, centre, after, above, below = (
        picture[top + y :: step, left + x :: step][:rows, :columns][body].astype(np.float64)
        for y, x in ((0, -1), (0, 0), (0, 1), (-1, 0), (1, 0))
    )
    span = scene.frame.scaling.high - scene.frame.scaling.low
    grey = 255.0 / span if span > 0.0 else 0.0
    pixel = min(
        variance(grey * (2.0 * centre - before - after)),
        variance(grey * (2.0 * centre - above - below)),
    )
    return ALIKE * pixel / pitch**2


def _grown(labels: NDArray[np.uint8], cells: int) -> NDArray[np.uint8]:
    """Grow the outermost regions by so many cells all round."""
    for _ in range(cells):
        wider = cv2.dilate(labels, SQUARE)
        labels = np.where(labels > 0, labels, wider).astype(np.uint8)
    return labels


def _gains(
    levels: Levels, labels: NDArray[np.uint8], boxes: NDArray[np.int32]
) -> tuple[Levels, float]:
    """Measure what each box explains of the particle's squared deviations, and all there are."""
    inside = labels > 0
    off = np.where(inside, levels - levels[inside].mean(), 0.0)
    counts = _sums(inside.astype(np.float64), boxes)
    gains: Levels = _sums(off, boxes) ** 2 / np.maximum(counts, 1.0)
    return gains, float((off * off).sum())


def _sums(values: Levels, boxes: NDArray[np.int32]) -> Levels:
    """Sum values (rows, columns) over boxes x, y, size."""
    table = np.asarray(cv2.integral(values), np.float64)
    x, y, size = boxes.T.astype(np.int64)
    return np.asarray(
        table[y + size, x + size] - table[y, x + size] - table[y + size, x] + table[y, x]
    )


def _ranked(found: list[tuple[Particle, Levels]], max_boxes: int | None) -> Located:
    """Put all boxes in one order, the best first, and keep as many as are wanted."""
    owners = np.repeat(np.arange(len(found)), [len(gains) for _, gains in found])
    gains = np.concatenate([gains for _, gains in found])
    order = np.argsort(-gains, kind="stable")[:max_boxes]
    boxes = np.concatenate([particle.boxes for particle, _ in found])[order]
    regions = np.concatenate([particle.regions for particle, _ in found])[order]
    owner_of = owners[order].astype(np.int32)
    particles = tuple(
        Particle(
            bounding_box=particle.bounding_box,
            k=particle.k,
            boxes=boxes[owner_of == at],
            regions=regions[owner_of == at],
            area_px=particle.area_px,
            pitch_px=particle.pitch_px,
            explained=particle.explained * _kept(gains_of, int((owner_of == at).sum())),
        )
        for at, (particle, gains_of) in enumerate(found)
    )
    return Located(particles=particles, boxes=boxes, regions=regions, owners=owner_of)


def _kept(gains: Levels, count: int) -> float:
    """Share of what its boxes explain that the first `count` of them explain."""
    return float(gains[:count].sum() / max(float(gains.sum()), 1e-300))
