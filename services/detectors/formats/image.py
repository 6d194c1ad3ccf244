"""What reading an image file gives, what it refuses, and how much it is willing to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols import DEFAULT_LIMITS


class UnreadableImage(ValueError):
    """A file that holds no image the chain can use; the text says why, for a row of frames.csv."""


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Bounds that are checked against a file's header before anything is decoded.

    Attributes
    ----------
    pixels : int
        Height times width.
    image_bytes : int
        Decoded size; the default is what the wire format carries.
    file_bytes : int
        Size of the file.
    pages : int
        Pictures in one file, thumbnails included; they are counted no further.
    """

    pixels: int = 1 << 28
    image_bytes: int = DEFAULT_LIMITS.array_bytes
    file_bytes: int = 1 << 31
    pages: int = 1000

    def check(self, height: int, width: int, bytes_a_pixel: int) -> None:
        """Raise `UnreadableImage` if an image of this size is above a limit."""
        if height < 1 or width < 1:
            raise UnreadableImage(f"no pixels: {width} x {height} (width x height)")
        if height * width > self.pixels:
            raise UnreadableImage(
                f"{width} x {height} pixels (width x height), more than the limit of "
                f"{self.pixels} pixels (--max-pixels, source.max_pixels)"
            )
        if height * width * bytes_a_pixel > self.image_bytes:
            raise UnreadableImage(
                f"{width} x {height} pixels of {bytes_a_pixel} bytes, more than the limit of "
                f"{self.image_bytes} bytes (source.max_image_bytes)"
            )


DEFAULT_READ_LIMITS = ReadLimits()


def limits_up_to(pixels: int | None) -> ReadLimits:
    """Return the limits for images of so many pixels at most; None for the default."""
    return DEFAULT_READ_LIMITS if pixels is None else ReadLimits(pixels=pixels)


@dataclass(frozen=True, slots=True)
class ReadImage:
    """One parent image as its file holds it.

    Attributes
    ----------
    image : ndarray, (height, width)
        Real numbers of the file's own type, in native byte order.
    pixel_size_nm : float or None
        Edge of a square pixel, where the file says so in a unit that can be trusted.
    composition : str or None
        As the file's metadata has it, unchecked.
    notes : tuple of str
        What was not taken as it stands, such as gray stored as colour.
    extra : mapping
        What else the file says and people may want beside the boxes: `magnification`, which of
        several signals this is.
    """

    image: NDArray[Any]
    pixel_size_nm: float | None = None
    composition: str | None = None
    notes: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)


def one_channel(pixels: NDArray[Any], *, tolerance: int = 0) -> tuple[NDArray[Any], str | None]:
    """Reduce an image to its one channel of gray.

    Parameters
    ----------
    pixels : ndarray, (height, width) or (height, width, channels)
        Two and four channels end with alpha, which is left out.
    tolerance : int
        By how much channels may differ and still be called equal; a lossy format needs some.

    Returns
    -------
    image : ndarray, (height, width)
        With three channels, the middle one (green).
    note : str or None
        What was left out.

    Raises
    ------
    UnreadableImage
        If the channels differ: which of the colours is the signal is not ours to guess.
    """
    if pixels.ndim == 2:
        return pixels, None
    channels = pixels.shape[2]
    if channels == 1:
        return pixels[..., 0], None
    if channels == 2:
        return pixels[..., 0], "alpha channel left out"
    if channels not in (3, 4):
        raise UnreadableImage(f"{channels} channels, expected one")
    green = pixels[..., 1]
    coloured = np.zeros(green.shape, bool)
    for other in (pixels[..., 0], pixels[..., 2]):
        if not np.array_equal(other, green):
            low, high = np.minimum(green, other), np.maximum(green, other)
            coloured |= high - low > tolerance  # of unsigned numbers too, high - low does not wrap
    if coloured.any():
        share = 100 * np.count_nonzero(coloured) / coloured.size
        raise UnreadableImage(
            f"colour image: {share:.3g} % of the pixels are coloured, expected one channel of gray"
        )
    note = "gray stored as colour" + (", alpha channel left out" if channels == 4 else "")
    return np.ascontiguousarray(green), note


def as_real(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return a 2-D image of real numbers in native byte order.

    Raises
    ------
    UnreadableImage
        If it has another number of axes, no pixels, or numbers that are not real.
    """
    if pixels.ndim != 2 or 0 in pixels.shape:
        raise UnreadableImage(f"shape {pixels.shape}, expected (height, width)")
    if pixels.dtype.kind == "b":
        return pixels.astype(np.uint8)
    if pixels.dtype.kind not in "iuf" or pixels.dtype.itemsize > 8:
        raise UnreadableImage(
            f"numbers of type {pixels.dtype}, expected integers or floats of at most 64 bits"
        )
    return np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("="))
