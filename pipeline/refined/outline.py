"""One particle on its own lattice: its levels without noise, its outline.

Arrays are (row, column), in cells of the particle's lattice.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from pipeline.compiled import compiled

from .blur import blur
from .bodies import Mask
from .film import level_plane
from .lattice import Levels
from .noise import calmed, fit_noise
from .params import RefinedParams
from .pieces import whole_of, widened
from .ranks import rank
from .ranks import spread as spread_of

SEEN = 0.99
"""Share of the film beside a particle that are surely darker than it: where a film ends there
are two."""

BRIGHT = 0.95
"""Share of a particle that is darker than what counts as its brightness."""

SLOPE = 0.6
"""A plane must leave this share of the spread around one level, or the film counts as level."""

BLURRED = 3.0
"""How much finer than the frame's cells those are of which a blurred edge is wide: finer ones have
no more blur to lose."""

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
    finer : float
        How much finer the lattice is than the frame's cells.
    """

    film: Levels
    body: Mask
    others: Mask
    reach: int
    least_spread: float
    most_noise: float
    finer: float


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
    if not np.count_nonzero(body):
        return None
    gain, offset = fit_noise(cells, body, surroundings.most_noise)
    levels = calmed(cells, (gain, offset))
    levels -= surroundings.film
    blurred = blur(levels, SMOOTH)
    near = widened(body, surroundings.reach)
    beside = _part(near, others)
    ground, spread, highest = _ground(blurred, body, beside, params)
    if ground is None:
        spread = surroundings.least_spread
    else:
        levels -= ground
        blurred -= ground
    brightness = rank(levels[body], BRIGHT)
    if brightness <= 0.0:
        return None
    faint = max(params.film_spreads * spread, highest, params.faintest * brightness)
    rim = params.rim + params.blurred_rim * min(surroundings.finer, BLURRED)
    above, steady = _steady((levels, blurred), near, np.float32(faint), np.float32(rim))
    # within the particle, what is dark beside something bright is no rim: gaps are closed
    mask = whole_of(steady, above)
    if not np.count_nonzero(mask):
        return None
    return Outline(
        levels=levels,
        mask=mask,
        extent=_extent(above, mask),
        brightness=brightness,
        spread=spread,
        noise=sqrt(offset + gain * brightness) / brightness,
    )


@compiled
def _part(near: Mask, others: Mask) -> Mask:
    """Say what is film beside a particle, and take what is of others from what is near it."""
    beside = np.empty(near.shape, np.bool_)
    for y in range(near.shape[0]):
        for x in range(near.shape[1]):
            beside[y, x] = not (near[y, x] | others[y, x])
            near[y, x] &= not others[y, x]
    return beside


@compiled
def _steady(
    levels: tuple[Levels, Levels], near: Mask, faint: np.float32, rim: np.float32
) -> tuple[Mask, Mask]:
    """Say what is above the film near a particle, and what of that is no rim.

    A rim is darker than a share of the brightest blurred cell beside it.
    """
    sharp, blurred = levels
    rows, columns = sharp.shape
    above = np.empty(sharp.shape, np.bool_)
    steady = np.empty(sharp.shape, np.bool_)
    # nothing is beside the outermost cells
    brightest = np.full(columns + 2, -np.inf, np.float32)
    for y in range(rows):
        before, after = max(y - 1, 0), min(y + 1, rows - 1)
        for x in range(columns):
            brightest[x + 1] = max(blurred[before, x], blurred[y, x], blurred[after, x])
        for x in range(columns):
            beside = max(brightest[x], brightest[x + 1], brightest[x + 2])
            counts = (blurred[y, x] > faint) & near[y, x]
            above[y, x] = counts
            steady[y, x] = counts & (sharp[y, x] > rim * beside)
    return above, steady


def _ground(
    blurred: Levels, body: Mask, beside: Mask, params: RefinedParams
) -> tuple[Levels | np.float32 | None, float, float]:
    """Find what the film beside a particle is above the frame's: a level, or a plane.

    Returns it, the spread around it, and what is surely film; None if there is too little film.
    """
    around = blurred[beside]
    if around.size <= 60:
        return None, 0.0, 0.0
    level = np.float32(rank(around, 0.5))
    around -= level
    highest = rank(around, SEEN)
    spread = spread_of(around)
    # only where the spread decides on the outline
    if _is_faint(blurred, body, params.faintest, params.film_spreads * spread):
        # a slope is a plane, and where the film ends there is a step: a plane must leave less
        plane = level_plane(blurred, beside)
        around = (blurred - plane)[beside]
        on_slope = rank(around, SEEN)
        left = spread_of(around)
        if left < SLOPE * spread:
            return plane, left, on_slope
    return level, spread, highest


def _extent(above: Mask, mask: Mask) -> tuple[int, int, int, int]:
    """Bound the mask and what is above the film near it."""
    left, top, right, bottom = _bounds(widened(mask, NEAR), above, mask)
    return left, top, right, bottom


@compiled
def _bounds(near: Mask, above: Mask, mask: Mask) -> tuple[int, int, int, int]:
    """Bound what is near and in one of the masks, half-open."""
    rows, columns = mask.shape
    there = np.zeros(columns, np.bool_)
    top, bottom = rows, 0
    for y in range(rows):
        any_there = False
        for x in range(columns):
            counts = near[y, x] & (above[y, x] | mask[y, x])
            there[x] |= counts
            any_there |= counts
        if any_there:
            top, bottom = min(top, y), y + 1
    left, right = columns, 0
    for x in range(columns):
        if there[x]:
            left, right = min(left, x), x + 1
    return left, top, right, bottom


def _is_faint(levels: Levels, body: Mask, share: float, limit: float) -> bool:
    """Say whether this share of a body's brightness is below a limit, without ordering it."""
    fainter, count = _count_fainter(levels, body, share, limit)
    return fainter > round(BRIGHT * (count - 1))


@compiled
def _count_fainter(levels: Levels, body: Mask, share: float, limit: float) -> tuple[int, int]:
    fainter, count = 0, 0
    for y in range(body.shape[0]):
        for x in range(body.shape[1]):
            count += body[y, x]
            fainter += body[y, x] & (share * np.float64(levels[y, x]) < limit)
    return fainter, count
