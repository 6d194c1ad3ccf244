"""16-bit counts brought to steps in whole numbers, with the results of floating point."""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
from numpy.typing import NDArray

MOST = 65_535
"""The largest count."""

FRACTION_BITS = 35
"""With so many, a factor for spans of 2**15 and more has 32 bits."""

Factors = tuple[int, NDArray[np.uint16], NDArray[np.uint16]]
"""Bits that counts are shifted left by; the factor's upper and lower half, each as a line."""


@lru_cache(maxsize=256)
def count_factors(span: int, top: int, width: int) -> Factors | None:
    """Find the factor that brings 0..span to 0..top, rounded to the nearest, halves up.

    Counts are shifted left until `span` has 16 bits. With the factor top / span, rounded up to
    2**-35, and the last 16 bits of its product with a count left out, a product is wrong by less
    than 2**-19. A quotient that is no half lies 1 / (2 span) or more from the next half, which is
    more than 2**-17: it is rounded right. A half comes out as a half or a little more and is
    rounded up; floating point may see it a little below, because top / span is rounded there too.
    These are the only places where the two can differ, and each is looked at.

    Parameters
    ----------
    span : int
        From 1 to 65,535.
    top : int
        At most 4,080.
    width : int
        Of the lines returned.

    Returns
    -------
    Factors or None
        Read-only lines. None if floating point rounds a half down in this span.
    """
    if not _halves_go_up(span, top):
        return None
    shift = MOST.bit_length() - span.bit_length()
    factor = -(-(top << FRACTION_BITS) // (span << shift))
    lines = np.empty((2, width), np.uint16)
    lines[0], lines[1] = factor >> 16, factor & MOST
    lines.setflags(write=False)
    return shift, lines[0], lines[1]


def _halves_go_up(span: int, top: int) -> bool:
    """Say whether floating point rounds every count that is half a step up."""
    parts = gcd(span, 2 * top)  # 2 top count / span is whole for multiples of span / parts
    numbers = np.arange(1, parts + 1)
    halves = numbers[numbers * (2 * top // parts) % 2 == 1]
    exact = halves * (span // parts) * top
    scaled = (halves * (span // parts)).astype(np.float64) * (top / span)
    return bool(np.all(np.floor(scaled + 0.5) == (2 * exact + span) // (2 * span)))
