"""One particle on its own lattice: its levels without noise, its outline.

Arrays are (row, column), in cells of the particle's lattice.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.compiled import compiled

from .bodies import SQUARE, Mask
from .film import level_plane
from .lattice import Levels, Numbers
from .params import RefinedParams
from .ranks import rank
from .ranks import spread as spread_of

WINDOW = 2
"""Cells to each side that are averaged, where they differ by noise only."""

NOISE = 2.5
"""Standard deviations up to which a difference is noise."""

SEEN = 0.99
"""Share of the film beside a particle that are surely darker than it: where a film ends there
are two."""

BRIGHT = 0.95
"""Share of a particle that is darker than what counts as its brightness."""

SLOPE = 0.6
"""A plane must leave this share of the spread around one level, or the film counts as level."""

NEAR = 4
"""Cells beside an outline in which what is above the film belongs to the particle."""

SMOOTH = 1.0
"""Cells, of the blur in which faint cells are looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A particle's levels and where it is.

    Parameters
    ----------
    levels : ndarray, float32, (rows, columns)
        Gray levels above the film, noise averaged out, edges kept.
    mask : ndarray, bool, (rows, columns)
    extent : (x0, y0, x1, y1)
        Half-open: around `mask` and what is faint beside it, above the film but too dark for its
        place to be told.
    brightness : float
        Gray levels: nineteen cells of twenty are darker.
    spread : float
        Of the film beside the particle, gray levels, after the blur.
    noise : float
        Standard deviation of a bright cell before it was averaged out, as a share of `brightness`.
    """

    levels: Levels
    mask: Mask
    extent: tuple[int, int, int, int]
    brightness: float
    spread: float
    noise: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the frame tells of a particle's lattice.

    Parameters
    ----------
    film : ndarray, float32, (rows, columns)
        The film's gray levels.
    body, others : ndarray, bool, (rows, columns)
        Where the frame's cells show this particle, and other ones.
    reach : int
        Cells by which the outline may lie outside `body`.
    least_spread : float
        Of the film, where there is too little of it beside the particle.
    most_noise : float
        Variance of a cell that the pixels' own noise can make, gray levels squared.
    """

    film: Levels
    body: Mask
    others: Mask
    reach: int
    least_spread: float
    most_noise: float


def find_outline(
    cells: Levels, surroundings: Surroundings, params: RefinedParams
) -> Outline | None:
    """Find a particle's outline on its own lattice.

    Parameters
    ----------
    cells : ndarray, float32, (rows, columns)
        Gray levels.
    surroundings : Surroundings
    params : RefinedParams

    Returns
    -------
    Outline or None
        None if nothing is left of it.
    """
    body, others = surroundings.body, surroundings.others
    gain, offset = _noise(cells, body, surroundings.most_noise)
    smooth = np.asarray(cv2.GaussianBlur(cells, (0, 0), 0.8), np.float32)
    calm = _average_alike(cells, smooth, (offset, gain), NOISE, WINDOW)
    calm = _average_alike(calm, calm, (offset, gain), NOISE / 2.0, 1)
    wider = cv2.dilate(body.astype(np.uint8), SQUARE, iterations=surroundings.reach)
    near = wider.astype(np.bool_) & ~others
    beside = ~near & ~others
    levels = calm - surroundings.film
    blurred = np.asarray(cv2.GaussianBlur(levels, (0, 0), SMOOTH), np.float32)
    spread, highest = surroundings.least_spread, 0.0
    if not body.any():
        return None
    if np.count_nonzero(beside) > 60:
        # a slope is a plane, and where the film ends there is a step: a plane must leave less
        ground = np.full_like(cells, rank(blurred[beside], 0.5))
        spread = _spread(blurred, ground, beside)
        # only where the spread decides on the outline
        wide = params.film_spreads * spread > params.faintest * rank(blurred[body], BRIGHT)
        plane = level_plane(blurred, beside) if wide else ground
        if wide and _spread(blurred, plane, beside) < SLOPE * spread:
            spread, ground = _spread(blurred, plane, beside), plane
        levels -= ground
        blurred -= ground
        around = blurred[beside]
        highest = rank(around, SEEN)
    brightness = rank(levels[body], BRIGHT)
    if brightness <= 0.0:
        return None
    faint = max(params.film_spreads * spread, highest, params.faintest * brightness)
    above = (blurred > faint) & near
    steady = above & (levels > params.rim * cv2.dilate(blurred, SQUARE))
    # within the particle, what is dark beside something bright is no rim: gaps are closed
    closed = cv2.morphologyEx(steady.astype(np.uint8), cv2.MORPH_CLOSE, SQUARE)
    mask = _whole(above & closed.astype(np.bool_))
    if not mask.any():
        return None
    return Outline(
        levels=levels,
        mask=mask,
        extent=_extent(above, mask),
        brightness=brightness,
        spread=spread,
        noise=float(np.sqrt(offset + gain * brightness)) / brightness,
    )


def _spread(levels: Levels, ground: Levels, where: Mask) -> float:
    """Measure the spread of some levels around the ground, robustly."""
    return spread_of((levels - ground)[where])


def _extent(above: Mask, mask: Mask) -> tuple[int, int, int, int]:
    """Bound the mask and what is above the film near it."""
    wider = cv2.dilate(mask.astype(np.uint8), SQUARE, iterations=NEAR)
    near = wider.astype(np.bool_) & (above | mask)
    left, top, width, height = cv2.boundingRect(near.astype(np.uint8))
    return left, top, left + width, top + height


