"""Compile ahead of work."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .box import BoxParams, box
from .locate import process

DTYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")


def warm_up() -> None:
    """Run every compiled kernel once, on small pictures of every number type.

    Takes seconds the first time on a machine and a moment afterwards, when the compiled code is
    read from disk. A worker does this before it asks for its first frame.
    """
    picture = particle()
    for dtype in DTYPES:
        process(picture.astype(dtype))
    dead = picture.astype(np.float32)
    dead[0, 0] = np.nan
    result = process(dead)
    if result.labels is not None:
        box(result.labels, BoxParams(algorithm=1))


def particle() -> NDArray[np.uint8]:
    """Draw a bright disc on dark ground, 64 x 64 px, with a brighter half."""
    y, x = np.mgrid[0:64, 0:64]
    disc = (x - 32) ** 2 + (y - 32) ** 2 < 20**2
    picture: NDArray[np.uint8] = (10 + 50 * disc + 50 * (disc & (x > 32))).astype(np.uint8)
    return picture
