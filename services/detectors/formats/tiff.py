"""TIFF of one page, 8 to 64 bits, either byte order, read by tifffile."""

from __future__ import annotations

import logging
from typing import Any, BinaryIO

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from .image import ReadImage, ReadLimits, UnreadableImage, as_real, one_channel
from .pixel_size import from_json, from_ome, from_print_resolution, in_nm

TIFF_MAGICS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")

# What it warns of ends in our errors or does not matter; a file must not write into the log.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_UNIT_METRES = {2: 0.0254, 3: 0.01}
"""TIFF ResolutionUnit: inch, centimetre."""


def read_tiff(file: BinaryIO, limits: ReadLimits) -> ReadImage:
    """Read a TIFF.

    Raises
    ------
    UnreadableImage
        If it is cut short, damaged, a stack, coloured, too large, or compressed in a way that
        neither tifffile nor OpenCV reads.
    """
    try:
        with tifffile.TiffFile(file) as tiff:
            return _read(tiff, file, limits)
    except UnreadableImage:
        raise
    except Exception as error:
        raise UnreadableImage(f"TIFF damaged or cut short: {error}") from error


def _read(tiff: tifffile.TiffFile, file: BinaryIO, limits: ReadLimits) -> ReadImage:
    page = _only_page(tiff)
    limits.check(
        page.imagelength, page.imagewidth, page.samplesperpixel * max(1, page.bitspersample // 8)
    )
    _check_complete(page, tiff.filehandle.size)
    notes: list[str] = []
    pixels = _channels_last(page, _decode(page, file))
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        if not tiff.is_imagej:
            raise UnreadableImage("TIFF with a palette, expected one channel of gray")
        notes.append("colour table left out")  # ImageJ's lookup tables colour true intensities
    image, note = one_channel(pixels)
    if note:
        notes.append(note)
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and image.dtype.kind == "u":
        image = (2 ** int(page.bitspersample) - 1) - image
        notes.append("stored white on black, turned")
    size, composition = _metadata(tiff, page)
    return ReadImage(as_real(image), size, composition, tuple(notes))


def _only_page(tiff: tifffile.TiffFile) -> tifffile.TiffPage:
    every = (page.aspage() if isinstance(page, tifffile.TiffFrame) else page for page in tiff.pages)
    pages = [page for page in every if not page.is_reduced]  # thumbnails do not count
    count = len(pages)
    if tiff.is_imagej:  # ImageJ writes large stacks behind one page
        count = max(count, int((tiff.imagej_metadata or {}).get("images", 1)))
    if count != 1:
        raise UnreadableImage(f"TIFF of {count} pages, expected one image")
    page = pages[0]
    if page.imagedepth != 1:
        raise UnreadableImage(f"TIFF of {page.imagedepth} layers, expected one image")
    return page


def _check_complete(page: tifffile.TiffPage, size: int) -> None:
    """Refuse pixels that lie beyond the end of the file, before a decoder fills them with zeros."""
    ends = [
        offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)
    ]
    if not ends or max(ends) > size:
        raise UnreadableImage(
            f"TIFF cut short: its pixels end at byte {max(ends, default=0)}, the file at {size}"
        )
    if 0 in page.databytecounts:
        raise UnreadableImage("TIFF with missing pixels")


def _decode(page: tifffile.TiffPage, file: BinaryIO) -> NDArray[Any]:
    try:
        return np.asarray(page.asarray(maxworkers=1))
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
    # LZW, JPEG, ... are read by OpenCV's own libtiff: no further package is needed for them.
    file.seek(0)
    pixels = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.shape[:2] != (page.imagelength, page.imagewidth):
        raise UnreadableImage(f"TIFF compression {page.compression!r} cannot be read")
    return pixels


def _channels_last(page: tifffile.TiffPage, pixels: NDArray[Any]) -> NDArray[Any]:
    planar = pixels.ndim == 3 and pixels.shape[1:] == (page.imagelength, page.imagewidth)
    return np.moveaxis(pixels, 0, -1) if planar and pixels.shape[0] <= 4 else pixels


def _metadata(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> tuple[float | None, str | None]:
    description = page.description or ""
    size, composition = from_json(description)
    if size is None and tiff.is_ome:
        size = from_ome(description)
    x, y = _dots(page, "XResolution"), _dots(page, "YResolution")
    if size is None and x > 0 and y > 0:
        if tiff.is_imagej:
            unit = str((tiff.imagej_metadata or {}).get("unit", ""))
            size = in_nm(1 / x, 1 / y, unit)
        else:
            metres = _UNIT_METRES.get(int(page.tags.valueof("ResolutionUnit", default=1)))
            size = None if metres is None else from_print_resolution(x, y, metres)
    return size, composition


def _dots(page: tifffile.TiffPage, name: str) -> float:
    """Return pixels per unit, 0 if the tag is absent or no number."""
    value = page.tags.valueof(name)
    if isinstance(value, tuple) and len(value) == 2 and value[1]:
        return float(value[0]) / float(value[1])
    return 0.0
