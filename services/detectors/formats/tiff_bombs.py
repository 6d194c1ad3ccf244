"""Strips and tiles of a TIFF that unpack to more than they are said to hold.

A decoder that unpacks them whole, as tifffile does by itself, would allocate whatever they unpack
to: half a megabyte of DEFLATE is half a gigabyte of zeros.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

import tifffile

from .image import ReadLimits, UnreadableImage

HARMLESS = 16 * 1024 * 1024
"""A page that cannot unpack to more than this above its due is not looked into."""
_SLACK = 4096
"""Above its due, of one strip or tile: some writers fill up the last one."""
_STEP = 0x4000

NOT_FOR_TIFFFILE = frozenset({34925, 34926, 50000})
"""LZMA and Zstandard, by their tags: they claim what memory their data say. No microscope writes
them; OpenCV may read them."""


def check_segments(page: tifffile.TiffPage, file: BinaryIO, limits: ReadLimits) -> None:
    """Raise `UnreadableImage` if a strip or tile of a page would unpack to more than its size."""
    rows, columns = min(page.rowsperstrip, page.imagelength), page.imagewidth
    if page.is_tiled:
        rows, columns = page.tilelength, page.tilewidth
        limits.check(rows, columns, pixel_bytes(page))
    packing = _PACKINGS.get(int(page.compression))
    if packing is None:
        return
    due = rows * columns * pixel_bytes(page)
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if sum(page.databytecounts) * packing.at_most <= len(segments) * due + HARMLESS:
        return
    for offset, count in segments:
        file.seek(offset)
        if not packing.unpacks_within(file, count, due + _SLACK):
            raise UnreadableImage(
                f"TIFF of {page.imagewidth} x {page.imagelength} pixels in which {count} bytes "
                f"unpack to more than the {due} they stand for"
            )


def pixel_bytes(page: tifffile.TiffPage) -> int:
    """Return the size of one pixel of a page, decoded, all its channels together."""
    return int(page.samplesperpixel) * max(1, -(-int(page.bitspersample) // 8))


def _deflate(file: BinaryIO, count: int, most: int) -> bool:
    unpack = zlib.decompressobj()
    while count > 0 and (packed := file.read(min(_STEP, count))):
        count -= len(packed)
        # Cut off only when it is more than may come.
        most -= len(unpack.decompress(packed, most + 1))
        if most < 0:
            return False
    return True


def _packbits(file: BinaryIO, count: int, most: int) -> bool:
    packed = file.read(count)
    at = 0
    while at < len(packed) and most >= 0:
        code = packed[at]
        run, literal = (257 - code, 1) if code > 128 else (code + 1, code + 1)
        if code == 128:
            run = literal = 0
        most -= run
        at += 1 + literal
    return most >= 0


class _Packing(NamedTuple):
    at_most: int
    """Bytes that one byte can unpack to."""
    unpacks_within: Callable[[BinaryIO, int, int], bool]


_PACKINGS = {
    8: _Packing(1032, _deflate),
    32946: _Packing(1032, _deflate),
    50013: _Packing(1032, _deflate),
    32773: _Packing(64, _packbits),
}
"""By TIFF's compression tag: those that tifffile unpacks by itself."""
