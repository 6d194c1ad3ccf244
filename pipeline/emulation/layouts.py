"""Which phase lies where, for phases that lie side by side.

Coordinates: x right, y down, pixels from the body's centre.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import cos, pi, sin
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .body import FloatImage
from .draws import Draws, steady

Arrangement = Literal["single", "janus", "stripes", "wedges", "grains", "core-shell"]
ARRANGEMENTS: tuple[Arrangement, ...] = get_args(Arrangement)

Fraction = NDArray[np.float64]
Layout = Callable[[FloatImage, FloatImage], NDArray[np.uint8]]

GRAIN_ATTEMPTS = 11
SLIVER = 0.1
"""Share of the body's volume that each grain should exceed, if the attempts allow."""


def draw_layout(
    draws: Draws,
    arrangement: Arrangement,
    count: int,
    *,
    x: FloatImage,
    y: FloatImage,
    weight: Fraction,
) -> Layout:
    """Draw the rule that says which phase lies where; no phase is negligible.

    Parameters
    ----------
    draws : Draws
    arrangement : str
        Any but "core-shell".
    count : int
        Phases.
    x, y : ndarray, float32, (1, width) and (height, 1)
        Points at which the body is looked at: pixels from its centre, which lies within them.
    weight : ndarray, float64, (height, width)
        The body's thickness there, in whole steps.

    Returns
    -------
    callable
        From other x and y of these forms to phases 0..count - 1, uint8, (height, width).
    """
    if arrangement == "single":
        return lambda x, y: np.zeros((y.shape[0], x.shape[1]), dtype=np.uint8)
    if arrangement == "grains":
        return _grains(draws, count, x, y, weight)
    field: Callable[[FloatImage, FloatImage], FloatImage]
    field = _turn(draws, x, y) if arrangement == "wedges" else _slope(draws, arrangement, x)
    cuts = _quantiles(field(x, y), weight, running(shares(draws, count)))

    def cut(x: FloatImage, y: FloatImage) -> NDArray[np.uint8]:
        values = field(x, y)
        phases = np.zeros(values.shape, dtype=np.uint8)
        for value in cuts:
            phases += values >= value
        return phases

    return cut


def _slope(
    draws: Draws, arrangement: Arrangement, x: FloatImage
) -> Callable[[FloatImage, FloatImage], FloatImage]:
    """Distance along a direction; bent for a janus particle, so that its interface is an arc."""
    angle = draws.between(0.0, 2.0 * pi)
    cosine, sine = np.float32(steady(cos(angle))), np.float32(steady(sin(angle)))
    bend = draws.between(-0.5, 0.5) if arrangement == "janus" else 0.0
    curvature = np.float32(bend / -float(x[0, 0]))

    def slope(x: FloatImage, y: FloatImage) -> FloatImage:
        along = x * cosine + y * sine
        across = y * cosine - x * sine
        return along + across * across * curvature

    return slope


def _turn(
    draws: Draws, x: FloatImage, y: FloatImage
) -> Callable[[FloatImage, FloatImage], FloatImage]:
    """Rise by 4 in one turn around a point near the middle, as the angle does, by division only."""
    from_x = np.float32(draws.between(-0.25, 0.25) * -float(x[0, 0]))
    from_y = np.float32(draws.between(-0.25, 0.25) * -float(y[0, 0]))
    angle = draws.between(0.0, 2.0 * pi)
    cosine, sine = np.float32(steady(cos(angle))), np.float32(steady(sin(angle)))

    def turn(x: FloatImage, y: FloatImage) -> FloatImage:
        along = (x - from_x) * cosine + (y - from_y) * sine
        across = (y - from_y) * cosine - (x - from_x) * sine
        ratio = across / (np.abs(along) + np.abs(across) + np.float32(1e-6))
        turned = np.where(along >= 0.0, ratio, np.float32(2.0) - ratio)
        return turned.astype(np.float32, copy=False)

    return turn


def _grains(draws: Draws, count: int, x: FloatImage, y: FloatImage, weight: Fraction) -> Layout:
    """Draw grains, each nearest to its own point, so that none is a mere sliver."""
    inside = np.flatnonzero(weight > 0.0)

    def attempt() -> tuple[float, Layout]:
        chosen = [int(inside[draws.below(inside.size)]) for _ in range(count)]
        layout = _nearest([(x[0, at % x.shape[1]], y[at // x.shape[1], 0]) for at in chosen])
        return float(min(volumes(layout(x, y), weight, count))), layout

    smallest, layout = attempt()
    for _ in range(GRAIN_ATTEMPTS):
        if smallest > SLIVER:
            break
        smallest, layout = max((smallest, layout), attempt(), key=lambda found: found[0])
    return layout


def _nearest(points: list[tuple[np.float32, np.float32]]) -> Layout:
    """Give each place to the nearest of `points`."""

    def nearest(x: FloatImage, y: FloatImage) -> NDArray[np.uint8]:
        phases = np.zeros((y.shape[0], x.shape[1]), dtype=np.uint8)
        least = np.full(phases.shape, np.inf, dtype=np.float32)
        for number, (at_x, at_y) in enumerate(points):
            squared = (x - at_x) ** 2 + (y - at_y) ** 2
            np.putmask(phases, squared < least, np.uint8(number))
            np.minimum(least, squared, out=least)
        return phases

    return nearest


def shares(draws: Draws, count: int) -> list[float]:
    """Draw shares of a whole, none of them negligible."""
    weights = [draws.between(0.4, 1.0) for _ in range(count)]
    return [weight / sum(weights) for weight in weights]


def running(shares: Sequence[float]) -> list[float]:
    """Where each share but the last one ends."""
    ends = [shares[0]]
    for share in shares[1:]:
        ends.append(ends[-1] + share)
    return ends[:-1]


def _quantiles(field: FloatImage, weight: Fraction, levels: Sequence[float]) -> list[np.float32]:
    """Values of `field` below which these shares of the volume lie."""
    order = np.argsort(field, axis=None, kind="stable")
    volume = np.cumsum(weight.ravel()[order])
    at = [int(np.searchsorted(volume, level * volume[-1])) for level in levels]
    return [field.ravel()[order[place]] for place in at]


def volumes(phases: NDArray[np.uint8], weight: Fraction, count: int) -> Fraction:
    """Share of the volume that each phase has."""
    volumes = [float(weight[phases == phase].sum()) for phase in range(count)]
    return np.array(volumes) / sum(volumes)
