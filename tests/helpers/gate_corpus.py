"""Pictures to judge the quality gate on, seeded: what it must pass and what it must refuse.

    python -m tests.helpers.gate_corpus SEED [PICTURES]

prints the table of docs/decisions/0005-what-the-gate-refuses.md: kind by verdict.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.downsize import downsize
from pipeline.emulation import emulate
from pipeline.emulation.detector import Exposure, record
from pipeline.emulation.draws import Draws
from pipeline.emulation.film import draw_film
from pipeline.grid import Grid
from pipeline.image import as_image
from pipeline.quality import Quality, QualityParams, assess
from pipeline.scale import find_scaling

Image = NDArray[Any]
Floats = NDArray[np.float64]

NOTHING = frozenset({"empty", "no particle"})
VERDICTS = ("passed", "empty", "no particle", "wrong polarity", "saturated", "too small")


@dataclass(frozen=True, slots=True)
class Kind:
    """Pictures of one kind, and the verdicts that are right for them."""

    name: str
    right: frozenset[str]
    draw: Callable[[np.random.Generator, int], Image]


def judge(image: Image, params: QualityParams | None = None) -> Quality:
    """Take a parent image the gate's way: scale, downsize, assess."""
    parent = as_image(image)
    scaling = find_scaling(parent)
    grid = Grid.for_parent(*parent.shape)
    return assess(downsize(parent, scaling, grid), grid, scaling, params)


def verdict(quality: Quality) -> str:
    """Return "passed", or the code of the refusal."""
    return "passed" if quality.reason is None else quality.reason.split(":")[0]


def pictures(kind: Kind, seed: int, count: int) -> Iterator[Image]:
    """Draw `count` pictures; each depends on the kind, the seed and its number alone."""
    for number in range(count):
        rng = np.random.default_rng([seed, number, *kind.name.encode()])
        yield kind.draw(rng, seed * 100_000 + number)


def inverted(image: Image) -> Image:
    """Return the bright-field counterpart, in the same type where it is unsigned."""
    top = 255 if image.dtype == np.uint8 else float(image.max()) + float(image.min())
    return (top - image.astype(np.float64)).astype(image.dtype)


def eight_bit(values: Floats) -> NDArray[np.uint8]:
    """Stretch as an operator does: nearly everything between black and white."""
    low, high = np.percentile(values, (0.05, 99.95))
    return _cut_to_8_bit((values - low) * (255.0 / max(high - low, 1e-9)))


def _cut_to_8_bit(values: Floats) -> NDArray[np.uint8]:
    clipped: Floats = np.clip(values, 0.0, 255.0)
    return clipped.astype(np.uint8)


def _file(rng: np.random.Generator, values: Floats) -> Image:
    """Write values as one of the types that detectors' files have."""
    choice = rng.integers(3)
    if choice == 0:
        return eight_bit(values)
    if choice == 1:
        return values.astype(np.float32)
    low, high = values.min(), values.max()
    counts: Image = (values - low) * (30_000.0 / max(high - low, 1e-9)) + 1_000.0
    return counts.astype(np.uint16)


def _side(rng: np.random.Generator) -> int:
    return int(rng.choice([16, 24, 32, 48, 64, 100, 128, 200, 256, 400, 512, 1024]))


def _axes(side: int) -> tuple[Floats, Floats]:
    line = np.linspace(-0.5, 0.5, side)
    return line[None, :], line[:, None]


def _slope(rng: np.random.Generator, side: int) -> Floats:
    """Rise by about 1 across the picture, in any direction."""
    x, y = _axes(side)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    slope: Floats = x * np.cos(angle) + y * np.sin(angle)
    return slope


def emulated(rng: np.random.Generator, index: int) -> Image:
    """One of the library."""
    del rng
    return emulate(index, 1).image


def cut(rng: np.random.Generator, index: int) -> Image:
    """A particle of which the frame shows 20 to 60 %."""
    made = emulate(index, 2, size=512)
    turns = int(rng.integers(4))
    image, truth = np.rot90(made.image, turns), np.rot90(made.truth, turns)
    columns = np.flatnonzero(truth.any(axis=0))
    start = int(columns[0] + (columns[-1] - columns[0]) * rng.uniform(0.4, 0.8))
    return np.ascontiguousarray(image[:, start:])


def uneven(rng: np.random.Generator, index: int) -> Image:
    """A particle on a film that gets brighter to one side, by up to 35 % of the particle."""
    made = emulate(index, 3, size=int(rng.choice([512, 1024])))
    image = made.image.astype(np.float64)
    height = np.percentile(image[made.truth > 0], 75) - np.median(image[made.truth == 0])
    return _file(rng, image + _slope(rng, image.shape[0]) * height * rng.uniform(0.1, 0.35))


