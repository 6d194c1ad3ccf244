"""Pixel sizes and compositions that files state: which are believed."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from services.detectors.files import read_image
from tests.helpers.garbage import particle, tiff

Write = Callable[[bytes], Path]


@pytest.fixture
def written(tmp_path: Path) -> Write:
    """Write bytes to a file and return its path."""

    def write(data: bytes) -> Path:
        path = tmp_path / "image"
        path.write_bytes(data)
        return path

    return write


def _pixel_size(written: Write, data: bytes) -> float | None:
    return read_image(written(data)).pixel_size_nm


def test_pixel_sizes_that_can_be_trusted_are_taken(written: Write) -> None:
    image = particle()
    for unit in ("nm", "um", r"\u00B5m", "micron", "pm"):
        scale = {"nm": 1, "pm": 1e-3}.get(unit, 1e3)
        data = tiff(
            image, imagej=True, resolution=(scale * 50, scale * 50), metadata={"unit": unit}
        )
        assert _pixel_size(written, data) == pytest.approx(0.02, rel=1e-5), unit
    in_centimetres = tiff(image, resolution=(5e8, 5e8), resolutionunit="CENTIMETER")
    assert _pixel_size(written, in_centimetres) == pytest.approx(0.02, rel=1e-5)
    ome = tiff(
        image,
        ome=True,
        metadata={
            "axes": "YX",
            "PhysicalSizeX": 20.0,
            "PhysicalSizeXUnit": "pm",
            "PhysicalSizeY": 20.0,
            "PhysicalSizeYUnit": "pm",
        },
    )
    assert _pixel_size(written, ome) == pytest.approx(0.02)
    ome_default = tiff(
        image, ome=True, metadata={"axes": "YX", "PhysicalSizeX": 2e-5, "PhysicalSizeY": 2e-5}
    )
    assert _pixel_size(written, ome_default) == pytest.approx(0.02)


@pytest.mark.parametrize(
    "options",
    [
        {"resolution": (72, 72), "resolutionunit": "INCH"},
        {"resolution": (300, 300), "resolutionunit": "CENTIMETER"},
        {"resolution": (5e8, 1e8), "resolutionunit": "CENTIMETER"},
        {"resolution": (50, 50), "imagej": True, "metadata": {"unit": "pixel"}},
        {"resolution": (50, 50), "imagej": True},
        {"resolution": (50, 20), "imagej": True, "metadata": {"unit": "nm"}},
        {"resolution": (50, 50), "resolutionunit": "NONE"},
        {"resolution": (0, 0), "resolutionunit": "CENTIMETER"},
        {},
    ],
)
def test_pixel_sizes_that_may_be_a_print_setting_are_not(
    written: Write, options: dict[str, object]
) -> None:
    assert _pixel_size(written, tiff(particle(), **options)) is None


def test_what_a_file_says_in_words_is_taken(written: Write) -> None:
    words = PngImagePlugin.PngInfo()
    words.add_text("Composition", "Au40Cu60")
    words.add_text("pixel_size_nm", "0.25")
    file = io.BytesIO()
    Image.fromarray(particle()).save(file, "PNG", pnginfo=words, dpi=(72, 72))
    read = read_image(written(file.getvalue()))
    assert (read.pixel_size_nm, read.composition) == (0.25, "Au40Cu60")
    described = tiff(particle(), metadata={"composition": "Au40Cu60", "pixel_size_nm": 0.25})
    read = read_image(written(described))
    assert (read.pixel_size_nm, read.composition) == (0.25, "Au40Cu60")


@pytest.mark.parametrize("size", ["nan", "-1", "inf", "0", "1e99", "0,25", "a lot"])
def test_a_pixel_size_that_is_no_length_is_left_out(written: Write, size: str) -> None:
    words = PngImagePlugin.PngInfo()
    words.add_text("pixel_size_nm", size)
    file = io.BytesIO()
    Image.fromarray(particle()).save(file, "PNG", pnginfo=words)
    assert _pixel_size(written, file.getvalue()) is None


def test_a_png_that_says_its_scale_in_metres_is_believed_if_it_is_no_print(written: Write) -> None:
    for per_metre, expected in ((2835, None), (4_000_000_000, 0.25)):
        file = io.BytesIO()
        Image.fromarray(particle()).save(file, "PNG")
        whole = file.getvalue()
        body = b"pHYs" + struct.pack(">IIB", per_metre, per_metre, 1)
        chunk = struct.pack(">I", 9) + body + struct.pack(">I", zlib.crc32(body))
        size = _pixel_size(written, whole[:33] + chunk + whole[33:])
        assert size == (None if expected is None else pytest.approx(expected))
