"""Image files in: find them, read them. What every stage behind sees is one gray image.

A format is one entry of `FORMATS`: how its files begin, and a function that reads them. What
microscopes write is read by a process of its own (`microscope/`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from .file_finding import SUFFIXES, WHAT_IS_TAKEN, Found, find_images
from .formats.image import DEFAULT_READ_LIMITS, ReadImage, ReadLimits, UnreadableImage, limits_up_to
from .formats.npy import NPY_MAGIC, read_npy
from .formats.png_jpeg import JPEG_MAGIC, PNG_MAGIC, read_jpeg, read_png
from .formats.tiff import TIFF_MAGICS, count_pages, read_tiff
from .microscope.kinds import HEAD_BYTES, kind_of
from .microscope.reading import count_images as count_in_microscope_file
from .microscope.reading import read_microscope
from .references import Reference

__all__ = [
    "DEFAULT_READ_LIMITS",
    "FORMATS",
    "SUFFIXES",
    "Found",
    "ReadImage",
    "ReadLimits",
    "Reference",
    "UnreadableImage",
    "count_images",
    "find_images",
    "limits_up_to",
    "read_image",
    "read_reference",
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
_SHOWN = 16


def read_reference(reference: str, *, limits: ReadLimits = DEFAULT_READ_LIMITS) -> ReadImage:
    """Read an image that the ledger refers to; as `read_image`."""
    path, place = Reference.parse(reference)
    return read_image(path, limits=limits, index=place)


def count_images(path: Path, *, limits: ReadLimits = DEFAULT_READ_LIMITS) -> int:
    """Return how many images a file holds: pages of a TIFF, a stack of a microscope; else 1.

    Raises
    ------
    UnreadableImage
        As `read_image`.
    """
    with _opened(path) as file:
        each = _recognised(file, limits)
        if isinstance(each, str):
            return count_in_microscope_file(path, each, limits)
        return count_pages(file, limits) if each.read is read_tiff else 1


def read_image(
    path: Path, *, limits: ReadLimits = DEFAULT_READ_LIMITS, index: int | None = None
) -> ReadImage:
    """Read one parent image from a file.

    What a file is, its first bytes say; its suffix does not matter.

    Parameters
    ----------
    path : Path
        A file: PNG, TIFF, JPEG, NPY, DM3, DM4, EMD, SER, MRC, HSPY, BLO.
    limits : ReadLimits
        Sizes are checked against these from the file's header, before anything is decoded.
    index : int, optional
        Which image of a stack, from 0; without it a stack is refused.

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
    with _opened(path) as file:
        each = _recognised(file, limits)
        if isinstance(each, str):
            return read_microscope(path, each, limits, index)
        if each.read is read_tiff:
            return read_tiff(file, limits, index)
        if index:
            raise UnreadableImage(f"{each.name} of one image; image {index + 1} is not there")
        return each.read(file, limits)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file; whatever the system has against it becomes one error."""
    try:
        # Path.open takes no opener.
        with open(path, "rb", opener=_open_regular) as file:
            yield file
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


def _recognised(file: BinaryIO, limits: ReadLimits) -> Format | str:
    """Return the format of a file by its first bytes; as a text, a microscope's."""
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise UnreadableImage("empty file")
    if size > limits.file_bytes:
        raise UnreadableImage(
            f"file of {size} bytes, more than the limit of {limits.file_bytes} bytes "
            "(source.max_file_bytes)"
        )
    head = file.read(HEAD_BYTES)
    file.seek(0)
    for each in FORMATS:
        if head.startswith(each.magics):
            return each
    kind = kind_of(head, Path(file.name))
    if kind is not None:
        return kind
    raise UnreadableImage(f"not an image: begins with {head[:_SHOWN]!r}, expected {WHAT_IS_TAKEN}")
