"""The film under the particles: its level all over the frame, and how much it varies.

A smooth surface is fitted to what lies lowest, first along the frame's border, then wherever the
picture keeps close to it. Arrays are (row, column), in cells of the frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled, read_only

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

PRODUCTS = 16
"""Products of up to four coordinates, and a zero."""

PRODUCT_OF = np.array(
    [
        [0, 1, 2, 3, 4, 5],
        [1, 3, 4, 6, 7, 8],
        [2, 4, 5, 7, 8, 9],
        [3, 6, 7, 10, 11, 12],
        [4, 7, 8, 11, 12, 13],
        [5, 8, 9, 12, 13, 14],
    ]
)
"""Which of them two terms make."""

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

    def below(self, cells: Levels) -> Levels:
        """Take the film away from under the frame's cells.

        Parameters
        ----------
        cells : ndarray, float32, (rows, columns)

        Returns
        -------
        ndarray, float32, (rows, columns)
        """
        rows, columns = cells.shape
        return _without(cells, self.terms, centres(columns), centres(rows))


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
    rows, columns = cells.shape
    step = max(isqrt(cells.size // ENOUGH), 1)
    products, wanted = _places(rows, columns, step)
    levels = np.ascontiguousarray(cells[step // 2 :: step, step // 2 :: step]).ravel()
    terms = np.zeros(TERMS)
    spread = _spread_below(_follow((products, levels), wanted, terms, (3, 5), LOW))
    for _ in range(2):
        enough, depths = _follow_near((products, levels), CLOSE * spread, terms)
        if not enough:
            break
        spread = _spread_below(depths)
    return Film(terms=terms, spread=spread)


@lru_cache(maxsize=16)
def _places(rows: int, columns: int, step: int) -> tuple[Numbers, NDArray[np.bool_]]:
    """Pick every so many cells of a frame: products of their coordinates, and which are outermost.

    Frames of one microscope have one shape, and this says nothing of their levels.
    """
    x, y = centres(columns)[step // 2 :: step], centres(rows)[step // 2 :: step]
    x, y = np.tile(x, len(y)), np.repeat(y, len(x))
    outermost = (np.abs(x) > 0.5 - RING / columns) | (np.abs(y) > 0.5 - RING / rows)
    return read_only(_products(x, y)), outermost


def _surface(terms: Numbers, x: Numbers, y: Numbers) -> Levels:
    level = np.zeros((y.size, x.size), np.float32)
    return -_without(level, terms, read_only(x), read_only(y))


@compiled
def _without(cells: Levels, terms: Numbers, x: Numbers, y: Numbers) -> Levels:
    """Take the surface away, term by term; what is the same in all rows is worked out once."""
    above = np.empty(cells.shape, np.float32)
    across = terms[0] + terms[1] * x
    square = terms[3] * x * x
    slant = terms[4] * x
    for row in range(cells.shape[0]):
        down = y[row]
        first, last = terms[2] * down, terms[5] * down * down
        line, rest = cells[row], above[row]
        for column in range(line.shape[0]):
            level = across[column] + first + square[column] + slant[column] * down + last
            rest[column] = line[column] - np.float32(level)
    return above


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
    products = read_only(_products(x[at % columns], y[at // columns]))
    terms = np.zeros(TERMS)
    _follow((products, cells.ravel()[at]), np.ones(at.size, np.bool_), terms, (3, 6), 0.5)
    return _surface(terms, x, y)


@lru_cache(maxsize=64)
def centres(cells: int) -> Numbers:
    """Centres of so many cells, from -1/2 to 1/2; the array may not be written to."""
    places: Numbers = (np.arange(cells) + 0.5) / cells - 0.5
    places.setflags(write=False)
    return places


def _spread_below(depths: Numbers) -> float:
    """Measure the spread from what lies below: above there may be particles."""
    return max(1.4826 * rank(depths, 0.5), LEAST_SPREAD) if depths.size else LEAST_SPREAD


def _products(x: Numbers, y: Numbers) -> Numbers:
    """Multiply coordinates with each other, (places, `PRODUCTS`): all that a fit sums up.

    The first ones are the surface's terms; a zero makes the number even, for the processor.
    """
    powers = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3)]
    powers += [(4, 0), (3, 1), (2, 2), (1, 3), (0, 4)]
    products = np.zeros((x.size, PRODUCTS))
    for at, (of_x, of_y) in enumerate(powers):
        products[:, at] = x**of_x * y**of_y
    return products


@compiled
def _height(products: Numbers, at: int, terms: Numbers) -> float:
    """Evaluate the surface at one place."""
    height = float(terms[0])
    for term in range(1, 6):
        height += terms[term] * products[at, term]
    return height


@compiled
def _follow_near(
    places: tuple[Numbers, Levels], most: float, terms: Numbers
) -> tuple[bool, Numbers]:
    """Bring the surface to the levels that are less than so much above it, if they are enough."""
    products, levels = places
    near = np.empty(levels.size, np.bool_)
    count = 0
    for at in range(levels.size):
        near[at] = levels[at] - _height(products, at, terms) < most
        count += near[at]
    if count < FEWEST:
        return False, np.empty(0, np.float64)
    return True, _follow(places, near, terms, (TERMS, 3), MIDDLE)


@compiled
def _follow(
    places: tuple[Numbers, Levels],
    wanted: NDArray[np.bool_],
    terms: Numbers,
    effort: tuple[int, int],
    quantile: float,
) -> Numbers:
    """Bring the first terms to the surface with this share of the wanted levels below it.

    Least squares again and again, each level weighted by the inverse of its distance. Returns how
    far those levels that end up below the surface are below it.
    """
    count, rounds = effort
    for step in range(rounds):
        # a fit of six terms goes on from one of three
        share = quantile if step > 0 or count > 3 else 0.0
        _solve(_sums(places, wanted, terms, share), terms[:count])
    return _depths(places, wanted, terms)


@compiled
def _sums(
    places: tuple[Numbers, Levels], wanted: NDArray[np.bool_], terms: Numbers, quantile: float
) -> Numbers:
    """Sum up what the equations are made of: weighted products, and those with the levels.

    Side by side, in the order of the places: the same on all machines. Without a quantile, all
    weights are 1.
    """
    products, levels = places
    sums = np.zeros(PRODUCTS)
    of_levels = np.zeros(8)
    for at in range(levels.size):
        if not wanted[at]:
            continue
        weight = 1.0
        if quantile > 0.0:
            off = levels[at] - _height(products, at, terms)
            weight = (quantile if off > 0.0 else 1.0 - quantile) / max(abs(off), 0.25)
        weighted = weight * levels[at]
        for product in range(PRODUCTS):
            sums[product] += weight * products[at, product]
        for term in range(8):
            of_levels[term] += weighted * products[at, term]
    return np.concatenate((sums, of_levels))


@compiled
def _depths(places: tuple[Numbers, Levels], wanted: NDArray[np.bool_], terms: Numbers) -> Numbers:
    """Say how far the wanted levels are below the surface, those that are."""
    products, levels = places
    depths = np.empty(levels.size, np.float64)
    count = 0
    for at in range(levels.size):
        depth = _height(products, at, terms) - levels[at]
        depths[count] = depth
        count += wanted[at] and depth > 0.0
    return depths[:count]


@compiled
def _solve(sums: Numbers, terms: Numbers) -> None:
    """Solve the equations for the first terms, by Cholesky's method."""
    count = terms.shape[0]
    normal = np.empty((count, count))
    right = sums[PRODUCTS : PRODUCTS + count]
    for i in range(count):
        for j in range(i + 1):
            total = sums[PRODUCT_OF[i, j]] + (1e-9 if i == j else 0.0)
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
    terms[:] = right
