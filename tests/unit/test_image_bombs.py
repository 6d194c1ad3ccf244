"""Small files that claim or unpack to gigabytes: refused by name, and nothing is allocated."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.detectors.files import ReadLimits, UnreadableImage, limits_up_to, read_image
from tests.helpers.garbage import (
    bomb_jpeg,
    bomb_png,
    bomb_tiff,
    npy_that_claims,
    particle,
    png,
    tiff,
    tiff_of_pages,
    tiff_that_unpacks,
)

ROOM_MIB = 96
"""What a reader may grow by: its libraries' own buffers, and the harmless."""
GIB = 1 << 30

BOMBS: dict[str, tuple[bytes, str]] = {
    "a PNG of 60,000 x 60,000": (
        bomb_png(),
        "more than the limit of 268435456 pixels (--max-pixels, source.max_pixels)",
    ),
    "a PNG within the pixels, of 8 bytes each": (
        bomb_png(16_000, 16_000).replace(b"\x08\x00\x00\x00\x00", b"\x10\x06\x00\x00\x00", 1),
        "pixels of 8 bytes, more than the limit of 1073741824 bytes (source.max_image_bytes)",
    ),
    "a JPEG of 60,000 x 60,000": (bomb_jpeg(), "more than the limit of 268435456 pixels"),
    "a TIFF of 60,000 x 60,000": (bomb_tiff(), "more than the limit of 268435456 pixels"),
    "a TIFF of a million pages": (
        tiff_of_pages(1_000_000),
        "TIFF of more pages than the limit of 1000 (source.max_pages), expected one image",
    ),
    "a strip of DEFLATE that unpacks to a gigabyte": (
        tiff_that_unpacks(zlib.compress(bytes(GIB), 9), 8),
        "bytes unpack to more than the 4096",
    ),
    "a strip of PackBits that unpacks to a gigabyte": (
        tiff_that_unpacks(b"\x81\x00" * (GIB // 128), 32773),
        "TIFF of 64 x 64 pixels in which 16777216 bytes unpack to more than the 4096",
    ),
    "an NPY of 2**62 bytes": (
        npy_that_claims("(2147483648, 2147483648)"),
        "more than the limit of 268435456 pixels",
    ),
    "an NPY of a gigabyte that is not there": (
        npy_that_claims("(16384, 16384)", "<u4"),
        "NPY cut short: 100 of 1073741824 bytes",
    ),
    "an NPY of numbers of 2 GiB": (
        npy_that_claims("(1, 1)", "|V2147483647"),
        "numbers of type",
    ),
    "an NPY of nothing": (npy_that_claims("(8, 8)", "|V0"), "numbers of type"),
    "a file larger than the limit": (b"\x93NUMPY", "file of 2147483649 bytes, more than the limit"),
}

READER = """
import json, sys
from pathlib import Path
import psutil
from services.detectors.files import UnreadableImage, read_image
from tests.helpers.garbage import jpeg, particle, png, tiff

me, folder = psutil.Process(), Path(sys.argv[1])
for name, make in (("a.png", png), ("a.jpg", jpeg), ("a.tif", tiff)):
    (folder / name).write_bytes(make(particle()))
    read_image(folder / name)  # the libraries are loaded

def peak() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

before = peak()
told = {}
for path in sorted(folder.glob("bomb*")):
    try:
        told[path.name] = f"read as {read_image(path).image.shape}"
    except UnreadableImage as error:
        told[path.name] = str(error)
print(json.dumps([told, (peak() - before) / 1024]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_bombs_are_refused_by_name_and_nothing_is_allocated_for_them(tmp_path: Path) -> None:
    for number, (data, _) in enumerate(BOMBS.values()):
        (tmp_path / f"bomb{number:02d}").write_bytes(data)
    with (tmp_path / f"bomb{len(BOMBS) - 1:02d}").open("ab") as file:
        file.truncate((1 << 31) + 1)  # a hole; it takes no room
    done = subprocess.run(
        [sys.executable, "-c", READER, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    told, grown_mib = json.loads(done.stdout)
    for number, (what, (_, says)) in enumerate(BOMBS.items()):
        assert says in told[f"bomb{number:02d}"], what
    assert grown_mib < ROOM_MIB


def test_a_limit_may_be_raised_and_lowered(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(png(particle()))
    with pytest.raises(UnreadableImage, match="more than the limit of 4095 pixels"):
        read_image(path, limits=limits_up_to(4095))
    assert read_image(path, limits=limits_up_to(4096)).image.shape == (64, 64)
    path.write_bytes(tiff_of_pages(12))
    with pytest.raises(UnreadableImage, match="TIFF of 12 pages, expected one image"):
        read_image(path)
    with pytest.raises(UnreadableImage, match="more pages than the limit of 11"):
        read_image(path, limits=ReadLimits(pages=11))


def test_a_tile_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(tiff(particle(), tile=(128, 128)))
    assert read_image(path).image.shape == (64, 64)
    with pytest.raises(UnreadableImage, match=r"128 x 128 pixels .* more than the limit of 5000"):
        read_image(path, limits=limits_up_to(5000))


@pytest.mark.parametrize("compression", ["zlib", "packbits"])
def test_what_unpacks_to_a_little_more_than_its_rows_is_read(
    tmp_path: Path, compression: str
) -> None:
    """The last strip is shorter than the others, and some writers fill it up."""
    image = np.random.default_rng(3).integers(0, 255, (70, 64), dtype=np.uint8)
    path = tmp_path / "image"
    if compression == "packbits":
        Image.fromarray(image).save(path, "TIFF", compression=compression)
    else:
        path.write_bytes(tiff(image, compression=compression, rowsperstrip=32))
    assert np.array_equal(read_image(path).image, image)


@pytest.mark.parametrize("planes", [2, 3, 4, 5])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_planes_that_are_no_colours_are_not_taken_for_some(
    tmp_path: Path, planes: int, planar: str
) -> None:
    stack = np.stack([particle()] * planes)
    stack = np.moveaxis(stack, 0, -1) if planar == "contig" else stack
    path = tmp_path / "image"
    path.write_bytes(tiff(stack, photometric="minisblack", planarconfig=planar))
    with pytest.raises(UnreadableImage, match=f"{planes} planes that are no colours"):
        read_image(path)


def test_a_tiff_that_does_not_say_what_its_numbers_mean_is_not_turned(tmp_path: Path) -> None:
    path = tmp_path / "image"
    data = tiff(particle())
    tag = data.index(b"\x06\x01\x03\x00\x01\x00\x00\x00")  # photometric interpretation
    path.write_bytes(data[:tag] + b"\xff\xfd" + data[tag + 2 :])
    read = read_image(path)
    assert np.array_equal(read.image, particle())
    assert read.notes == ("does not say whether black or white is zero, taken as black",)
