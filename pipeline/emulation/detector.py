"""From what each column scatters to what the detector's file holds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from .draws import Draws

BIT_DEPTHS = (8, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """How an image was taken.

    Parameters
    ----------
    peak : float
        Electrons detected per pixel where the particle is brightest.
    film : float
        The same where there is only film.
    readout : float
        Standard deviation of the detector's own noise, electrons.
    line_noise : float
        Relative fluctuation of the beam from one scan line to the next.
    """

    peak: float
    film: float
    readout: float
    line_noise: float


def draw_exposure(draws: Draws) -> Exposure:
    """Draw a usual survey exposure: from noisy to good, on a thin to a thick film."""
    peak = draws.log_between(40.0, 400.0)
    return Exposure(
        peak=peak,
        film=peak * draws.log_between(0.02, 0.08),
        readout=draws.between(0.5, 2.0),
        line_noise=draws.between(0.0, 0.006),
    )


def record(draws: Draws, expected: NDArray[np.float32], exposure: Exposure) -> NDArray[np.float32]:
    """Add shot noise, readout noise and line noise; works in place.

    One normal number z a pixel makes both noises: a Poisson variable of mean m plus a normal one
    of variance r**2 has variance v = m + r**2 and third moment m, hence, to the second term of
    its Cornish-Fisher expansion, the value m + sqrt(v) z + (m / v) (z**2 - 1) / 6.

    Parameters
    ----------
    draws : Draws
    expected : ndarray, float32, (height, width)
        Electrons per pixel. Overwritten.
    exposure : Exposure

    Returns
    -------
    ndarray, float32, (height, width)
        Electrons per pixel as the detector saw them.
    """
    height, _ = expected.shape
    lines = _normal(draws, (height, 1)) * np.float32(exposure.line_noise)
    expected *= np.float32(1.0) + lines
    deviate = _normal(draws, (expected.shape[0], expected.shape[1]))
    variance = expected + np.float32(exposure.readout**2)
    skew = deviate * deviate
    skew -= np.float32(1.0)
    skew *= np.float32(1.0 / 6.0)
    skew *= expected
    skew /= variance
    deviate *= np.sqrt(variance, out=variance)
    expected += deviate
    expected += skew
    return expected


def digitise(
    draws: Draws, electrons: NDArray[np.float32], exposure: Exposure, bit_depth: int
) -> NDArray[Any]:
    """Write electrons down as a detector's file has them; works in place.

    8 bit: brightness and contrast set as an operator does, the film nearly black, the brightest
    part just below white. 16 bit: raw counts on an offset, a few pixels hot.
    """
    black, white = draws.between(-1.0, 3.0), draws.between(1.5, 4.0)
    headroom = draws.between(1.0, 1.25)
    offset, gain = draws.log_between(50.0, 15_000.0), draws.log_between(4.0, 60.0)
    hot = [(draws.unit(), draws.unit()) for _ in range(draws.pick((0, 0, 0, 1, 3)))]
    if bit_depth == 8:
        low = exposure.film - black * sqrt(exposure.film + exposure.readout**2)
        high = exposure.peak * headroom + white * sqrt(exposure.peak)
        electrons -= np.float32(low)
        electrons *= np.float32(255.0 / (high - low))
        return _integers(electrons, 255).astype(np.uint8)
    electrons *= np.float32(gain)
    electrons += np.float32(offset)
    counts = _integers(electrons, 65_535).astype(np.uint16)
    height, width = counts.shape
    for down, right in hot:
        counts[int(down * height), int(right * width)] = 65_535
    return counts


def _integers(values: NDArray[np.float32], top: int) -> NDArray[np.float32]:
    np.rint(values, out=values)
    return np.clip(values, np.float32(0.0), np.float32(top), out=values)


def _normal(draws: Draws, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Draw normal numbers through the table: 2 ms a megapixel, and the same everywhere."""
    normal: NDArray[np.float32] = _quantiles()[draws.words(shape)]
    return normal


@cache
def _quantiles() -> NDArray[np.float32]:
    """Quantiles of the normal distribution at 65,536 levels, in steps of 1/4096 (to +-4.3)."""
    levels = (np.arange(65_536) + 0.5) / 65_536
    table: NDArray[np.float32] = (np.rint(ndtri(levels) * 4096.0) / 4096.0).astype(np.float32)
    return table
