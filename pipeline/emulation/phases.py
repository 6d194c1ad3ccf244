"""How the phases of one particle share its body, and what a column of it contains.

Coordinates: x right, y down, pixels from the body's centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from .body import FloatImage
from .draws import Draws
from .layouts import Arrangement, draw_layout, running, shares, volumes

MAX_PHASES = 5

CHOICES: dict[int, tuple[Arrangement, ...]] = {
    1: ("single",),
    2: ("janus", "janus", "stripes", "core-shell"),
    3: ("stripes", "wedges", "grains", "core-shell"),
    4: ("stripes", "wedges", "grains", "core-shell"),
    5: ("stripes", "wedges", "grains"),
}
"""What a particle of so many phases may look like; a second shell core would be too small."""

FULL = 60_000
"""16-bit steps for the brightest phase while an image is blurred in integers: the same bytes
whatever vector instructions the machine has."""

COARSE = 64
"""Points a side at which the body is looked at to decide where phases end."""


class Solid(Protocol):
    """What has a thickness: a `Body`, or several."""

    def thickness(self, x: FloatImage, y: FloatImage, scale: float = 1.0) -> FloatImage:
        """Measure it along the beam; `Body.thickness` says how."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The particle without film, probe and noise.

    Parameters
    ----------
    brightness : ndarray, float32, (height, width)
        Scattering of each column: relative brightness times thickness.
    labels : ndarray, uint8, (height, width)
        0 outside, else 1 + the number of the phase that shows.
    amounts : tuple of float
        Volume of each phase, as a share of the body.
    """

    brightness: FloatImage
    labels: NDArray[np.uint8]
    amounts: tuple[float, ...]


def fill(
    draws: Draws,
    arrangement: Arrangement,
    brightness: Sequence[float],
    *,
    body: Solid,
    x: FloatImage,
    y: FloatImage,
) -> Columns:
    """Share a body among phases.

    Parameters
    ----------
    draws : Draws
    arrangement : str
    brightness : sequence of float
        Of each phase, 0..1.
    body : Body
    x, y : ndarray, float32, (1, width) and (height, 1)
        Pixel centres, from the body's centre, which lies within them.

    Returns
    -------
    Columns
    """
    if arrangement == "core-shell":
        return _fill_shells(draws, brightness, body=body, x=x, y=y)
    return _fill_side_by_side(draws, arrangement, brightness, body=body, x=x, y=y)


def _fill_shells(
    draws: Draws, brightness: Sequence[float], *, body: Solid, x: FloatImage, y: FloatImage
) -> Columns:
    """Put smaller copies of the body inside it; phase 0 is the outermost shell.

    In projection the shell lies above and below the core too, so a column holds both.
    """
    # between evenly spaced radii and evenly spaced areas: rings stay wide, cores do not vanish
    rest = [1.0 - end for end in running(shares(draws, len(brightness)))]
    scales = [1.0, *((share + sqrt(share)) / 2.0 for share in rest)]
    off_x, off_y = draws.between(-0.2, 0.2), draws.between(-0.2, 0.2)
    reach = min(-x[0, 0], -y[0, 0])
    layers = [
        body.thickness(
            # a copy about any inner point lies inside: cores need not be in the middle
            x - np.float32(off_x * (1.0 - scale) * reach),
            y - np.float32(off_y * (1.0 - scale) * reach),
            scale,
        )
        for scale in scales
    ]
    labels = np.zeros(layers[0].shape, dtype=np.uint8)
    for layer in layers:
        labels += layer > 0.0
    column = layers[0] * np.float32(brightness[0])
    for (outer, inner), layer in zip(pairwise(brightness), layers[1:], strict=True):
        column += layer * np.float32(inner - outer)
    insides = [*(scale**3 for scale in scales), 0.0]
    return Columns(
        brightness=np.maximum(column, np.float32(0.0)),
        labels=labels,
        amounts=tuple(outer - inner for outer, inner in pairwise(insides)),
    )


def _fill_side_by_side(
    draws: Draws,
    arrangement: Arrangement,
    brightness: Sequence[float],
    *,
    body: Solid,
    x: FloatImage,
    y: FloatImage,
) -> Columns:
    count = len(brightness)
    look_x = x[:, :: max(x.shape[1] // COARSE, 1)]
    look_y = y[:: max(y.shape[0] // COARSE, 1)]
    # in whole steps: sums of whole numbers are exact, whatever their order
    look = np.rint(body.thickness(look_x, look_y).astype(np.float64) * 64.0)
    layout = draw_layout(draws, arrangement, count, x=look_x, y=look_y, weight=look)
    phases = layout(x, y)
    thickness = body.thickness(x, y)
    steps = np.array([round(FULL * value) for value in brightness], dtype=np.uint16)
    # interfaces are diffuse, or inclined to the beam
    width = draws.between(0.004, 0.03) * x.shape[1] / 2.0
    mixed = cv2.GaussianBlur(
        steps[phases], (0, 0), max(width, 0.5), borderType=cv2.BORDER_REPLICATE
    )
    amounts = volumes(layout(look_x, look_y), look, count)
    return Columns(
        brightness=mixed.astype(np.float32) * (thickness * np.float32(1.0 / FULL)),
        labels=np.where(thickness > 0.0, phases + np.uint8(1), np.uint8(0)),
        amounts=tuple(float(volume) for volume in amounts),
    )
