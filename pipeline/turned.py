"""Rows for columns, so that sums along either axis run along memory."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", np.uint8, np.int32)


def turned(picture: NDArray[Number]) -> NDArray[Number]:
    """Return the transpose as an array of its own; several times as fast as NumPy's copy."""
    transpose: NDArray[Number] = cv2.transpose(picture)  # type: ignore[assignment] # same numbers
    return transpose
