"""The carbon film under the particle: thicker here, thinner there, and finely mottled."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .draws import Draws

MIDDLE = 32_768
COARSEST = 4
"""Points a side of the slowest variation."""


def draw_film(draws: Draws, size: int, mottle: float) -> NDArray[np.float32]:
    """Draw the thickness of a film.

    Octaves of smooth noise: each is doubled in integers, so that all machines agree, and finer
    noise is added to it, down to grains of some pixels.

    Parameters
    ----------
    draws : Draws
    size : int
        Pixels a side.
    mottle : float
        Weight of each octave after the slowest one, 0..0.5.

    Returns
    -------
    ndarray, float32, (size, size)
        Mean about 0, nearly all within -1..1.
    """
    levels = max((size - 1).bit_length() - 2, 0)  # COARSEST << levels >= size
    field = _noise(draws, COARSEST, 1.0)
    for level in range(1, levels + 1):
        field = cv2.pyrUp(field).astype(np.uint16, copy=False)
        if level <= levels - 2:  # the last two doublings only smooth: grains of about 4 px
            field = field + _noise(draws, COARSEST << level, mottle) - np.uint16(MIDDLE)
    film = field[:size, :size].astype(np.float32)
    film -= np.float32(MIDDLE)
    film *= np.float32(4.0 / MIDDLE)
    return film


def _noise(draws: Draws, size: int, weight: float) -> NDArray[np.uint16]:
    """Draw uniform noise around the middle, `weight` times an eighth of the range to either side.

    All octaves together stay within 16 bit: no sum wraps.
    """
    noise = draws.words((size, size)).astype(np.float32)
    noise -= np.float32(MIDDLE)
    noise *= np.float32(weight / 4.0)
    noise += np.float32(MIDDLE)
    return np.rint(noise).astype(np.uint16)
