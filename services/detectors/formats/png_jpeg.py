"""PNG and JPEG, decoded by Pillow, which refuses what is cut short instead of padding it."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .image import ReadImage, ReadLimits, UnreadableImage, as_real, one_channel
from .pixel_size import from_print_resolution, from_words

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"

# Our own limit is checked before anything is decoded, names itself, and is not a warning.
Image.MAX_IMAGE_PIXELS = None

_PNG_END = b"IEND\xaeB`\x82"
_JPEG_TOLERANCE = 2
"""Gray levels by which a lossy format may tint gray that was stored as colour."""
_INCH = 0.0254


def read_png(file: BinaryIO, limits: ReadLimits) -> ReadImage:
    """Read a PNG of 1 to 16 bits.

    Raises
    ------
    UnreadableImage
        If it is cut short, damaged, animated, coloured or too large.
    """
    data = file.read()
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise UnreadableImage("PNG cut short: no header")
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    depth, colour = data[24], data[25]
    limits.check(height, width, 2 if depth == 16 else 1)
    picture = _open(data, "PNG")
    if _PNG_END not in data[-1024:]:
        raise UnreadableImage(f"PNG cut short: no end after {len(data)} bytes")
    # Pillow has no mode for several channels of 16 bits, and would drop half of them.
    deep_colour = depth == 16 and colour != 0
    pixels = _sixteen_bit_channels(data) if deep_colour else _pixels(picture)
    image, note = one_channel(pixels)
    size, composition = from_words(getattr(picture, "text", {}))
    dots = picture.info.get("dpi")
    if size is None and dots:
        size = from_print_resolution(float(dots[0]), float(dots[1]), _INCH)
    return ReadImage(as_real(image), size, composition, (note,) if note else ())


def read_jpeg(file: BinaryIO, limits: ReadLimits) -> ReadImage:
    """Read a JPEG.

    Raises
    ------
    UnreadableImage
        If it is cut short, damaged, coloured or too large.
    """
    data = file.read()
    picture = _open(data, "JPEG", limits)
    if picture.mode not in ("L", "RGB"):
        raise UnreadableImage(f"JPEG of mode {picture.mode}, expected one channel of gray")
    image, note = one_channel(_pixels(picture), tolerance=_JPEG_TOLERANCE)
    return ReadImage(as_real(image), notes=(note,) if note else ())


def _open(data: bytes, kind: str, limits: ReadLimits | None = None) -> Image.Image:
    """Open and decode; every way in which a decoder may fail becomes one error."""
    try:
        picture = Image.open(io.BytesIO(data), formats=[kind])
        if limits is not None:
            limits.check(picture.height, picture.width, 1)
        frames = getattr(picture, "n_frames", 1)
        if frames != 1:
            raise UnreadableImage(f"{kind} of {frames} pictures, expected one")
        picture.load()
    except UnreadableImage:
        raise
    except Exception as error:
        raise UnreadableImage(f"{kind} damaged or cut short: {error}") from error
    return picture


def _pixels(picture: Image.Image) -> NDArray[Any]:
    if picture.mode in ("1", "P", "PA"):
        # A palette's numbers are names of colours, not intensities.
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    return np.asarray(picture)


def _sixteen_bit_channels(data: bytes) -> NDArray[Any]:
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise UnreadableImage("PNG of 16 bits a channel cannot be decoded")
    return pixels
