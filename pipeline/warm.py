"""Compile ahead of work."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .box import BoxParams, box
from .compiled import Kernels, kernels
from .locate import Parameters, process
from .quality import QualityParams

DTYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")
"""Number types of parent images; behind the downsize everything is 8 bit."""

_UNGATED = Parameters(
    quality=QualityParams(
        check_empty=False,
        check_no_particle=False,
        check_wrong_polarity=False,
        check_saturated=False,
        check_too_small=False,
    )
)
"""The gate measures all the same, but cannot end the walk through the kernels."""


def warm_up(dtypes: Sequence[str] = DTYPES, *, refined: bool = False) -> Kernels:
    """Run every compiled kernel once, on small pictures of the given number types.

    Takes seconds the first time on a machine and a moment afterwards, when the compiled code is
    read from disk. A worker does this before it asks for its first frame.

    Parameters
    ----------
    dtypes : sequence of str
        Number types of the parents to come; one is enough for the steps behind the downsize.
    refined : bool
        Also what the refined method needs.

    Returns
    -------
    Kernels
        Where this process has them from.
    """
    picture = particle()
    for dtype in dtypes:
        result = process(picture.astype(dtype), params=_UNGATED)
        if refined:
            process(on_two_films().astype(dtype), params=_UNGATED, method="refined")
        if dtype.startswith("f"):
            dead = picture.astype(dtype)
            dead[0, 0] = np.nan
            process(dead, params=_UNGATED)
        if dtype == "u2":
            # 8 * 100 counts: of the few spans whose counts are not scaled in whole numbers
            process(picture.astype(dtype) * 8, params=_UNGATED)
    if result.labels is None:
        raise AssertionError(f"the kernels behind {result.reason!r} were not reached")
    box(result.labels, BoxParams(algorithm=1))
    return kernels()


def on_two_films() -> NDArray[np.uint8]:
    """Draw a particle with a core, 128 x 128 px, where one film lies over the edge of another."""
    y, x = np.mgrid[0:128, 0:128]
    film = 20 + 12 * (2 * x + y > 260)
    distance = (x - 60) ** 2 + (y - 60) ** 2
    levels: NDArray[np.uint8] = (film + 40 * (distance < 35**2) + 30 * (distance < 15**2)).astype(
        np.uint8
    )
    return levels


def particle() -> NDArray[np.uint8]:
    """Draw a bright disc on dark ground, 64 x 64 px, with a brighter half."""
    y, x = np.mgrid[0:64, 0:64]
    disc = (x - 32) ** 2 + (y - 32) ** 2 < 20**2
    levels: NDArray[np.uint8] = (10 + 50 * disc + 50 * (disc & (x > 32))).astype(np.uint8)
    return levels
