"""What may enter as a parent image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .compiled import compiled, read_only

MIN_SIDE = 16
"""Parent pixels. On a shorter side there is no room for a particle and its surroundings."""

ACCEPTED = "a 2-D array of 8-, 16-, 32- or 64-bit integers or of 16-, 32- or 64-bit floats"


def as_image(image: ArrayLike, *, name: str = "image") -> NDArray[Any]:
    """Check that `image` can be a parent image, and bring it into the form the kernels take.

    Parameters
    ----------
    image : array_like, (height, width)
        Any real number type, byte order and memory layout. Never written to.
    name : str
        What error messages call the argument.

    Returns
    -------
    ndarray, (height, width)
        C-contiguous, native byte order, read-only; float16 becomes float32. A view of the
        argument where it already is all that, else a copy.

    Raises
    ------
    ValueError
        If it is not two-dimensional, is empty, holds no real numbers or no finite one. The
        message names the argument, what came and what was expected.
    """
    try:
        array = np.asarray(image)
    except ValueError as error:
        raise ValueError(
            f"{name}: rows of unequal length or nested objects; expected {ACCEPTED}"
        ) from error
    if array.ndim != 2:
        raise ValueError(
            f"{name}: came {array.ndim}-D with shape {array.shape}{_guess(array.shape)}; "
            f"expected {ACCEPTED}"
        )
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
        raise ValueError(f"{name}: came numbers of type {array.dtype}; expected {ACCEPTED}")
    if array.size == 0:
        raise ValueError(f"{name}: came empty, with shape {array.shape}; expected {ACCEPTED}")
    if array.dtype.kind == "f" and array.dtype.itemsize == 2:
        array = array.astype(np.float32)
    array = read_only(array.astype(array.dtype.newbyteorder("="), copy=False))
    if array.dtype.kind == "f" and not _any_finite(array):
        raise ValueError(
            f"{name}: came {array.shape[0]} x {array.shape[1]} pixels of which none is finite "
            f"(all NaN or infinite); expected {ACCEPTED} with something in it"
        )
    return array


def _guess(shape: tuple[int, ...]) -> str:
    """Say in words what an array of this shape probably is."""
    if len(shape) == 3 and shape[2] in (3, 4):
        return " (a colour picture)"
    if len(shape) == 3:
        return " (a stack of pictures)"
    return ""


@compiled
def _any_finite(image: NDArray[Any]) -> bool:
    """Stop at the first finite pixel: in a sound image that is the first one."""
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            if np.isfinite(image[row, column]):
                return True
    return False
