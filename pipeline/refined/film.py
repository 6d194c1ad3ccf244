"""The film under the particles: its level all over the frame, and how much it varies.

A smooth surface is fitted to what lies lowest, first along the frame's border, then wherever the
picture keeps close to it. Arrays are (row, column), in cells of the frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

from .lattice import Levels, Numbers
from .ranks import rank

RING = 4
"""Cells along the border that are looked at first."""

LOW, MIDDLE = 0.3, 0.45
"""Quantiles that the surface follows: particles are brighter, and may cover much of the border."""

CLOSE = 3.5
"""Spreads within which a cell counts as film."""

LEAST_SPREAD = 0.35
"""Gray levels: 8-bit pictures say no more."""

TERMS = 6

ENOUGH = 400
"""Cells that a fit looks at, about."""

FEWEST = 20
"""Of them, without which there is no fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A fitted film.

    Parameters
    ----------
    terms : ndarray, float64, (6,)
        Of 1, x, y, x x, x y, y y, with x and y from -1/2 to 1/2 across the frame.
    spread : float
        Standard deviation of the film around it, gray levels.
    """

    terms: Numbers
    spread: float

    def at(self, x: Numbers, y: Numbers) -> Levels:
        """Say the film's level at these places, from -1/2 to 1/2 across the frame.

        Parameters
        ----------
        x, y : ndarray, float64, (columns,) and (rows,)

        Returns
        -------
        ndarray, float32, (rows, columns)
        """
        return _surface(self.terms, x, y)


def fit_film(cells: Levels) -> Film:
    """Fit the film of a frame.

    Parameters
    ----------
    cells : ndarray, float32, (rows, columns)
        Gray levels, smoothed.

    Returns
    -------
    Film
    """
    places = _some(cells)
    x, y = places[:2]
    rows, columns = cells.shape
    ring_x, ring_y = 0.5 - RING / columns, 0.5 - RING / rows
    wanted = (np.abs(x) > ring_x) | (np.abs(y) > ring_y)
    terms = np.zeros(TERMS)
    _follow(places, wanted, terms, (3, 5), LOW)
    spread = _spread_below(_off(places, terms)[wanted])
    for _ in range(2):
        wanted = _off(places, terms) < CLOSE * spread
        if np.count_nonzero(wanted) < FEWEST:
            break
        _follow(places, wanted, terms, (TERMS, 3), MIDDLE)
        spread = _spread_below(_off(places, terms)[wanted])
    return Film(terms=terms, spread=spread)


def _some(cells: Levels) -> tuple[Numbers, Numbers, Levels]:
    """Pick some of the cells, evenly: their x, y and levels."""
    rows, columns = cells.shape
    step = max(isqrt(cells.size // ENOUGH), 1)
    some = np.ascontiguousarray(cells[step // 2 :: step, step // 2 :: step])
    x, y = centres(columns)[step // 2 :: step], centres(rows)[step // 2 :: step]
    return np.tile(x, len(y)), np.repeat(y, len(x)), some.ravel()


@compiled
def _surface(terms: Numbers, x: Numbers, y: Numbers) -> Levels:
    levels = np.empty((y.shape[0], x.shape[0]), np.float32)
    for row in range(y.shape[0]):
        down = y[row]
        for column in range(x.shape[0]):
            across = x[column]
            levels[row, column] = (
                terms[0]
                + terms[1] * across
                + terms[2] * down
                + terms[3] * across * across
                + terms[4] * across * down
                + terms[5] * down * down
            )
    return levels


def level_plane(cells: Levels, wanted: NDArray[np.bool_]) -> Levels:
    """Fit a plane with half of the wanted cells below it.

    Returns
    -------
    ndarray, float32, (rows, columns)
        Its level everywhere.
    """
    rows, columns = cells.shape
    x, y = centres(columns), centres(rows)
    at = np.flatnonzero(wanted)
    at = at[:: max(at.size // ENOUGH, 1)]
    places = x[at % columns], y[at // columns], cells.ravel()[at]
    terms = np.zeros(TERMS)
    _follow(places, np.ones(at.size, np.bool_), terms, (3, 6), 0.5)
    return _surface(terms, x, y)


def centres(cells: int) -> Numbers:
    """Centres of so many cells, from -1/2 to 1/2."""
    return (np.arange(cells) + 0.5) / cells - 0.5


def _spread_below(off: Numbers) -> float:
    """Measure the spread from what lies below: above there may be particles."""
    below = -off[off < 0.0]
    return max(1.4826 * rank(below, 0.5), LEAST_SPREAD) if below.size else LEAST_SPREAD


@compiled
def _off(places: tuple[Numbers, Numbers, Levels], terms: Numbers) -> Numbers:
    """Say how far the levels are above the surface."""
    x, y, levels = places
    off = np.empty(levels.size, np.float64)
    for at in range(levels.size):
        off[at] = levels[at] - (
            terms[0]
            + terms[1] * x[at]
            + terms[2] * y[at]
            + terms[3] * x[at] * x[at]
            + terms[4] * x[at] * y[at]
            + terms[5] * y[at] * y[at]
        )
    return off


@compiled
def _follow(
    places: tuple[Numbers, Numbers, Levels],
    wanted: NDArray[np.bool_],
    terms: Numbers,
    effort: tuple[int, int],
    quantile: float,
) -> None:
    """Bring the first terms to the surface with this share of the wanted levels below it.

    Least squares again and again, each level weighted by the inverse of its distance.
    """
    x, y, levels = places
    count, rounds = effort
    basis = np.ones(6)
    for step in range(rounds):
        off = _off(places, terms)
        normal = np.zeros((count, count))
        right = np.zeros(count)
        for at in range(levels.size):
            if not wanted[at]:
                continue
            basis[1], basis[2] = x[at], y[at]
            basis[3], basis[4], basis[5] = x[at] * x[at], x[at] * y[at], y[at] * y[at]
            weight = 1.0
            if step > 0 or count > 3:
                share = quantile if off[at] > 0.0 else 1.0 - quantile
                weight = share / max(abs(off[at]), 0.25)
            for i in range(count):
                weighted = weight * basis[i]
                right[i] += weighted * levels[at]
                for j in range(i + 1):
                    normal[i, j] += weighted * basis[j]
        for i in range(count):
            normal[i, i] += 1e-9
        _solve(normal, right)
        for i in range(count):
            terms[i] = right[i]


@compiled
def _solve(normal: Numbers, right: Numbers) -> None:
    """Solve by Cholesky's method, in place; only the lower triangle is read."""
    count = right.shape[0]
    for i in range(count):
        for j in range(i + 1):
            total = normal[i, j]
            for k in range(j):
                total -= normal[i, k] * normal[j, k]
            normal[i, j] = np.sqrt(max(total, 1e-12)) if i == j else total / normal[j, j]
    for i in range(count):
        for k in range(i):
            right[i] -= normal[i, k] * right[k]
        right[i] /= normal[i, i]
    for i in range(count - 1, -1, -1):
        for k in range(i + 1, count):
            right[i] -= normal[k, i] * right[k]
        right[i] /= normal[i, i]
