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

from pipeline.compiled import compiled, read_only

from .bodies import Bodies, Mask
from .frame import Frame, to_grey
from .lattice import Numbers, cell_means
from .noise import variance
from .orientation import Orientation
from .outline import Outline, Surroundings, find_outline
from .params import Controls, RefinedParams

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


def lay_lattice(mask: Mask, scene: Scene, controls: Controls) -> Lattice:
    """Lay a lattice over a particle, and film around it: `scene.cells` along its longer side.

    It is finer where no box of whole cells would be of a size that is asked for, and larger by the
    margin.
    """
    sides = controls.sides_px()
    frame, size, cells = scene.frame, scene.size, scene.cells
    height, width = size
    left, top, across, down = cv2.boundingRect(mask.view(np.uint8))
    longer = max(across, down) * frame.pitch
    pitch = min(max(ceil(longer / cells), 1), 2 * frame.pitch)
    pitch = _fitting_pitch(pitch, sides, min(5 * pitch // 4, 2 * frame.pitch))
    around = AROUND + ceil(controls.margin_px / frame.pitch)
    x0, x1 = _widened((left, left + across), around, (mask.shape[1], frame.pitch, width))
    y0, y1 = _widened((top, top + down), around, (mask.shape[0], frame.pitch, height))
    columns, rows = max((x1 - x0) // pitch, 1), max((y1 - y0) // pitch, 1)
    # a particle at the frame's end is boxed up to it; what does not fit lies on the other side
    x = x1 - columns * pitch if x1 == width else x0
    y = y1 - rows * pitch if y1 == height else y0
    return Lattice(x=x, y=y, rows=rows, columns=columns, pitch=pitch)


def _fitting_pitch(pitch: int, sides: tuple[float, float], most: int) -> int:
    """Find the next pitch of which a box of whole cells has a side that is asked for; 1 if none."""
    for near in sorted(range(1, most + 1), key=lambda other: abs(other - pitch)):
        if max(ceil(sides[0] / near), 1) * near <= sides[1]:
            return near
    return 1


def _widened(seen: tuple[int, int], around: int, line: tuple[int, int, int]) -> tuple[int, int]:
    """Turn cells of a line of so many, their pitch and all its pixels into parent pixels."""
    cells, pitch, pixels = line
    end = min(seen[1] + around, cells)
    return max(seen[0] - around, 0) * pitch, pixels if end == cells else end * pitch


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
    seen = _Seen(mask.shape, lattice, frame.pitch)
    body = seen.of(mask)
    x, y = seen.places()
    film = bodies.film.at(x, y)
    if bodies.edge.height > 0.0:
        film += bodies.edge.at(x, y)
    surroundings = Surroundings(
        film=film,
        body=body,
        others=seen.but(mask, bodies.masks),
        reach=max(FAINT_REACH * frame.pitch // lattice.pitch, 2),
        least_spread=bodies.film.spread,
        most_noise=_most_noise(scene, lattice, body),
        finer=frame.pitch / lattice.pitch,
    )
    return find_outline(cells, surroundings, scene.params)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the frame's cells, (rows, columns), show at the middle of those of a lattice."""

    shape: tuple[int, int]
    lattice: Lattice
    pitch: int

    def of(self, mask: Mask) -> Mask:
        lattice = self.lattice
        seen = np.empty((lattice.rows, lattice.columns), np.bool_)
        _look_up(mask, (lattice.x, lattice.y), (lattice.pitch, self.pitch), seen)
        return seen

    def but(self, mask: Mask, masks: tuple[Mask, ...]) -> Mask:
        """Show all other particles."""
        if len(masks) == 1:
            return np.zeros((self.lattice.rows, self.lattice.columns), np.bool_)
        others: Mask = np.logical_or.reduce(masks)
        others &= ~mask
        return self.of(others)

    def places(self) -> tuple[Numbers, Numbers]:
        """Say where in the frame the lattice's columns and rows are, from -1/2 to 1/2."""
        (rows, columns), lattice = self.shape, self.lattice
        return (
            _middles(lattice.columns, lattice.x, lattice.pitch, columns * self.pitch),
            _middles(lattice.rows, lattice.y, lattice.pitch, rows * self.pitch),
        )


@compiled
def _middles(cells: int, start: int, pitch: int, across: int) -> Numbers:
    """Middles of so many cells of this pitch, from -1/2 to 1/2 across so many pixels."""
    middles = np.empty(cells, np.float64)
    for at in range(cells):
        middles[at] = (start + (at + 0.5) * pitch) / across - 0.5
    return middles


@compiled
def _look_up(mask: Mask, origin: tuple[int, int], pitches: tuple[int, int], seen: Mask) -> None:
    """Look up the cell of the frame that the middle of each cell lies in, or the last one."""
    left, top = origin
    pitch, frame_pitch = pitches
    rows, columns = mask.shape
    at = np.empty(seen.shape[1], np.int64)
    for x in range(seen.shape[1]):
        at[x] = min((2 * (left + x * pitch) + pitch) // (2 * frame_pitch), columns - 1)
    before = -1
    for y in range(seen.shape[0]):
        row = min((2 * (top + y * pitch) + pitch) // (2 * frame_pitch), rows - 1)
        if row == before:
            seen[y] = seen[y - 1]
        else:
            for x in range(seen.shape[1]):
                seen[y, x] = mask[row, at[x]]
        before = row


def _most_noise(scene: Scene, lattice: Lattice, body: Mask) -> float:
    """Bound a cell's noise by that of its pixels: so much if each had its neighbours' noise."""
    pitch = lattice.pitch
    if pitch == 1:
        return float("inf")
    image = read_only(scene.image)
    beside, below = _second_differences(
        image, body, pitch, _walk(scene.orientation, image.shape, lattice)
    )
    span = scene.frame.scaling.high - scene.frame.scaling.low
    grey = 255.0 / span if span > 0.0 else 0.0
    beside *= grey
    below *= grey
    return ALIKE * min(variance(beside), variance(below)) / pitch**2


def _walk(
    orientation: Orientation, shape: tuple[int, ...], lattice: Lattice
) -> tuple[int, int, int]:
    """Say where the image's pixel in the middle of the first cell is, all of them in one line.

    And how far the next ones to the right and down are from it, in the orientation worked in.
    """
    height, width = shape
    x, y = lattice.x + lattice.pitch // 2, lattice.y + lattice.pitch // 2
    right, down = 1, width
    if orientation.transposed:
        x, y, right, down = y, x, down, right
    if orientation.across:
        x = width - 1 - x
    if orientation.down:
        y = height - 1 - y
    along, across = (-1 if orientation.across else 1), (-1 if orientation.down else 1)
    if orientation.transposed:
        along, across = across, along
    return y * width + x, along * right, across * down


@compiled
def _second_differences(
    image: NDArray[Any], body: Mask, pitch: int, walk: tuple[int, int, int]
) -> tuple[Numbers, Numbers]:
    """Take second differences along the image's rows and columns, in every other cell of a body.

    One pixel in the middle of a cell each.
    """
    first, right, down = walk
    pixels = image.reshape(image.size)
    width = image.shape[1]
    rows, columns = body.shape
    beside = np.empty((rows // 2) * (columns // 2), np.float64)
    below = np.empty((rows // 2) * (columns // 2), np.float64)
    count = 0
    for row in range(0, rows - 1, 2):
        for column in range(0, columns - 1, 2):
            if body[row, column]:
                at = first + pitch * (row * down + column * right)
                twice = 2.0 * np.float64(pixels[at])
                beside[count] = twice - np.float64(pixels[at - 1]) - np.float64(pixels[at + 1])
                above, under = np.float64(pixels[at - width]), np.float64(pixels[at + width])
                below[count] = twice - above - under
                count += 1
    return beside[:count], below[:count]
