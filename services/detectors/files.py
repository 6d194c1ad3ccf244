"""Image files in: find them, read them. What every stage behind sees is one gray image.

A format is one entry of `FORMATS`: how its files begin, and a function that reads them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from .file_finding import MICROSCOPE_FORMATS, NOT_READ_YET, SUFFIXES, Found, find_images
from .formats.image import DEFAULT_READ_LIMITS, ReadImage, ReadLimits, UnreadableImage, limits_up_to
from .formats.npy import NPY_MAGIC, read_npy
from .formats.png_jpeg import JPEG_MAGIC, PNG_MAGIC, read_jpeg, read_png
from .formats.tiff import TIFF_MAGICS, read_tiff

__all__ = [
    "DEFAULT_READ_LIMITS",
    "FORMATS",
    "SUFFIXES",
    "Found",
    "ReadImage",
    "ReadLimits",
    "UnreadableImage",
    "find_images",
    "limits_up_to",
    "read_image",
]


class Format(NamedTuple):
    """One image format."""

    name: str
    magics: tuple[bytes, ...]
    """A file of this format begins with one of these."""
    read: Callable[[BinaryIO, ReadLimits], ReadImage]


FORMATS = (
    Format("PNG", (PNG_MAGIC,), read_png),
    Format("TIFF", TIFF_MAGICS, read_tiff),
    Format("JPEG", (JPEG_MAGIC,), read_jpeg),
    Format("NPY", (NPY_MAGIC,), read_npy),
)
_LONGEST_MAGIC = max(len(magic) for each in FORMATS for magic in each.magics)


def read_image(path: Path, *, limits: ReadLimits = DEFAULT_READ_LIMITS) -> ReadImage:
    """Read one parent image from a file.

    What a file is, its first bytes say; its suffix does not matter.

    Parameters
    ----------
    path : Path
        A file: PNG, TIFF, JPEG or NPY.
    limits : ReadLimits
        Sizes are checked against these from the file's header, before anything is decoded.

    Returns
    -------
    ReadImage
        The image, (height, width), in the file's own numbers, and what the file says of it.

    Raises
    ------
    UnreadableImage
        If there is no such file, it may not be read, or it holds no single gray image that is
        whole. The text is for people and names what came and what was expected.
    """
    try:
        # Path.open takes no opener.
        with open(path, "rb", opener=_open_regular) as file:
            return _read(file, limits)
    except OSError as error:
        raise UnreadableImage(error.strerror or str(error)) from error
    except MemoryError as error:
        raise UnreadableImage("not enough memory to decode it") from error


def _open_regular(path: str, flags: int) -> int:
    """Open a regular file; a pipe would wait for its writer, a device may never end."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return descriptor
    os.close(descriptor)
    raise UnreadableImage(_why_no_listing(path) if stat.S_ISDIR(kind) else "not a regular file")


def _why_no_listing(folder: str) -> str:
    """Say why a folder came as a file: most likely because it could not be listed."""
    try:
        with os.scandir(folder):
            return "a folder, expected a file"
    except OSError as error:
        return f"this folder cannot be listed: {error.strerror}"


def _read(file: BinaryIO, limits: ReadLimits) -> ReadImage:
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise UnreadableImage("empty file")
    if size > limits.file_bytes:
        raise UnreadableImage(
            f"file of {size} bytes, more than the limit of {limits.file_bytes} bytes "
            "(source.max_file_bytes)"
        )
    head = file.read(_LONGEST_MAGIC)
    file.seek(0)
    for each in FORMATS:
        if head.startswith(each.magics):
            return each.read(file, limits)
    names = ", ".join(each.name for each in FORMATS)
    hint = f" ({NOT_READ_YET})" if Path(file.name).suffix.lower() in MICROSCOPE_FORMATS else ""
    raise UnreadableImage(f"not an image: begins with {head!r}, expected one of {names}{hint}")
