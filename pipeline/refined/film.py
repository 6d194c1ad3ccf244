"""The film under the particles: its level all over the frame, and how much it varies.

A smooth surface is fitted to what lies lowest, first along the frame's border, then wherever the
picture keeps close to it. Arrays are (row, column), in cells of the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

from .lattice import Levels

RING = 4
"""Cells along the border that are looked at first."""

LOW, MIDDLE = 0.3, 0.45
"""Quantiles that the surface follows: particles are brighter, and may cover much of the border."""

CLOSE = 3.5
"""Spreads within which a cell counts as film."""

LEAST_SPREAD = 0.35
"""Gray levels: 8-bit pictures say no more."""

TERMS = 6


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

    terms: Levels
    spread: float

    def at(self, x: Levels, y: Levels) -> Levels:
        """Say the film's level at these places, from -1/2 to 1/2 across the frame."""
        c = self.terms
        return np.asarray(c[0] + c[1] * x + c[2] * y + c[3] * x * x + c[4] * x * y + c[5] * y * y)


def fit_film(cells: Levels) -> Film:
    """Fit the film of a frame.

    Parameters
    ----------
    cells : ndarray, float64, (rows, columns)
        Gray levels, smoothed.

    Returns
    -------
    Film
    """
    rows, columns = cells.shape
    x, y = centres(columns)[None, :], centres(rows)[:, None]
    wanted = np.ones((rows, columns), np.bool_)
    wanted[RING:-RING, RING:-RING] = False
    terms = np.zeros(TERMS)
    _follow(cells, wanted, terms, (3, 12), LOW)
    film = Film(terms=terms, spread=_spread(cells[wanted], film_under(terms, x, y)[wanted]))
    for _ in range(3):
        above = cells - film.at(x, y)
        wanted = above < CLOSE * film.spread
        if np.count_nonzero(wanted) < 40:
            break
        terms = film.terms.copy()
        _follow(cells, wanted, terms, (TERMS, 6), MIDDLE)
        film = Film(terms=terms, spread=_spread(cells[wanted], film_under(terms, x, y)[wanted]))
    return film


def film_under(terms: Levels, x: Levels, y: Levels) -> Levels:
    """Say the level of these terms at places from -1/2 to 1/2."""
    return Film(terms=terms, spread=0.0).at(x, y)


def centres(cells: int) -> Levels:
    """Centres of so many cells, from -1/2 to 1/2."""
    return (np.arange(cells) + 0.5) / cells - 0.5


def _spread(levels: Levels, film: Levels) -> float:
    """Measure the spread from what lies below: above there may be particles."""
    below = film - levels
    below = below[below > 0.0]
    return max(1.4826 * float(np.median(below)), LEAST_SPREAD) if below.size else LEAST_SPREAD


@compiled
def _follow(
    cells: Levels,
    wanted: NDArray[np.bool_],
    terms: Levels,
    effort: tuple[int, int],
    quantile: float,
) -> None:
    """Bring the first terms to the surface with this share of the wanted cells below it.

    Least squares again and again, each cell weighted by the inverse of its distance.
    """
    count, rounds = effort
    rows, columns = cells.shape
    basis = np.ones(6)
    for step in range(rounds):
        normal = np.zeros((count, count))
        right = np.zeros(count)
        for row in range(rows):
            basis[2] = (row + 0.5) / rows - 0.5
            basis[5] = basis[2] * basis[2]
            for column in range(row % 2, columns, 2):
                if not wanted[row, column]:
                    continue
                basis[1] = (column + 0.5) / columns - 0.5
                basis[3] = basis[1] * basis[1]
                basis[4] = basis[1] * basis[2]
                level = cells[row, column]
                distance = level
                for i in range(6):
                    distance -= terms[i] * basis[i]
                weight = 1.0
                if step > 0 or count > 3:
                    weight = (quantile if distance > 0.0 else 1.0 - quantile) / max(
                        abs(distance), 0.25
                    )
                for i in range(count):
                    right[i] += weight * basis[i] * level
                    for j in range(i + 1):
                        normal[i, j] += weight * basis[i] * basis[j]
        for i in range(count):
            normal[i, i] += 1e-9
        _solve(normal, right)
        for i in range(count):
            terms[i] = right[i]


@compiled
def _solve(normal: Levels, right: Levels) -> None:
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
