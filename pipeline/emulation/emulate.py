"""One image of the megalibrary, whole.

Coordinates: x right, y down, from the upper-left corner. Arrays are (row, column).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from .body import SHAPES, Body, FloatImage, Shape, draw_body
from .detector import BIT_DEPTHS, digitise, draw_exposure, record
from .draws import SEED_LIMIT, Draws
from .film import draw_film
from .layouts import ARRANGEMENTS, Arrangement
from .phases import CHOICES, MAX_PHASES, Columns, fill
from .recipe import composition, draw_phases

T = TypeVar("T")

SIZES = (512, 1024)
"""Pixels a side (Day et al., Sci. Rep. 15, 17180 (2025), Methods)."""

MIN_SIZE, MAX_SIZE = 64, 8192

MARGIN = 0.04
"""Of the picture's side: room between a particle and the border."""

RAW_SHARE = 0.25
"""Share of the images that are 16-bit raw counts."""

FULL = 60_000
"""16-bit steps for the brightest column while the probe blurs it in integers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulated:
    """A survey image and what it shows.

    Parameters
    ----------
    image : ndarray, uint8 or uint16, (size, size)
    truth : ndarray, uint8, (size, size)
        0 background, 1..n_phases the phases by rising brightness.
    composition : str
        In atom percent, for example "Au40Ag10Cu10Ni40".
    pixel_size_nm : float
    n_phases : int
        1..5. Not always the number of elements: some phases are alloys.
    shape, arrangement : str
        Of the body, and of the phases in it.
    bit_depth : int
        8 or 16.
    index, seed : int
        They alone make the image, with the difficulty.
    difficulty : str
        "plain", or one of `DIFFICULTIES`. Beside "plain", phases count particle by particle.
    refuse : bool
        Whether the right answer is that there is nothing to box.
    """

    image: NDArray[Any]
    truth: NDArray[np.uint8]
    composition: str
    pixel_size_nm: float
    n_phases: int
    shape: Shape
    arrangement: Arrangement
    bit_depth: int
    index: int
    seed: int
    difficulty: str = "plain"
    refuse: bool = False


def emulate(
    index: int,
    seed: int,
    *,
    size: int | None = None,
    sizes: Sequence[int] = SIZES,
    n_phases: int | None = None,
    arrangement: Arrangement | None = None,
    shape: Shape | None = None,
    bit_depth: int | None = None,
) -> Emulated:
    """Make image `index` of the megalibrary `seed`.

    One convex particle on a carbon film, seen by an annular dark-field detector: intensity goes
    with thickness and with Z ** 1.7, blurred by the probe, with shot and readout noise. Same
    arguments, same bytes, whichever other images are made.

    Parameters
    ----------
    index, seed : int
        0 <= both < 2**63.
    size : int, optional
        Pixels a side, 64..8192. Drawn from `sizes` if not given.
    sizes : sequence of int, optional
        What to draw the size from.
    n_phases : int, optional
        1..5. Drawn if not given.
    arrangement : str, optional
        One of `ARRANGEMENTS` that so many phases can have. Drawn if not given.
    shape : str, optional
        One of `SHAPES`. Drawn if not given.
    bit_depth : int, optional
        8 or 16. Drawn if not given, one in four being 16.

    Returns
    -------
    Emulated

    Raises
    ------
    ValueError
        If an argument is out of range; the message says what came and what was expected.
    """
    sizes = sizes if size is None else (size,)
    check(index, seed, sizes, n_phases, bit_depth)
    draws = Draws(seed, index)
    # everything is drawn, wanted or not, so that one argument does not change the rest
    size = draws.pick(sizes)
    drawn_phases = 1 + draws.below(MAX_PHASES)
    if n_phases is None:
        n_phases = _fitting(arrangement, drawn_phases)
    arrangement = _first(arrangement, draws.pick(CHOICES[n_phases]))
    shape = _first(shape, draws.pick(SHAPES))
    bit_depth = _first(bit_depth, 16 if draws.chance(RAW_SHARE) else 8)
    if arrangement not in CHOICES[n_phases]:
        raise ValueError(
            f"arrangement: came {arrangement!r} with {n_phases} phases; "
            f"expected one of {sorted(set(CHOICES[n_phases]))}"
        )
    if shape not in SHAPES:
        raise ValueError(f"shape: came {shape!r}; expected one of {SHAPES}")

    body, centre_x, centre_y, diameter_px = _place(draws, draw_body(draws, shape), size)
    pixel_size_nm = float(f"{draws.log_between(6.0, 90.0) / diameter_px:.4g}")
    phases = draw_phases(draws, n_phases)
    window = _window(body, centre_x, centre_y, size)
    rows, across = window
    x = (np.arange(across.start, across.stop, dtype=np.float32) + np.float32(0.5 - centre_x))[None]
    y = (np.arange(rows.start, rows.stop, dtype=np.float32) + np.float32(0.5 - centre_y))[:, None]
    brightness = [phase.brightness for phase in phases]
    columns = fill(draws, arrangement, brightness, body=body, x=x, y=y)

    truth = np.zeros((size, size), dtype=np.uint8)
    truth[window] = by_brightness(columns, n_phases)
    exposure = draw_exposure(draws)
    film = draw_film(draws, size, mottle=draws.between(0.05, 0.3))
    particle = _probe(draws, columns, film[window], size)
    expected = film
    expected *= np.float32(exposure.film * draws.between(0.1, 0.4))
    expected += np.float32(exposure.film)
    expected[window] += particle * np.float32((exposure.peak - exposure.film) / FULL)
    electrons = record(draws, expected, exposure)
    return Emulated(
        image=digitise(draws, electrons, exposure, bit_depth),
        truth=truth,
        composition=composition(phases, columns.amounts),
        pixel_size_nm=pixel_size_nm,
        n_phases=n_phases,
        shape=shape,
        arrangement=arrangement,
        bit_depth=bit_depth,
        index=index,
        seed=seed,
    )


def _place(draws: Draws, body: Body, size: int) -> tuple[Body, float, float, float]:
    """Choose how large the body is and where: the body in pixels, centre x and y, diameter."""
    x0, y0, x1, y1 = body.extent()
    diameter = size * draws.between(0.25, 0.85)
    scale = diameter / max(x1 - x0, y1 - y0)
    margin = MARGIN * size
    # the middle three fifths of the room there is: operators centre what they look at
    left = margin + (size - 2.0 * margin - (x1 - x0) * scale) * draws.between(0.2, 0.8)
    top = margin + (size - 2.0 * margin - (y1 - y0) * scale) * draws.between(0.2, 0.8)
    return body.scaled(scale), left - x0 * scale, top - y0 * scale, diameter


def _window(body: Body, centre_x: float, centre_y: float, size: int) -> tuple[slice, slice]:
    """Rows and columns that the body and its blur touch; the rest of the picture is only film."""
    x0, y0, x1, y1 = body.extent()
    pad = 0.02 * size
    return (
        slice(max(int(centre_y + y0 - pad), 0), min(int(centre_y + y1 + pad) + 1, size)),
        slice(max(int(centre_x + x0 - pad), 0), min(int(centre_x + x1 + pad) + 1, size)),
    )


def _probe(draws: Draws, columns: Columns, film: FloatImage, size: int) -> FloatImage:
    """Bring the particle to 0..FULL, make its surface a little uneven, and blur it."""
    unevenness = np.float32(draws.between(0.0, 0.06))
    particle = columns.brightness * (np.float32(1.0) + unevenness * film)
    particle *= np.float32(FULL) / particle.max()
    np.maximum(particle, np.float32(0.0), out=particle)
    sigma = draws.between(0.6, 1.6) * size / min(SIZES)
    blurred = cv2.GaussianBlur(np.rint(particle).astype(np.uint16), (0, 0), max(sigma, 0.5))
    return blurred.astype(np.float32)


def by_brightness(columns: Columns, count: int) -> NDArray[np.uint8]:
    """Renumber the labels from 1, by rising brightness of their brighter part.

    The third quartile: faint edges, which an outer phase has more of, do not make it darker.
    """
    levels = []
    for label in range(1, count + 1):
        values = columns.brightness[columns.labels == label]
        third = 3 * values.size // 4
        levels.append(float(np.partition(values, third)[third]) if values.size else 0.0)
    numbers = np.zeros(count + 1, dtype=np.uint8)
    numbers[1 + np.argsort(levels, kind="stable")] = np.arange(1, count + 1, dtype=np.uint8)
    renumbered: NDArray[np.uint8] = numbers[columns.labels]
    return renumbered


def check(
    index: int, seed: int, sizes: Sequence[int], n_phases: int | None, bit_depth: int | None
) -> None:
    """Raise ValueError where an argument is out of range."""
    for name, value in (("index", index), ("seed", seed)):
        if not 0 <= value < SEED_LIMIT:
            raise ValueError(f"{name}: came {value}; expected 0 <= {name} < 2**63")
    if not sizes:
        raise ValueError("sizes: came none; expected at least one")
    for size in sizes:
        if not MIN_SIZE <= size <= MAX_SIZE:
            raise ValueError(f"size: came {size}; expected {MIN_SIZE}..{MAX_SIZE} pixels")
    if n_phases is not None and n_phases not in CHOICES:
        raise ValueError(f"n_phases: came {n_phases}; expected 1..{MAX_PHASES}")
    if bit_depth is not None and bit_depth not in BIT_DEPTHS:
        raise ValueError(f"bit_depth: came {bit_depth}; expected one of {BIT_DEPTHS}")


def _fitting(arrangement: Arrangement | None, drawn: int) -> int:
    """Take the number of phases that was drawn, or the first that the arrangement can have."""
    if arrangement is None or arrangement in CHOICES[drawn]:
        return drawn
    if arrangement not in ARRANGEMENTS:
        raise ValueError(f"arrangement: came {arrangement!r}; expected one of {ARRANGEMENTS}")
    return next(count for count, choices in CHOICES.items() if arrangement in choices)


def _first(wanted: T | None, drawn: T) -> T:
    return drawn if wanted is None else wanted
