"""Reading image files: right numbers, or a reason."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from services.detectors.files import ReadLimits, UnreadableImage, read_image
from tests.helpers.garbage import (
    bomb_png,
    bomb_tiff,
    jpeg,
    make_garbage,
    npy,
    particle,
    permissions_hold,
    png,
    tiff,
)

Write = Callable[..., Path]
Make = Callable[[NDArray[np.uint8]], bytes]

_RAMP = np.arange(40 * 30).reshape(40, 30)


@pytest.fixture
def written(tmp_path: Path) -> Write:
    """Write bytes to a file and return its path."""

    def write(data: bytes, name: str = "image") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def test_every_piece_of_garbage_is_read_or_refused_with_its_reason(tmp_path: Path) -> None:
    for piece in make_garbage(tmp_path / "garbage"):
        if piece.reason is None:
            assert read_image(piece.path).image.ndim == 2
        else:
            with pytest.raises(UnreadableImage, match=piece.reason) as caught:
                read_image(piece.path)
            assert len(str(caught.value)) < 300


@pytest.mark.skipif(permissions_hold(), reason="the folder of garbage has its own locked file")
def test_permissions_are_tested_where_they_hold() -> None:
    assert not permissions_hold()


@pytest.mark.parametrize(
    ("image", "data"),
    [
        (particle(), png(particle())),
        ((_RAMP * 50).astype(np.uint16), png((_RAMP * 50).astype(np.uint16))),
        (particle(), npy(particle())),
        (-_RAMP.astype(np.int64), npy(-_RAMP.astype(np.int64))),
        (_RAMP.astype(np.float16), npy(_RAMP.astype(np.float16))),
        (_RAMP.astype(np.float64), npy(np.asfortranarray(_RAMP.astype(np.float64)))),
        (_RAMP.astype(np.uint16), npy(_RAMP.astype(">u2"))),
        (_RAMP.astype(np.uint16), npy(_RAMP.astype(np.uint16)[:, :, None])),
    ],
    ids=["png8", "png16", "npy8", "npy-i8", "npy-f2", "npy-fortran", "npy-big-endian", "npy-one"],
)
def test_numbers_come_as_they_were_stored(
    written: Write, image: NDArray[np.generic], data: bytes
) -> None:
    read = read_image(written(data)).image
    assert read.dtype == image.dtype
    assert read.dtype.isnative
    assert np.array_equal(read, image)


@pytest.mark.parametrize(
    "dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]
)
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize(
    "options", [{}, {"rowsperstrip": 7}, {"tile": (16, 16)}, {"bigtiff": True}]
)
def test_a_tiff_of_any_type_and_layout_keeps_its_numbers(
    written: Write, dtype: str, byteorder: str, options: dict[str, object]
) -> None:
    image = _RAMP.astype(dtype) if dtype.endswith("1") else (_RAMP * 3).astype(dtype)
    read = read_image(written(tiff(image, byteorder=byteorder, **options))).image
    assert read.dtype == image.dtype
    assert read.dtype.isnative
    assert np.array_equal(read, image)


@pytest.mark.parametrize(
    "compression", ["tiff_lzw", "tiff_deflate", "packbits", "tiff_adobe_deflate"]
)
def test_a_compressed_tiff_keeps_its_numbers(written: Write, compression: str) -> None:
    image = (_RAMP * 50).astype(np.uint16)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "TIFF", compression=compression)
    assert np.array_equal(read_image(written(file.getvalue())).image, image)


def test_a_jpeg_is_read_close_to_what_it_was(written: Write) -> None:
    read = read_image(written(jpeg(particle())))
    assert read.image.dtype == np.uint8
    assert np.abs(read.image.astype(int) - particle()).mean() < 3


def test_a_file_is_what_its_first_bytes_say_not_its_suffix(written: Write) -> None:
    assert np.array_equal(read_image(written(tiff(particle()), "image.png")).image, particle())


@pytest.mark.parametrize(
    ("stored", "note"),
    [
        (np.repeat(particle()[..., None], 3, axis=2), "gray stored as colour"),
        (
            np.dstack([particle()] * 3 + [np.full((64, 64), 255, np.uint8)]),
            "gray stored as colour, alpha channel left out",
        ),
        (np.dstack([particle(), np.full((64, 64), 9, np.uint8)]), "alpha channel left out"),
    ],
    ids=["three channels", "with alpha", "gray with alpha"],
)
def test_gray_stored_as_colour_is_taken_and_noted(
    written: Write, stored: NDArray[np.uint8], note: str
) -> None:
    read = read_image(written(png(stored)))
    assert np.array_equal(read.image, particle())
    assert read.notes == (note,)


def test_gray_stored_as_a_jpeg_in_colour_is_taken(written: Write) -> None:
    read = read_image(written(jpeg(np.repeat(particle()[..., None], 3, axis=2))))
    assert read.image.shape == (64, 64)
    assert read.notes == ("gray stored as colour",)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_gray_stored_as_a_tiff_in_colour_is_taken_in_either_layout(
    written: Write, planar: str
) -> None:
    stored = np.repeat(particle()[..., None], 3, axis=2)
    stored = np.moveaxis(stored, -1, 0) if planar == "separate" else stored
    read = read_image(written(tiff(stored, photometric="rgb", planarconfig=planar)))
    assert np.array_equal(read.image, particle())


def test_sixteen_bits_in_three_equal_channels_lose_nothing(written: Write) -> None:
    image = (_RAMP * 50).astype(np.uint16)
    data = cv2.imencode(".png", np.repeat(image[..., None], 3, axis=2))[1].tobytes()
    assert np.array_equal(read_image(written(data)).image, image)


def test_one_coloured_pixel_is_a_colour_image(written: Write) -> None:
    stored = np.repeat(particle()[..., None], 3, axis=2)
    stored[3, 4, 0] += 1
    with pytest.raises(UnreadableImage, match=r"colour image: 0.0244 % of the pixels"):
        read_image(written(png(stored)))


def test_a_palette_of_grays_is_taken_and_a_palette_of_colours_refused(written: Write) -> None:
    gray = Image.fromarray(particle()).convert("P")
    file = io.BytesIO()
    gray.save(file, "PNG")
    assert np.array_equal(read_image(written(file.getvalue())).image, particle())
    gray.putpalette([value for n in range(256) for value in (n, 0, 255 - n)])
    file = io.BytesIO()
    gray.save(file, "PNG")
    with pytest.raises(UnreadableImage, match="colour image"):
        read_image(written(file.getvalue()))


def test_a_bilevel_image_becomes_numbers(written: Write) -> None:
    file = io.BytesIO()
    Image.fromarray(particle() > 100).save(file, "PNG")
    assert set(np.unique(read_image(written(file.getvalue())).image)) == {0, 255}
    assert read_image(written(npy(particle() > 100))).image.dtype == np.uint8


def test_white_stored_as_zero_is_turned(written: Write) -> None:
    data = tiff(particle(), photometric="miniswhite")
    read = read_image(written(data))
    assert np.array_equal(read.image, 255 - particle())
    assert read.notes == ("stored white on black, turned",)


def test_a_thumbnail_beside_the_image_does_not_make_it_a_stack(written: Write) -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(particle())
        writer.write(particle(16), subfiletype=1)
    assert read_image(written(file.getvalue())).image.shape == (64, 64)


def test_an_imagej_stack_behind_one_page_is_refused(written: Write) -> None:
    stack = np.stack([particle()] * 5)
    with pytest.raises(UnreadableImage, match="TIFF of 5 pages, expected one image"):
        read_image(written(tiff(stack, imagej=True)))


def test_an_animated_png_is_refused(written: Write) -> None:
    file = io.BytesIO()
    frames = [Image.fromarray(particle()), Image.fromarray(255 - particle())]
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    with pytest.raises(UnreadableImage, match="PNG of 2 pictures"):
        read_image(written(file.getvalue()))


@pytest.mark.parametrize("make", [png, jpeg, tiff, npy])
def test_a_file_cut_anywhere_is_refused(written: Write, make: Make) -> None:
    data = make(particle())
    for length in {*range(0, len(data), max(1, len(data) // 60)), *range(len(data) - 4, len(data))}:
        with pytest.raises(UnreadableImage):
            read_image(written(data[:length]))


def test_a_compressed_tiff_cut_anywhere_is_refused(written: Write) -> None:
    noisy = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    for options in ({"compression": "zlib"}, {"compression": "zlib", "tile": (16, 16)}):
        data = tiff(noisy, **options)
        for length in range(8, len(data) - 1, 97):
            with pytest.raises(UnreadableImage):
                read_image(written(data[:length]))
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, "TIFF", compression="tiff_lzw")
    data = file.getvalue()
    for length in range(8, len(data) - 1, 97):
        with pytest.raises(UnreadableImage):
            read_image(written(data[:length]))


def test_a_damaged_png_is_refused(written: Write) -> None:
    noisy = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    data = bytearray(png(noisy))
    data[len(data) // 2] ^= 1
    with pytest.raises(UnreadableImage, match="damaged"):
        read_image(written(bytes(data)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.sampled_from([png, jpeg, tiff, npy]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
)
def test_changed_bytes_give_an_image_or_a_reason(
    written: Write, make: Make, changes: list[tuple[float, int]]
) -> None:
    data = bytearray(make(particle(16)))
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    try:
        image = read_image(written(bytes(data)), limits=ReadLimits(pixels=1 << 16)).image
    except UnreadableImage:
        return
    assert image.ndim == 2
    assert image.dtype.kind in "iuf"


def test_a_limit_is_checked_before_decoding_and_named(written: Write) -> None:
    for data in (bomb_png(), bomb_tiff(), npy(np.zeros((300, 300), np.uint8))):
        with pytest.raises(UnreadableImage, match="more than the limit of 65536 pixels"):
            read_image(written(data), limits=ReadLimits(pixels=1 << 16))
    with pytest.raises(UnreadableImage, match="pixels of 8 bytes, more than the limit of 1000 by"):
        read_image(written(npy(np.zeros((20, 20)))), limits=ReadLimits(image_bytes=1000))
    with pytest.raises(UnreadableImage, match=r"file of \d+ bytes, more than the limit of 99"):
        read_image(written(png(particle())), limits=ReadLimits(file_bytes=99))


def test_an_npy_header_that_claims_terabytes_is_refused(written: Write) -> None:
    data = npy(np.zeros((2, 2), np.uint8)).replace(b"(2, 2)", b"(9999999, 99999)")
    with pytest.raises(UnreadableImage):
        read_image(written(data))


def test_what_is_not_a_file_is_never_waited_for(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="No such file"):
        read_image(tmp_path / "missing.png")
    with pytest.raises(UnreadableImage, match="a folder, expected a file"):
        read_image(tmp_path)
    with pytest.raises(UnreadableImage, match="not a regular file"):
        read_image(Path("/dev/zero"))


@pytest.mark.realdata
def test_real_micrographs_are_read_in_their_own_numbers(data_dir: Path) -> None:
    shapes = {
        "01": ((512, 512), "uint16"),
        "07": ((400, 400), "uint16"),
        "08": ((256, 256), "uint8"),
        "13": ((2048, 2048), "uint8"),
        "21": ((640, 640), "uint8"),
        "37": ((256, 256), "uint16"),
        "55": ((2048, 2048), "uint8"),
        "60": ((1024, 1024), "uint8"),
    }
    files = sorted((data_dir / "real").glob("*.*"))
    read = {path.name[:2]: read_image(path) for path in files}
    assert {n: (each.image.shape, str(each.image.dtype)) for n, each in read.items()} == shapes
    assert all(each.image.max() > each.image.min() for each in read.values())
    assert {n for n, each in read.items() if each.notes} == {"55"}
    # Their TIFF tags hold no unit, their JPEGs a print resolution: no pixel size is invented.
    assert all(each.pixel_size_nm is None for each in read.values())
