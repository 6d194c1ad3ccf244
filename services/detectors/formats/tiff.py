"""TIFF of one page, 8 to 64 bits, either byte order, read by tifffile."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, BinaryIO

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from .image import ReadImage, ReadLimits, UnreadableImage, as_real, one_channel
from .pixel_size import from_json, from_ome, from_print_resolution, in_nm
from .tiff_bombs import NOT_FOR_TIFFFILE, check_segments, pixel_bytes
from .tiff_vendors import read_vendor, vendor_of

TIFF_MAGICS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")

# What it warns of ends in our errors or does not matter; a file must not write into the log.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_PHOTOMETRIC = 262
"""The tag that says what the numbers mean."""
_COLOURS = (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
_UNIT_METRES = {2: 0.0254, 3: 0.01}
"""TIFF ResolutionUnit: inch, centimetre."""


def read_tiff(file: BinaryIO, limits: ReadLimits, index: int | None = None) -> ReadImage:
    """Read a TIFF; of several pages, the one at `index`.

    Raises
    ------
    UnreadableImage
        If it is cut short, damaged, a stack, coloured, too large, or compressed in a way that
        neither tifffile nor OpenCV reads.
    """
    try:
        with tifffile.TiffFile(file) as tiff:
            return _read(tiff, file, limits, index)
    except UnreadableImage:
        raise
    except Exception as error:
        raise UnreadableImage(f"TIFF damaged or cut short: {error}") from error


def count_pages(file: BinaryIO, limits: ReadLimits) -> int:
    """Return how many images a TIFF holds, thumbnails left out; errors as `read_tiff`."""
    try:
        with tifffile.TiffFile(file) as tiff:
            return len(_pages(tiff, limits))
    except UnreadableImage:
        raise
    except Exception as error:
        raise UnreadableImage(f"TIFF damaged or cut short: {error}") from error


def _read(
    tiff: tifffile.TiffFile, file: BinaryIO, limits: ReadLimits, index: int | None
) -> ReadImage:
    page = _page(tiff, limits, index)
    limits.check(page.imagelength, page.imagewidth, pixel_bytes(page))
    _check_complete(page, tiff.filehandle.size)
    _check_planes(page)
    check_segments(page, file, limits)
    notes: list[str] = []
    pixels = _channels_last(page, _decode(page, file))
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        if not tiff.is_imagej:
            raise UnreadableImage("TIFF with a palette, expected one channel of gray")
        notes.append("colour table left out")  # ImageJ's lookup tables colour true intensities
    image, note = one_channel(pixels)
    if note:
        notes.append(note)
    if _PHOTOMETRIC not in page.tags:
        notes.append("does not say whether black or white is zero, taken as black")
    elif page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and image.dtype.kind == "u":
        image = (2 ** int(page.bitspersample) - 1) - image
        notes.append("stored white on black, turned")
    size, composition = _metadata(tiff, page)
    vendor = vendor_of(page)
    extra: dict[str, str] = {}
    if vendor is not None:
        said = read_vendor(file, vendor, limits)
        size = said.pixel_size_nm or size
        composition = composition or said.composition
        notes += said.notes
        extra = dict(said.extra)
    if index is not None:
        extra["stack_image"] = f"{index + 1} of {len(_pages(tiff, limits))}"
    return ReadImage(as_real(image), size, composition, tuple(notes), extra)


def _every_page(tiff: tifffile.TiffFile, limits: ReadLimits) -> Iterator[tifffile.TiffPage]:
    for index in range(limits.pages + 1):
        try:
            page = tiff.pages[index]
        except IndexError:
            return
        if index == limits.pages:
            break
        yield page.aspage() if isinstance(page, tifffile.TiffFrame) else page
    raise UnreadableImage(
        f"TIFF of more pages than the limit of {limits.pages} (source.max_pages), "
        "expected one image"
    )


def _pages(tiff: tifffile.TiffFile, limits: ReadLimits) -> list[tifffile.TiffPage]:
    # Thumbnails do not count.
    return [page for page in _every_page(tiff, limits) if not page.is_reduced]


def _page(tiff: tifffile.TiffFile, limits: ReadLimits, index: int | None) -> tifffile.TiffPage:
    pages = _pages(tiff, limits)
    count = len(pages)
    if tiff.is_imagej:  # ImageJ writes large stacks behind one page
        count = max(count, int((tiff.imagej_metadata or {}).get("images", 1)))
    if count != 1 and (index is None or count != len(pages)):
        hint = "; --stack images takes them one by one" if count == len(pages) > 1 else ""
        raise UnreadableImage(f"TIFF of {count} pages, expected one image{hint}")
    if (index or 0) >= count:
        raise UnreadableImage(f"TIFF of {count} pages; image {(index or 0) + 1} is not there")
    page = pages[index or 0]
    if page.imagedepth != 1:
        raise UnreadableImage(f"TIFF of {page.imagedepth} layers, expected one image")
    return page


def _check_planes(page: tifffile.TiffPage) -> None:
    """Refuse several channels that are no colours: which of them is the image, nobody has said."""
    planes = int(page.samplesperpixel)
    if planes == 1 or (_PHOTOMETRIC in page.tags and page.photometric in _COLOURS):
        return
    alpha = bool(page.extrasamples) and page.extrasamples[0] in (1, 2)
    if not (planes == 2 and alpha):
        raise UnreadableImage(f"TIFF of {planes} planes that are no colours, expected one image")


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
    if int(page.compression) not in NOT_FOR_TIFFFILE:
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