def small_parent(rng: np.random.Generator, index: int) -> Image:
    """A survey of few pixels: one each for the grid's cells, or fewer cells."""
    side = int(rng.choice([48, 64, 100, 128]))
    image = emulate(index, 4, size=512).image
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


def low_dose(rng: np.random.Generator, index: int) -> Image:
    """Few electrons: 2 to 8 per pixel where the particle is brightest."""
    made = emulate(index, 5, size=512, bit_depth=16).image.astype(np.float64)
    low, high = np.percentile(made, (1.0, 99.5))
    rate = rng.uniform(2.0, 8.0) * np.clip((made - low) / (high - low), 0.02, 1.0)
    counts: Image = rng.poisson(rate)
    return counts.astype(np.uint16)


def saturated(rng: np.random.Generator, index: int) -> Image:
    """A gain so high that three quarters of the particle are cut off."""
    made = emulate(index, 6)
    image = made.image.astype(np.float64)
    level = np.percentile(image[made.truth > 0], rng.uniform(5.0, 25.0))
    film = np.median(image[made.truth == 0])
    top = 255.0 if made.bit_depth == 8 else 65_535.0
    amplified: Floats = np.clip((image - 0.9 * film) / (level - 0.9 * film) * top, 0.0, top)
    return amplified.astype(made.image.dtype)


def tiny(rng: np.random.Generator, index: int) -> Image:
    """A disc of a radius below 3 cells of the grid."""
    del index
    side = int(rng.choice([128, 256, 512, 1024]))
    x, y = _axes(side)
    at_x, at_y = rng.uniform(-0.4, 0.4, 2)
    disc = (x - at_x) ** 2 + (y - at_y) ** 2 < (rng.uniform(0.8, 2.9) / 128.0) ** 2
    noise = rng.choice([0.5, 2.0, 4.0]) * rng.standard_normal((side, side))
    return _file(rng, 40.0 * disc + noise)


def blank(rng: np.random.Generator, index: int) -> Image:
    """One value, black or white too, in any type."""
    del index
    dtype, value = ((np.uint8, 0), (np.uint8, 255), (np.uint16, 20_000), (np.float32, -1.5))[
        rng.integers(4)
    ]
    return np.full((_side(rng), _side(rng)), value, dtype=dtype)


def hot_pixels(rng: np.random.Generator, index: int) -> Image:
    """Nothing but a background and single bright pixels, up to 3 %."""
    del index
    side = _side(rng)
    image = 30.0 + rng.choice([0.0, 2.0]) * rng.standard_normal((side, side))
    image[rng.random((side, side)) < 10.0 ** rng.uniform(-4.0, -1.5)] = 255.0
    return _cut_to_8_bit(image) if rng.random() < 0.5 else image


def white_noise(rng: np.random.Generator, index: int) -> Image:
    """Gaussian, exponential or heavy-tailed, on any level."""
    del index
    shape = (_side(rng), _side(rng))
    noise = (
        rng.standard_normal(shape),
        rng.exponential(size=shape),
        rng.standard_t(3, size=shape),
    )[rng.integers(3)]
    if rng.random() < 0.4:
        return _cut_to_8_bit(128.0 + rng.choice([1, 5, 20, 60]) * noise)
    return _file(rng, noise)


def shot_noise(rng: np.random.Generator, index: int) -> Image:
    """No signal but electrons, from 1 in 1,000 pixels to 1,000 in each."""
    del index
    shape = (_side(rng), _side(rng))
    return rng.poisson(10.0 ** rng.uniform(-3.0, 3.0), shape).astype(np.uint16)


def clouds(rng: np.random.Generator, index: int) -> Image:
    """Noise of power 1/f**beta: from fine grain to large soft blobs."""
    del index
    side = _side(rng)
    spectrum = np.fft.rfft2(rng.standard_normal((side, side)))
    f = np.hypot(np.fft.rfftfreq(side)[None, :], np.fft.fftfreq(side)[:, None])
    f[0, 0] = 1.0
    return _file(rng, np.fft.irfft2(spectrum / f ** rng.uniform(0.2, 2.0), (side, side)))


def film_only(rng: np.random.Generator, index: int) -> Image:
    """The library's film without a particle."""
    side = int(rng.choice([256, 512, 1024]))
    draws = Draws(index, 7)
    film = draw_film(draws, side, mottle=draws.between(0.05, 0.3))
    level = float(rng.choice([3.0, 10.0, 30.0, 100.0]))
    expected = (np.float32(level) * (1.0 + np.float32(rng.uniform(0.1, 0.4)) * film)).astype(
        np.float32
    )
    exposure = Exposure(peak=level, film=level, readout=1.0, line_noise=0.004)
    return _file(rng, record(draws, expected, exposure).astype(np.float64))


