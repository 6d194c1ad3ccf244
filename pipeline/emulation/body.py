"""The particle: a convex body, seen along the beam.

Coordinates: x right, y down, in pixels; a body's own origin is its centre.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import cos, pi, radians, sin, sqrt
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .draws import Draws, steady

Shape = Literal["faceted", "rounded", "truncated"]
SHAPES: tuple[Shape, ...] = get_args(Shape)

FloatImage = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """A side face: the body lies where nx x + ny y < distance, and rises from there inwards."""

    nx: float
    ny: float
    distance: float
    slope: float
    """Thickness gained per pixel inwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dome:
    """An ellipsoid around the centre: half axes a, b in the picture, `height` along the beam."""

    a: float
    b: float
    cosine: float
    sine: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A flat-topped convex body: the lowest of its top, its facets and its dome, everywhere."""

    shape: Shape
    top: float
    """Thickness of the flat middle, pixels."""
    facets: tuple[Facet, ...] = ()
    dome: Dome | None = None

    def thickness(self, x: FloatImage, y: FloatImage, scale: float = 1.0) -> FloatImage:
        """Measure the body along the beam.

        Parameters
        ----------
        x, y : ndarray, float32, (1, width) and (height, 1)
            Pixel centres, from the body's centre.
        scale : float
            Of a smaller copy of the body around the same centre: the core of a shell.

        Returns
        -------
        ndarray, float32, (height, width)
            Pixels; 0 outside.
        """
        thickness = np.full((y.shape[0], x.shape[1]), self.top * scale, dtype=np.float32)
        for facet in self.facets:
            # slope * (scale * distance - nx x - ny y), one multiplication per column and row
            along_x = np.float32(-facet.slope * facet.nx) * x
            along_y = np.float32(-facet.slope * facet.ny) * y
            along_y += np.float32(facet.slope * facet.distance * scale)
            np.minimum(thickness, along_x + along_y, out=thickness)
        if self.dome is not None:
            np.minimum(thickness, _dome(self.dome, x, y, scale), out=thickness)
        return np.maximum(thickness, np.float32(0.0), out=thickness)

    def extent(self) -> tuple[float, float, float, float]:
        """Enclose the body: x0, y0, x1, y1 from its centre. May be a little larger than it."""
        corners = [_corner(one, other) for one, other in _neighbours(self.facets)]
        if self.dome is not None:
            dome = self.dome
            half_x = sqrt((dome.a * dome.cosine) ** 2 + (dome.b * dome.sine) ** 2)
            half_y = sqrt((dome.a * dome.sine) ** 2 + (dome.b * dome.cosine) ** 2)
            if not corners:
                return -half_x, -half_y, half_x, half_y
            corners = [
                (min(max(x, -half_x), half_x), min(max(y, -half_y), half_y)) for x, y in corners
            ]
        across, down = zip(*corners, strict=True)
        return min(across), min(down), max(across), max(down)

    def scaled(self, factor: float) -> Body:
        """Return the body `factor` times as large, in all three directions."""
        dome = self.dome
        return replace(
            self,
            top=self.top * factor,
            facets=tuple(replace(f, distance=f.distance * factor) for f in self.facets),
            dome=dome
            and replace(dome, a=dome.a * factor, b=dome.b * factor, height=dome.height * factor),
        )


def draw_body(draws: Draws, shape: Shape) -> Body:
    """Draw a body of about unit radius.

    Facets are tangents of one ellipse, so each of them shows; a truncated body is also cut by a
    larger ellipse, which rounds its corners.
    """
    elongation = draws.between(1.0, 1.5)
    a = sqrt(elongation)
    b = 1.0 / a
    turn = draws.between(0.0, pi)
    cosine, sine = steady(cos(turn)), steady(sin(turn))
    top = draws.between(0.5, 1.0)
    facets: tuple[Facet, ...] = ()
    if shape != "rounded":
        facets = _draw_facets(draws, top, a=a, b=b, cosine=cosine, sine=sine)
    dome = None
    if shape != "faceted":
        larger = 1.0 if shape == "rounded" else draws.between(1.03, 1.15)
        dome = Dome(
            a=a * larger,
            b=b * larger,
            cosine=cosine,
            sine=sine,
            height=top * draws.between(1.15, 2.2),  # the lower, the smaller the flat middle
        )
    return Body(shape=shape, top=top, facets=facets, dome=dome)


def _draw_facets(
    draws: Draws, top: float, *, a: float, b: float, cosine: float, sine: float
) -> tuple[Facet, ...]:
    count = 4 + draws.below(7)
    spacing = 360.0 / count
    start = draws.between(0.0, 360.0)
    bevel = draws.between(0.04, 0.22)
    facets = []
    for number in range(count):
        angle = radians(start + spacing * (number + draws.between(-0.15, 0.15)))
        nx, ny = steady(cos(angle)), steady(sin(angle))
        # how far a tangent of the ellipse with this normal lies from the centre
        along_a, along_b = nx * cosine + ny * sine, ny * cosine - nx * sine
        distance = sqrt((a * along_a) ** 2 + (b * along_b) ** 2)
        width = bevel * draws.between(0.6, 1.4)
        facets.append(Facet(nx=nx, ny=ny, distance=distance, slope=top / width))
    return tuple(facets)


def _dome(dome: Dome, x: FloatImage, y: FloatImage, scale: float) -> FloatImage:
    along_a = np.float32(dome.cosine / (dome.a * scale)) * x
    along_a = along_a + np.float32(dome.sine / (dome.a * scale)) * y
    along_b = np.float32(-dome.sine / (dome.b * scale)) * x
    along_b = along_b + np.float32(dome.cosine / (dome.b * scale)) * y
    squared = np.multiply(along_a, along_a, out=along_a)
    squared += np.multiply(along_b, along_b, out=along_b)
    rest: FloatImage = np.float32(1.0) - squared
    np.maximum(rest, np.float32(0.0), out=rest)
    np.sqrt(rest, out=rest)
    rest *= np.float32(dome.height * scale)
    return rest


def _neighbours(facets: tuple[Facet, ...]) -> list[tuple[Facet, Facet]]:
    """Each facet with the next one round: they were drawn in order of their angle."""
    return list(zip(facets, facets[1:] + facets[:1], strict=True))


def _corner(one: Facet, other: Facet) -> tuple[float, float]:
    """Where two side faces meet."""
    determinant = one.nx * other.ny - one.ny * other.nx
    return (
        (one.distance * other.ny - other.distance * one.ny) / determinant,
        (one.nx * other.distance - other.nx * one.distance) / determinant,
    )
