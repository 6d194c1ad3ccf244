"""How many pixels there are of each gray level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled, read_only


def gray_levels(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count the pixels of each gray level.

    Parameters
    ----------
    picture : ndarray, uint8, of any shape

    Returns
    -------
    ndarray, int64, (256,)
    """
    return _count(read_only(picture).reshape(-1))


@compiled
def _count(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Count in four tables in turn: on flat ground, one would wait for its last increment."""
    tables = np.zeros((4, 256), np.int64)
    whole = pixels.shape[0] // 4 * 4
    for at in range(0, whole, 4):
        tables[0, pixels[at]] += 1
        tables[1, pixels[at + 1]] += 1
        tables[2, pixels[at + 2]] += 1
        tables[3, pixels[at + 3]] += 1
    for at in range(whole, pixels.shape[0]):
        tables[0, pixels[at]] += 1
    for level in range(256):
        tables[0, level] += tables[1, level] + tables[2, level] + tables[3, level]
    counts: NDArray[np.int64] = tables[0]
    return counts
