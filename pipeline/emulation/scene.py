"""One image of an examination: what `emulate` draws, made hard in one way.

Coordinates: x right, y down, from the upper-left corner. Arrays are (row, column).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from .bodies import Solid, draw_solid
from .body import SHAPES, FloatImage, Shape, draw_body
from .detector import Exposure, digitise, record
from .difficulties import DIFFICULTIES, SETTINGS, Difficulty, Setting
from .draws import Draws, steady
from .emulate import FULL, MARGIN, SIZES, Emulated, by_brightness, check
from .film import draw_film
from .layouts import Arrangement
from .phases import CHOICES, MAX_PHASES, Columns, fill
from .recipe import Phase, composition, draw_phases

GAP = 0.03
"""Of the picture's side: least room between two particles."""

PLACES = 60
"""Attempts at finding room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Particle:
    solid: Solid
    x: float
    y: float
    phases: tuple[Phase, ...]
    shape: Shape
    arrangement: Arrangement
    columns: Columns
    window: tuple[slice, slice]


def examine(
    index: int,
    seed: int,
    difficulty: Difficulty,
    *,
    size: int | None = None,
    sizes: Sequence[int] = SIZES,
) -> Emulated:
    """Make image `index` of the examination `seed` in one difficulty.

    Same arguments, same bytes, whichever other images are made.

    Parameters
    ----------
    index, seed : int
        0 <= both < 2**63.
    difficulty : str
        One of `DIFFICULTIES`.
    size : int, optional
        Pixels a side, 64..8192. Drawn from `sizes` if not given.
    sizes : sequence of int, optional

    Returns
    -------
    Emulated
        `truth` is 0 all over where nothing is to be found; in bright field it shows the particle.

    Raises
    ------
    ValueError
        If an argument is out of range; the message says what came and what was expected.
    """
    sizes = sizes if size is None else (size,)
    check(index, seed, sizes, None, None)
    if difficulty not in SETTINGS:
        raise ValueError(f"difficulty: came {difficulty!r}; expected one of {DIFFICULTIES}")
    setting = SETTINGS[difficulty]
    draws = Draws(seed, index, 1 + DIFFICULTIES.index(difficulty))
    size = draws.pick(sizes)
    exposure = _exposure(draws, setting)
    particles = _particles(draws, setting, size)
    truth = np.zeros((size, size), dtype=np.uint8)
    expected = _background(draws, setting, exposure, size)
    mottle = draw_film(draws, size, mottle=draws.between(0.05, 0.3))
    step = np.float32((exposure.peak - exposure.film) / FULL)
    sigma = max(draws.between(0.6, 1.6) * size / min(SIZES), 0.5)
    for particle in particles:
        labels = by_brightness(particle.columns, len(particle.phases))
        if setting.gradient:
            np.minimum(labels, 1, out=labels)
        seen = truth[particle.window]
        seen[labels > 0] = labels[labels > 0] + truth.max()
        level = _surface(draws, setting, particle.columns, mottle[particle.window], size)
        blurred = cv2.GaussianBlur(np.rint(level).astype(np.uint16), (0, 0), sigma)
        expected[particle.window] += blurred.astype(np.float32) * step
    if setting.inverted:
        expected = np.maximum(np.float32(1.1 * exposure.peak) - expected, np.float32(0.0))
    bit_depth = 16 if setting.hot[1] else draws.pick((8, 8, 8, 16))
    image = digitise(draws, record(draws, expected, exposure), exposure, bit_depth)
    _heat(draws, setting, image, size)
    phases = [phase for particle in particles for phase in particle.phases]
    amounts = [a / len(particles) for particle in particles for a in particle.columns.amounts]
    diameter = max((p.solid.extent()[2] - p.solid.extent()[0] for p in particles), default=size)
    return Emulated(
        image=image,
        truth=truth,
        composition=composition(phases, amounts) if phases else "C100",
        pixel_size_nm=float(f"{draws.log_between(6.0, 90.0) / diameter:.4g}"),
        n_phases=int(truth.max()),
        shape=particles[0].shape if particles else "rounded",
        arrangement=particles[0].arrangement if particles else "single",
        bit_depth=bit_depth,
        index=index,
        seed=seed,
        difficulty=difficulty,
        refuse=setting.refuse,
    )


def _exposure(draws: Draws, setting: Setting) -> Exposure:
    peak = draws.log_between(*setting.peak)
    return Exposure(
        peak=peak,
        film=peak * draws.log_between(0.02, 0.08),
        readout=draws.between(0.5, 2.0) if setting.peak[1] > 20.0 else draws.between(0.1, 0.4),
        line_noise=draws.between(*setting.streaks),
    )


def _particles(draws: Draws, setting: Setting, size: int) -> list[_Particle]:
    least, most = setting.particles
    count = least + draws.below(most - least + 1)
    taken: list[tuple[float, float, float, float]] = []
    particles = []
    for _ in range(count):
        shape = draws.pick(SHAPES)
        body = draw_solid(draws, draw_body(draws, shape), setting.kind)
        solid, x, y = _place(draws, setting, body, size, taken)
        n_phases = 1 + draws.below(MAX_PHASES if count == 1 else 2)
        if setting.gradient or (setting.faint and n_phases == 1):
            n_phases = 2
        arrangement = draws.pick([c for c in CHOICES[n_phases] if _fits(c, setting)])
        phases = _phases(draws, setting, n_phases)
        window = _window(solid, x, y, size)
        rows, across = window
        xs = (np.arange(across.start, across.stop, dtype=np.float32) + np.float32(0.5 - x))[None]
        ys = (np.arange(rows.start, rows.stop, dtype=np.float32) + np.float32(0.5 - y))[:, None]
        # phases are drawn over the whole body, also where the border hides it
        levels = [1.0 if setting.gradient else phase.brightness for phase in phases]
        columns = _fill(draws, arrangement, levels, solid=solid, x=xs, y=ys)
        if setting.gradient:
            columns = _ramp(draws, columns, phases, xs, ys)
        particles.append(
            _Particle(
                solid=solid,
                x=x,
                y=y,
                phases=phases,
                shape=shape,
                arrangement=arrangement,
                columns=columns,
                window=window,
            )
        )
    return particles


def _fits(arrangement: Arrangement, setting: Setting) -> bool:
    """Shells need a convex body; a gradient has no interface to lay out."""
    if setting.gradient:
        return arrangement == "janus"
    return arrangement != "core-shell" or setting.kind == "convex"


def _fill(
    draws: Draws,
    arrangement: Arrangement,
    brightness: Sequence[float],
    *,
    solid: Solid,
    x: FloatImage,
    y: FloatImage,
) -> Columns:
    """Share the body among its phases, over all of it; then cut to the window."""
    x0, y0, x1, y1 = solid.extent()
    left, right = min(float(x[0, 0]), x0), max(float(x[0, -1]), x1)
    top, bottom = min(float(y[0, 0]), y0), max(float(y[-1, 0]), y1)
    before_x, after_x = int(x[0, 0] - left) + 1, int(right - x[0, -1]) + 1
    before_y, after_y = int(y[0, 0] - top) + 1, int(bottom - y[-1, 0]) + 1
    whole_x = x[0, 0] + np.arange(-before_x, x.shape[1] + after_x, dtype=np.float32)[None]
    whole_y = y[0, 0] + np.arange(-before_y, y.shape[0] + after_y, dtype=np.float32)[:, None]
    whole = fill(draws, arrangement, brightness, body=solid, x=whole_x, y=whole_y)
    seen = (
        slice(before_y, before_y + y.shape[0]),
        slice(before_x, before_x + x.shape[1]),
    )
    return Columns(
        brightness=whole.brightness[seen] / whole.brightness.max(),
        labels=whole.labels[seen],
        amounts=whole.amounts,
    )


def _phases(draws: Draws, setting: Setting, count: int) -> tuple[Phase, ...]:
    phases = draw_phases(draws, count)
    if not setting.faint:
        return phases
    if draws.chance(0.5):  # one phase near the film
        faintest = min(range(count), key=lambda at: phases[at].brightness)
        level = draws.between(0.12, 0.22)
        return tuple(
            Phase(atoms=p.atoms, brightness=steady(level) if at == faintest else p.brightness)
            for at, p in enumerate(phases)
        )
    step = draws.between(0.08, 0.16)  # nearly alike
    order = sorted(range(count), key=lambda at: -phases[at].brightness)
    levels = {at: steady((1.0 - step) ** rank) for rank, at in enumerate(order)}
    return tuple(Phase(atoms=p.atoms, brightness=levels[at]) for at, p in enumerate(phases))


def _ramp(
    draws: Draws, columns: Columns, phases: tuple[Phase, ...], x: FloatImage, y: FloatImage
) -> Columns:
    """Let brightness go from one phase's to the other's, evenly across the particle."""
    angle = draws.between(0.0, 2.0 * pi)
    along = x * np.float32(steady(cos(angle))) + y * np.float32(steady(sin(angle)))
    inside = columns.labels > 0
    low, high = float(along[inside].min()), float(along[inside].max())
    share = (along - np.float32(low)) * np.float32(1.0 / max(high - low, 1.0))
    first, second = (phase.brightness for phase in phases)
    return Columns(
        brightness=columns.brightness * (np.float32(first) + share * np.float32(second - first)),
        labels=inside.astype(np.uint8),
        amounts=columns.amounts,
    )


def _place(
    draws: Draws,
    setting: Setting,
    body: Solid,
    size: int,
    taken: list[tuple[float, float, float, float]],
) -> tuple[Solid, float, float]:
    """Choose how large the body is and where; away from the others, or across the border."""
    x0, y0, x1, y1 = body.extent()
    diameter = draws.between(*setting.diameter) * size
    gap = GAP * size
    for attempt in range(PLACES):
        scale = diameter * (1.0 - 0.5 * attempt / PLACES) / max(x1 - x0, y1 - y0)
        wide, high = (x1 - x0) * scale, (y1 - y0) * scale
        low, most = (0.2, 0.8) if setting.particles[1] == 1 else (0.0, 1.0)
        margin = MARGIN * size
        left = margin + (size - 2.0 * margin - wide) * draws.between(low, most)
        top = margin + (size - 2.0 * margin - high) * draws.between(low, most)
        if setting.cut[1]:
            left, top = _cut(draws, setting, (left, top), (wide, high), size)
        room = (left - gap, top - gap, left + wide + gap, top + high + gap)
        if not any(_overlap(room, other) for other in taken):
            break
    taken.append((left, top, left + wide, top + high))
    return body.scaled(scale), left - x0 * scale, top - y0 * scale


def _cut(
    draws: Draws,
    setting: Setting,
    place: tuple[float, float],
    extent: tuple[float, float],
    size: int,
) -> tuple[float, float]:
    left, top = place
    hidden = draws.between(*setting.cut)
    side = draws.below(4)
    if side == 0:
        return -hidden * extent[0], top
    if side == 1:
        return size - (1.0 - hidden) * extent[0], top
    if side == 2:
        return left, -hidden * extent[1]
    return left, size - (1.0 - hidden) * extent[1]


def _overlap(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _window(solid: Solid, x: float, y: float, size: int) -> tuple[slice, slice]:
    """Rows and columns of the picture that the body and its blur touch."""
    x0, y0, x1, y1 = solid.extent()
    pad = 0.02 * size
    return (
        slice(max(int(y + y0 - pad), 0), min(int(y + y1 + pad) + 1, size)),
        slice(max(int(x + x0 - pad), 0), min(int(x + x1 + pad) + 1, size)),
    )


def _background(
    draws: Draws, setting: Setting, exposure: Exposure, size: int
) -> NDArray[np.float32]:
    """Electrons a pixel without the particle."""
    film = draw_film(draws, size, mottle=draws.between(0.05, 0.3))
    film *= np.float32(exposure.film * draws.between(0.1, 0.4))
    film += np.float32(exposure.film)
    line = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(1.0 / size)
    angle = draws.between(0.0, 2.0 * pi)
    rise = np.float32(exposure.peak * draws.between(*setting.tilt))
    cosine, sine = np.float32(steady(cos(angle))), np.float32(steady(sin(angle)))
    along = (line[None] - np.float32(0.5)) * cosine + (line[:, None] - np.float32(0.5)) * sine
    ends, where = draws.chance(0.3), draws.between(-0.3, 0.3)
    if setting.tilt[0] > 0.0 and ends:
        film += np.float32(0.5) * rise * (along > np.float32(where))
    elif rise > 0.0:
        film += rise * (along + np.float32(0.5))
    if setting.bare:
        film += np.float32(exposure.peak) * _waves(draws, line[None], line[:, None], crossed=True)
    np.maximum(film, np.float32(0.0), out=film)
    return film


def _surface(
    draws: Draws, setting: Setting, columns: Columns, mottle: FloatImage, size: int
) -> FloatImage:
    """Bring a particle to 0..FULL, make its surface a little uneven, and lay fringes on it."""
    unevenness = np.float32(draws.between(0.0, 0.06))
    level = columns.brightness * (np.float32(1.0) + unevenness * mottle)
    if setting.fringes[1]:
        depth = np.float32(draws.between(*setting.fringes))
        rows, across = level.shape
        x = np.arange(across, dtype=np.float32)[None] * np.float32(1.0 / size)
        y = np.arange(rows, dtype=np.float32)[:, None] * np.float32(1.0 / size)
        waves = _waves(draws, x, y, crossed=draws.chance(0.5))
        level *= np.float32(1.0) - depth + depth * waves
    level *= np.float32(FULL) / np.float32(max(float(level.max()), 1e-6))
    return np.maximum(level, np.float32(0.0))


def _waves(draws: Draws, x: FloatImage, y: FloatImage, *, crossed: bool) -> FloatImage:
    """Draw fringes of 4 to 12 px of 512, or a lattice of them: 0..1."""
    period = draws.between(4.0, 12.0) / min(SIZES)
    start = draws.between(0.0, pi)
    count = 1 + crossed * (1 + draws.below(2))
    waves = np.zeros((y.shape[0], x.shape[1]), dtype=np.float32)
    for number in range(count):
        angle = start + pi * number / count
        along = x * (steady(cos(angle)) / period) + y * (steady(sin(angle)) / period)
        # rounded: machines may differ in the last bit of a cosine
        waves += np.rint(np.cos(2.0 * pi * along) * 4096.0).astype(np.float32)
    return waves * np.float32(0.5 / (4096.0 * count)) + np.float32(0.5)


def _heat(draws: Draws, setting: Setting, image: NDArray[np.generic], size: int) -> None:
    """Make pixels hot, of any strength up to the detector's limit."""
    least, most = setting.hot
    if not most:
        return
    count = int(draws.log_between(least, most)) * (size // min(SIZES) or 1) ** 2
    level = float(image.max())
    for _ in range(count):
        down, right = int(draws.unit() * size), int(draws.unit() * size)
        hot = min(level * draws.between(0.8, 4.0), 65_535.0)
        image[down, right] = np.array(hot).astype(image.dtype)
