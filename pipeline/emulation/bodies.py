"""Bodies that are not convex: joined, hollow or cut out.

Coordinates: x right, y down, pixels from the body's centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin
from typing import Literal

import numpy as np

from .body import Body, FloatImage
from .draws import Draws, steady

Kind = Literal["convex", "concave", "hollow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Solid:
    """Bodies joined where they touch, less a void.

    Parameters
    ----------
    parts : tuple of (Body, x, y)
        Each with its centre; the body is as thick as the thickest of them.
    void : (Body, x, y) or None
        Taken out of it: all through, or only `depth` of it.
    depth : float
        1 for a hole all through, less for a hollow whose lid and floor remain.
    """

    parts: tuple[tuple[Body, float, float], ...]
    void: tuple[Body, float, float] | None = None
    depth: float = 1.0

    def thickness(self, x: FloatImage, y: FloatImage, scale: float = 1.0) -> FloatImage:
        """Measure the body along the beam; `Body.thickness` says how."""
        whole = np.zeros((y.shape[0], x.shape[1]), dtype=np.float32)
        for body, at_x, at_y in self.parts:
            there = body.thickness(
                x - np.float32(at_x * scale), y - np.float32(at_y * scale), scale
            )
            np.maximum(whole, there, out=whole)
        if self.void is None:
            return whole
        body, at_x, at_y = self.void
        inside = body.thickness(x - np.float32(at_x * scale), y - np.float32(at_y * scale), scale)
        if self.depth >= 1.0:
            whole[inside > 0.0] = 0.0
            return whole
        whole -= np.float32(self.depth) * np.minimum(inside, whole)
        return whole

    def extent(self) -> tuple[float, float, float, float]:
        """Enclose the body: x0, y0, x1, y1 from its centre. May be a little larger than it."""
        edges = [
            (x0 + at_x, y0 + at_y, x1 + at_x, y1 + at_y)
            for body, at_x, at_y in self.parts
            for x0, y0, x1, y1 in (body.extent(),)
        ]
        x0, y0, x1, y1 = zip(*edges, strict=True)
        return min(x0), min(y0), max(x1), max(y1)

    def scaled(self, factor: float) -> Solid:
        """Return the body `factor` times as large, in all three directions."""
        parts = tuple((b.scaled(factor), x * factor, y * factor) for b, x, y in self.parts)
        void = self.void
        if void is not None:
            void = (void[0].scaled(factor), void[1] * factor, void[2] * factor)
        return Solid(parts=parts, void=void, depth=self.depth)


def draw_solid(draws: Draws, body: Body, kind: Kind) -> Solid:
    """Make a convex body of about unit radius concave or hollow, or leave it as it is."""
    if kind == "convex":
        return Solid(parts=((body, 0.0, 0.0),))
    if kind == "concave":
        return Solid(parts=((body, 0.0, 0.0), *_arms(draws, body)))
    inner = draws.between(0.4, 0.65)
    reach = 0.5 * (1.0 - inner)
    void = (
        body.scaled(inner),
        draws.between(-0.4, 0.4) * reach,
        draws.between(-0.4, 0.4) * reach,
    )
    depth = 1.0 if draws.chance(0.5) else draws.between(0.6, 0.95)
    return Solid(parts=((body, 0.0, 0.0),), void=void, depth=depth)


def _arms(draws: Draws, body: Body) -> tuple[tuple[Body, float, float], ...]:
    """Smaller copies that stick out: together with the body a dumbbell, a corner or a star."""
    count = 1 + draws.below(3)
    start = draws.between(0.0, 2.0 * pi)
    arms = []
    for number in range(count):
        angle = start + 2.0 * pi * number / count + draws.between(-0.4, 0.4)
        away = draws.between(0.9, 1.25)
        smaller = body.scaled(draws.between(0.45, 0.75))
        arms.append((smaller, away * steady(cos(angle)), away * steady(sin(angle))))
    return tuple(arms)
