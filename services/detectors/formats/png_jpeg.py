"""PNG and JPEG, decoded by Pillow, which refuses what is cut short instead of padding it."""

from __future__ import annotations

import os
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
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
"""By colour type, once decoded: a palette becomes colours."""
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
    head = file.read(33)
    if len(head) < 33 or head[12:16] != b"IHDR":
        raise UnreadableImage("PNG cut short: no header")
    width, height = int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    depth, colour = head[24], head[25]
    limits.check(height, width, (2 if depth == 16 else 1) * _PNG_CHANNELS.get(colour, 4))
    picture = _open(file, "PNG", limits)
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - 1024))
    if _PNG_END not in file.read():
        raise UnreadableImage(f"PNG cut short: no end after {length} bytes")
    # Pillow has no mode for several channels of 16 bits, and would drop half of them.
    deep_colour = depth == 16 and colour != 0
    pixels = _sixteen_bit_channels(file) if deep_colour else _pixels(picture)
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
    picture = _open(file, "JPEG", limits)
    if picture.mode not in ("L", "RGB"):
        raise UnreadableImage(f"JPEG of mode {picture.mode}, expected one channel of gray")
    image, note = one_channel(_pixels(picture), tolerance=_JPEG_TOLERANCE)
    return ReadImage(as_real(image), notes=(note,) if note else ())


def _open(file: BinaryIO, kind: str, limits: ReadLimits) -> Image.Image:
    """Open and decode; every way in which a decoder may fail becomes one error."""
    try:
        file.seek(0)
        picture = Image.open(file, formats=[kind])
        limits.check(picture.height, picture.width, len(picture.getbands()))
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


def _sixteen_bit_channels(file: BinaryIO) -> NDArray[Any]:
    file.seek(0)
    pixels = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise UnreadableImage("PNG of 16 bits a channel cannot be decoded")
    return pixels