def _whole(mask: Mask) -> Mask:
    """Leave out specks, and close pinholes."""
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, SQUARE)
    count, parts = cv2.connectedComponents(opened, connectivity=4)
    if count == 1:
        return np.zeros_like(mask)
    areas = np.bincount(parts.ravel())
    areas[0] = 0
    solid: Mask = (areas >= max(9, areas.max() / 100))[parts]
    count, holes = cv2.connectedComponents((~solid).astype(np.uint8), connectivity=4)
    if count == 2:
        return solid
    areas = np.bincount(holes.ravel())
    pinholes = areas < 0.004 * areas[0]
    pinholes[0] = False
    return np.asarray(solid | pinholes[holes])


def _noise(cells: Levels, body: Mask, most: float) -> tuple[float, float]:
    """Fit the noise's variance: gain times level plus offset.

    From second differences along rows: slopes do not count, and the median passes over edges.
    What is finer than a cell, atomic columns or small grains, bends as noise does, but pixels
    beside each other bend less: more than `most` it is not.
    """
    bend = 2.0 * cells[:, 1:-1] - cells[:, :-2] - cells[:, 2:]
    level = (cells[:, :-2] + cells[:, 1:-1] + cells[:, 2:]) / 3.0
    inside = body[:, 1:-1]
    outside = ~inside
    if not inside.any():
        return 0.0, 1.0
    bright = inside & (level > rank(level[inside], 0.5))
    lit, dark = variance(bend[bright]), variance(bend[outside])
    high = float(level[bright].mean()) if bright.any() else 1.0
    low = float(level[outside].mean()) if outside.any() else 0.0
    gain = max((lit - dark) / max(high - low, 1.0), 0.0)
    offset = dark - gain * low
    share = min(most / max(offset + gain * high, 1e-9), 1.0)
    return gain * share, max(offset * share, 0.05)


def variance(bends: Levels | Numbers) -> float:
    """Variance of the noise in second differences, whose own is six times as large."""
    if bends.size <= 20:
        return 0.0
    return spread_of(bends) ** 2 / 6.0


def _average_alike(
    cells: Levels, like: Levels, noise: tuple[float, float], deviations: float, window: int
) -> Levels:
    """Average each cell's surroundings, those cells that differ from it by noise only.

    Lee's sigma filter: edges stay where they are. A cell that differs from `like` by more than
    noise is compared as it is: what is finer than a blur is kept. The window is 1 or 2.
    """
    offset, gain = noise
    law = np.float32(offset), np.float32(gain), np.float32(deviations)
    return _alike_means(cells, like, law, window)


@compiled
def _alike_means(
    cells: Levels, like: Levels, law: tuple[np.float32, np.float32, np.float32], window: int
) -> Levels:
    """Shift the whole picture again and again, with cells around it that are like no other.

    Its rows lie behind each other with that margin between: so long a loop is a vector loop.
    """
    rows, columns = cells.shape
    stride = columns + 2 * window
    padded = np.full((rows + 2 * window + 1) * stride, np.inf, np.float32)
    middle = np.full(rows * stride, np.inf, np.float32)
    most = np.zeros(rows * stride, np.float32)
    for y in range(rows):
        start = y * stride
        inner = (y + window) * stride + window
        padded[inner : inner + columns] = cells[y]
        _limit(cells[y], like[y], law, (middle[start:], most[start:]))
    total = np.zeros(rows * stride, np.float32)
    count = np.zeros(rows * stride, np.float32)
    for row in range(2 * window + 1):
        if window == 1:
            _add_three(padded[row * stride :], middle, most, (total, count))
        else:
            _add_five(padded[row * stride :], middle, most, (total, count))
    means = np.empty(cells.shape, np.float32)
    for y in range(rows):
        start = y * stride
        _divide(total[start:], count[start:], cells[y], means[y])
    return means


@compiled
def _limit(
    cells: Levels,
    like: Levels,
    law: tuple[np.float32, np.float32, np.float32],
    limits: tuple[Levels, Levels],
) -> None:
    """Say what the cells of a row are compared with, and how far from it noise reaches."""
    offset, gain, deviations = law
    middle, most = limits
    for x in range(cells.shape[0]):
        here = like[x]
        limit = deviations * np.sqrt(offset + gain * max(here, np.float32(0.0)))
        middle[x] = cells[x] if abs(cells[x] - here) > limit else here
        most[x] = limit


@compiled
def _add_five(values: Levels, middle: Levels, most: Levels, sums: tuple[Levels, Levels]) -> None:
    """Add those of five values beside each other that are alike; a fixed number is unrolled."""
    total, count = sums
    for x in range(middle.shape[0]):
        here, limit = middle[x], most[x]
        added, counted = total[x], count[x]
        for off in range(5):
            alike = abs(values[x + off] - here) <= limit
            added += values[x + off] if alike else np.float32(0.0)
            counted += np.float32(1.0) if alike else np.float32(0.0)
        total[x], count[x] = added, counted


@compiled
def _add_three(values: Levels, middle: Levels, most: Levels, sums: tuple[Levels, Levels]) -> None:
    """Do the same with three."""
    total, count = sums
    for x in range(middle.shape[0]):
        here, limit = middle[x], most[x]
        added, counted = total[x], count[x]
        for off in range(3):
            alike = abs(values[x + off] - here) <= limit
            added += values[x + off] if alike else np.float32(0.0)
            counted += np.float32(1.0) if alike else np.float32(0.0)
        total[x], count[x] = added, counted


@compiled
def _divide(total: Levels, count: Levels, cells: Levels, means: Levels) -> None:
    """Divide by how many there were; a cell like no other stays as it is."""
    for x in range(cells.shape[0]):
        means[x] = total[x] / count[x] if count[x] > 0.0 else cells[x]
