"""A folder as people have them: files that are no images, damaged ones, traps, and one good one."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image


class Garbage(NamedTuple):
    """One thing in the folder."""

    path: Path
    reason: str | None
    """Part of the reason it is refused with; None if it can be read, and is judged later."""


def make_garbage(folder: Path) -> list[Garbage]:
    """Fill a folder with garbage.

    Parameters
    ----------
    folder : Path
        Made if it is missing.

    Returns
    -------
    list of Garbage
        A folder without permission is among it only where permissions hold (not for root).
    """
    folder.mkdir(parents=True, exist_ok=True)
    garbage = [_file(folder, name, data, reason) for name, (data, reason) in _files().items()]
    fifo = folder / "pipe.png"
    os.mkfifo(fifo)
    garbage.append(Garbage(fifo, "not a regular file"))
    link = folder / "nowhere.png"
    link.symlink_to("not there.png")
    garbage.append(Garbage(link, "No such file"))
    loop = folder / "loop.png"
    loop.symlink_to(loop.name)
    garbage.append(Garbage(loop, "Too many levels of symbolic links"))
    if permissions_hold():
        locked = folder / "locked"
        locked.mkdir()
        locked.chmod(0)
        garbage.append(Garbage(locked, "cannot be listed: Permission denied"))
        secret = _file(folder, "secret.png", png(particle()), "Permission denied")
        secret.path.chmod(0)
        garbage.append(secret)
    return garbage


def permissions_hold() -> bool:
    """Say whether a mode of 0 keeps this process out; it does not keep out root."""
    return os.geteuid() != 0


def particle(size: int = 64) -> NDArray[np.uint8]:
    """Return a bright disc with a darker core on a dark ground, (size, size)."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    radius = np.hypot(x, y) / size
    image = np.where(radius < 0.3, 200, 20) - np.where(radius < 0.15, 60, 0)
    return image.astype(np.uint8)


def png(image: NDArray[np.generic]) -> bytes:
    """Return a PNG file of uint8 or uint16, gray, or uint8 with channels."""
    return _pillow(image, "PNG")


def jpeg(image: NDArray[np.generic]) -> bytes:
    """Return a JPEG file of uint8, gray or with three channels."""
    return _pillow(image, "JPEG")


def tiff(image: NDArray[np.generic], **options: Any) -> bytes:  # noqa: ANN401 - tifffile's own
    """Return a TIFF file; options are tifffile's."""
    file = io.BytesIO()
    tifffile.imwrite(file, image, **options)
    return file.getvalue()


def npy(array: NDArray[np.generic]) -> bytes:
    """Return an NPY file, objects pickled."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def bomb_png(width: int = 60_000, height: int = 60_000) -> bytes:
    """Return a PNG of some kilobytes whose header claims gigapixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(20_000_000), 9)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def bomb_tiff(side: int = 60_000) -> bytes:
    """Return a TIFF of some hundred bytes whose header claims gigapixels."""
    small = bytearray(tiff(np.zeros((1, 1), np.uint8)))
    with tifffile.TiffFile(io.BytesIO(bytes(small))) as opened:
        tags = opened.pages.first.tags
        places = [tags[name].valueoffset for name in ("ImageWidth", "ImageLength")]
    for place in places:
        small[place : place + 4] = struct.pack("<I", side)
    return bytes(small)


def _files() -> dict[str, tuple[bytes, str | None]]:
    image = particle()
    colour = np.stack([image, image // 2, 255 - image], axis=-1)
    whole_png, whole_jpeg, whole_tiff = png(image), jpeg(image), tiff(image)
    objects = np.array([{"a": 1}, "b"], dtype=object)
    return {
        "good.png": (whole_png, None),
        "text.png": (b"Name,Value\nthis is not,an image\n", "not an image"),
        "page.png": (b"<!DOCTYPE html><html>404</html>", "not an image"),
        "empty.tif": (b"", "empty file"),
        "one byte.jpg": (b"\xff", "not an image"),
        "magic only.png": (whole_png[:8], "PNG cut short"),
        "magic only.tif": (whole_tiff[:4], "TIFF damaged or cut short"),
        "half.tif": (whole_tiff[: len(whole_tiff) // 2], "TIFF cut short"),
        "half.png": (whole_png[: len(whole_png) // 2], "PNG damaged or cut short"),
        "half.jpg": (whole_jpeg[: len(whole_jpeg) // 2], "JPEG damaged or cut short"),
        "half.npy": (npy(image)[:2000], "NPY cut short"),
        "tiny.png": (png(image[:1, :1]), None),
        "colour.png": (png(colour), "colour image"),
        "colour.jpg": (jpeg(colour), "colour image"),
        "stack.tif": (tiff(np.stack([image] * 12), photometric="minisblack"), "TIFF of 12 pages"),
        "objects.npy": (npy(objects), "Python objects"),
        "line.npy": (npy(image[0]), r"shape \(64,\)"),
        "complex.npy": (npy(image.astype(np.complex64)), "complex64"),
        "nan.npy": (npy(np.full((64, 64), np.nan, np.float32)), None),
        "bomb.png": (bomb_png(), "60000 x 60000 pixels .* more than the limit of 268435456"),
        "bomb.tif": (bomb_tiff(), "60000 x 60000 pixels .* more than the limit of 268435456"),
    }


def _file(folder: Path, name: str, data: bytes, reason: str | None) -> Garbage:
    path = folder / name
    path.write_bytes(data)
    return Garbage(path, reason)


def _pillow(image: NDArray[np.generic], kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff_of_pages(pages: int) -> bytes:
    """Return a TIFF of so many pages of one pixel, 90 bytes a page."""
    tags = (
        (256, 3, 1),
        (257, 3, 1),
        (258, 3, 8),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
        (279, 4, 1),
    )
    size = 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    directory = struct.pack("<H", len(tags)) + entries
    nexts = (8 + size * (n + 1) if n < pages - 1 else 0 for n in range(pages))
    return struct.pack("<2sHI", b"II", 42, 8) + b"".join(
        directory + struct.pack("<I", following) for following in nexts
    )


def tiff_that_unpacks(packed: bytes, compression: int) -> bytes:
    """Return a TIFF of 64 x 64 bytes, whose only strip is these packed bytes."""
    data = bytearray(tiff(np.zeros((64, 64), np.uint8), compression="zlib", rowsperstrip=64))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as opened:
        tags = opened.pages.first.tags
        places = [
            tags[name].valueoffset for name in ("StripOffsets", "StripByteCounts", "Compression")
        ]
    values = (len(data), len(packed), compression)
    for place, value, form in zip(places, values, ("<I", "<I", "<H"), strict=True):
        struct.pack_into(form, data, place, value)
    return bytes(data) + packed


def npy_that_claims(shape: str, dtype: str = "|u1", follow: int = 100) -> bytes:
    """Return an NPY file whose header claims a shape, with some bytes behind it."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}".encode()
    return (
        b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n" + bytes(follow)
    )


def bomb_jpeg(width: int = 60_000, height: int = 60_000) -> bytes:
    """Return a JPEG of some hundred bytes whose header claims gigapixels."""
    data = bytearray(jpeg(np.zeros((8, 8), np.uint8)))
    place = data.index(b"\xff\xc0") + 5
    struct.pack_into(">HH", data, place, height, width)
    return bytes(data)