def slopes(rng: np.random.Generator, index: int) -> Image:
    """Shading: to one side, a bowl or a bump, with and without noise; or a film's straight edge."""
    del index
    side = _side(rng)
    x, y = _axes(side)
    at_x, at_y = rng.uniform(-0.2, 0.2, 2)
    squared = (x - at_x) ** 2 + (y - at_y) ** 2
    slope = _slope(rng, side)
    shading = (slope, -squared, np.exp(-squared / 0.1), (slope > rng.uniform(-0.1, 0.1)) * 1.0)[
        rng.integers(4)
    ]
    return _file(rng, shading + rng.choice([0.0, 0.03, 0.2]) * rng.standard_normal((side, side)))


def scan_lines(rng: np.random.Generator, index: int) -> Image:
    """Lines of different brightness, with noise."""
    del index
    side = _side(rng)
    lines = rng.standard_normal((side, 1)) * rng.uniform(0.5, 5.0)
    noise = rng.choice([0.1, 1.0]) * rng.standard_normal((side, side))
    picture = lines + noise
    return _file(rng, picture if rng.random() < 0.5 else picture.T)


def lattice(rng: np.random.Generator, index: int) -> Image:
    """Fringes, square and hexagonal lattices, of 1.5 pixels to 12 cells, with noise."""
    del index
    side = max(_side(rng), 64)
    cells = min(side, 128)
    longest = 12.0 * side / cells
    period = np.exp(rng.uniform(np.log(1.5), np.log(longest)))
    x, y = (axis * side for axis in _axes(side))
    start = rng.choice([rng.uniform(0.0, np.pi), 0.0, np.pi / 4.0])
    turns = ((0.0,), (0.0, 0.5), (0.0, 1.0 / 3.0, 2.0 / 3.0))[rng.integers(3)]
    waves = np.zeros((side, side))
    for turn in turns:
        angle = start + turn * np.pi
        along = (x * np.cos(angle) + y * np.sin(angle)) / period
        waves += np.cos(2.0 * np.pi * along + rng.uniform(0.0, 2.0 * np.pi)) / len(turns)
    if rng.random() < 0.4:
        waves = np.exp(3.0 * waves) / 10.0  # narrow columns
    noise = rng.choice([0.0, 0.3, 1.0, 3.0]) * rng.standard_normal((side, side))
    return _file(rng, waves * (1.0 + rng.choice([0.0, 0.5]) * _slope(rng, side)) + noise)


def bright_field(rng: np.random.Generator, index: int) -> Image:
    """One of the library, inverted."""
    return inverted(emulated(rng, index))


PASSED = frozenset({"passed"})

KINDS = (
    Kind("emulated", PASSED, emulated),
    Kind("cut by the border", PASSED, cut),
    Kind("uneven film", PASSED, uneven),
    Kind("small parent", PASSED, small_parent),
    Kind("low dose", PASSED, low_dose),
    Kind("bright field", frozenset({"wrong polarity"}), bright_field),
    Kind("saturated", frozenset({"saturated"}), saturated),
    Kind("tiny", NOTHING | {"too small"}, tiny),
    Kind("blank", frozenset({"empty"}), blank),
    Kind("hot pixels", NOTHING | {"too small"}, hot_pixels),
    Kind("white noise", NOTHING | {"too small", "wrong polarity"}, white_noise),
    Kind("shot noise", NOTHING | {"too small", "wrong polarity"}, shot_noise),
    Kind("clouds", NOTHING, clouds),
    Kind("film only", NOTHING, film_only),
    Kind("shading", NOTHING, slopes),
    Kind("scan lines", NOTHING | {"wrong polarity"}, scan_lines),
    Kind("lattice", NOTHING | {"too small"}, lattice),
)


def table(seed: int, count: int) -> str:
    """Judge `count` pictures of each kind and lay the verdicts out in Markdown."""
    lines = [
        "| kind | pictures | " + " | ".join(VERDICTS) + " |",
        "| --- |" + " ---: |" * (len(VERDICTS) + 1),
    ]
    for kind in KINDS:
        found = Counter(verdict(judge(image)) for image in pictures(kind, seed, count))
        cells = " | ".join(str(found[name]) if found[name] else "" for name in VERDICTS)
        lines.append(f"| {kind.name} | {count} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 100))
