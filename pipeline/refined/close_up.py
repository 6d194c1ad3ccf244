"""A close look at one particle: its own lattice, and its outline on it.

Coordinates: x right, y down, from the upper-left corner, in the orientation that is worked in.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .bodies import Bodies, Mask
from .frame import Frame, to_grey
from .lattice import cell_means
from .orientation import Orientation
from .outline import Outline, Surroundings, find_outline, variance
from .params import RefinedParams

AROUND = 3
"""Cells of the frame around a particle that go with it: film to compare with."""

FAINT_REACH = 3
"""Cells of the frame by which an outline may lie outside what the frame's cells show."""

ALIKE = 4.0
"""Pixels that may have the same noise: detectors smear a pixel's over its neighbours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
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
class Lattice:
    """A particle's own lattice, in the frame's orientation: where it starts, in parent pixels."""

    x: int
    y: int
    rows: int
    columns: int
    pitch: int


def lay_lattice(mask: Mask, frame: Frame, size: tuple[int, int], cells: int) -> Lattice:
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
    return Lattice(x=x, y=y, rows=rows, columns=columns, pitch=pitch)


def _widened(first: int, last: int, cells: int, pitch: int, pixels: int) -> tuple[int, int]:
    """Turn cells first..last into parent pixels, with some film around them."""
    end = min(last + AROUND, cells)
    return max(first - AROUND, 0) * pitch, pixels if end == cells else end * pitch


def outline_of(scene: Scene, mask: Mask, lattice: Lattice) -> Outline | None:
    """Average the parent's pixels over a particle's lattice, and find its outline there.

    Parameters
    ----------
    scene : Scene
    mask : ndarray, bool, (rows, columns)
        Where the frame's cells show the particle.
    lattice : Lattice
        Its own.

    Returns
    -------
    Outline or None
        None if nothing is left of it.
    """
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


def _most_noise(scene: Scene, lattice: Lattice, body: Mask) -> float:
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
