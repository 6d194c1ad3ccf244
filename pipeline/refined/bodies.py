"""Particles as connected parts of the frame, in cells of the frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

from .blur import blur
from .film import Film, centres, fit_film
from .film_edge import FilmEdge, find_film_edge
from .lattice import Levels
from .pieces import pieces_of, widened
from .ranks import rank

Mask = NDArray[np.bool_]

BLUR = 1.5
"""Cells, before a film is fitted and particles are looked for."""

RISE = 3.0
"""Spreads of the film that a particle's cells are above it."""

PEAK = 6.0
"""Spreads of the film that its bright part is above it."""

FAINTEST = 0.12
"""Brightness of a particle beside the frame's brightest."""

BRIGHTEST = 0.999
"""Share of the frame that is darker than what counts as brightest."""

BRIGHT = 0.9
"""Share of a part that is darker than its bright part."""

FEWEST = 9
"""Cells."""

STRIP = 4
"""Cells: what lies along the border and is no wider is a scale bar, a caption, or too little of a
particle to place boxes on."""

FILM_END = 0.17
FILM_RISE = 15.0
FILM_LENGTH = 0.45
"""What lies along the border below this share of a part's brightness is film that is thicker
there, not particle, if it is less than so many spreads above the fitted film, or if that much of
the frame's longer side is along the border."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bodies:
    """What stands out of the film.

    Parameters
    ----------
    film : Film
    edge : FilmEdge
        What the film has beside: a step along a line.
    masks : tuple of ndarray, bool, (rows, columns)
        One a particle.
    highest : float
        Gray levels that the frame's brightest thousandth is above the film.
    """

    film: Film
    edge: FilmEdge
    masks: tuple[Mask, ...]
    highest: float


def find_bodies(cells: Levels) -> Bodies:
    """Find the particles of a frame.

    Parameters
    ----------
    cells : ndarray, float32, (rows, columns)
        Gray levels.

    Returns
    -------
    Bodies
    """
    smooth = blur(cells, BLUR)
    rows, columns = cells.shape
    edge = find_film_edge(smooth)
    if edge.height > 0.0:
        smooth -= edge.at(centres(columns), centres(rows))
    film = fit_film(smooth)
    above = film.below(smooth)
    highest = rank(above[::2, ::2].ravel(), BRIGHTEST)
    masks: list[Mask] = []
    for mask in pieces_of(above > max(RISE * film.spread, 0.02 * highest), FEWEST):
        border = _along_border(above, mask)
        if border.size and _is_strip(mask):
            continue
        peak = rank(above[mask], BRIGHT)
        if peak < max(PEAK * film.spread, FAINTEST * highest):
            continue
        masks += _without_film(mask, above, border, (peak, film.spread))
    return Bodies(film=film, edge=edge, masks=tuple(masks), highest=highest)


def _is_strip(mask: Mask) -> bool:
    rows, columns = mask.shape
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    lies_across = height <= STRIP and (y == 0 or y + height == rows)
    return lies_across or (width <= STRIP and (x == 0 or x + width == columns))


def _without_film(
    mask: Mask, above: Levels, border: Levels, rise: tuple[float, float]
) -> list[Mask]:
    """Cut off what is only a thicker film: it reaches the border, and is faint there."""
    if not border.size:
        return [mask]
    peak, spread = rise
    long = border.size > FILM_LENGTH * max(mask.shape)
    level = rank(border, 0.5)
    if level >= FILM_END * peak or not (long or level < FILM_RISE * spread):
        return [mask]
    rest = mask & (above > 1.35 * level + 2.0 * spread)
    return [
        widened(part, 2)
        for part in pieces_of(rest, FEWEST)
        if rank(above[part], BRIGHT) > 0.5 * peak
    ]


@compiled
def _along_border(cells: Levels, mask: Mask) -> Levels:
    """Pick the cells of a mask that lie along the border, each once."""
    rows, columns = cells.shape
    picked = np.empty(2 * (rows + columns), np.float32)
    count = 0
    for y in range(rows):
        # of the rows between the first and the last, the ends only
        step = 1 if y in (0, rows - 1) else max(columns - 1, 1)
        for x in range(0, columns, step):
            picked[count] = cells[y, x]
            count += mask[y, x]
    return picked[:count]
