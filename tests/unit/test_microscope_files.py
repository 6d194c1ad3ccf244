"""Microscope files: what is read of them, what is refused and why, and what hostile ones can do."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from services.detectors.file_finding import find_images
from services.detectors.files import ReadLimits, UnreadableImage, read_image, read_reference
from services.detectors.formats.image import DEFAULT_READ_LIMITS
from services.detectors.metadata import Resolver, with_file_metadata
from services.detectors.microscope import reading
from services.detectors.references import Reference
from services.detectors.stacks import each_image
from tests.helpers import microscope_files as make
from tests.helpers.microscope_files import Axis, particle, square

pytest.importorskip("rsciio", reason="the extra `microscope` is not installed")

Make = Callable[[Path], Path]
IMAGE = particle()
SCAN = (Axis(1.0, "nm", navigate=True),) * 2
ENERGY = Axis(1.0, "eV", name="Energy")
MICROSCOPE = {"Indicated Magnification": 250_000.0, "Voltage": 200_000.0}
SPECIMEN = {"Session Info": {"Specimen": "grid 4, Au40Cu60"}}


def dm(axes: tuple[Axis, Axis], version: int = 3) -> Make:
    return lambda path: make.write_dm(path, IMAGE, axes, version=version)


def hspy(axes: tuple[Axis, ...]) -> Make:
    data = IMAGE if len(axes) == 2 else np.stack([IMAGE, IMAGE])
    return lambda path: make.write_hspy(path, data, axes)


def several(path: Path) -> Path:
    for title, brighter in (("BF", 0), ("EDS map", 2), ("HAADF", 1)):
        make.write_hspy(path, IMAGE + brighter, square(0.5, "nm"), title=title)
    return path


def other_hdf5(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["numbers"] = np.arange(3)
    return path


def with_emi(mode: str) -> Make:
    def write(path: Path) -> Path:
        make.write_emi(path.with_name("pair.emi"), mode=mode)
        return make.write_ser(path.with_name("pair_1.ser"), IMAGE)

    return write


READ: dict[str, tuple[Make, float | None, dict[str, str]]] = {
    "a.dm3": (
        lambda path: make.write_dm(
            path, IMAGE, square(0.25, "nm"), tags={"Microscope Info": MICROSCOPE}
        ),
        0.25,
        {"format": "DM3", "magnification": "250000", "beam_energy_kV": "200"},
    ),
    "a.dm4": (dm(square(0.001, "\u00b5m"), 4), 1.0, {"format": "DM4", "signal": "HAADF"}),
    "velox.emd": (
        lambda path: make.write_velox(path, {"BF": IMAGE, "HAADF": IMAGE + 1, "DF4": IMAGE}),
        0.2,
        {
            "format": "Velox EMD",
            "signal": "HAADF",
            "signals": "BF (image of 112 x 96 pixels), HAADF (image of 112 x 96 pixels), "
            "DF4 (image of 112 x 96 pixels)",
            "magnification": "640000",
        },
    ),
    "velox_with_spectra.emd": (
        lambda path: make.write_velox(path, {"HAADF": IMAGE + 1}, spectrum_image=True),
        0.2,
        {"signal": "HAADF"},
    ),
    "velox_in_one_piece.emd": (
        lambda path: make.write_velox(path, {"HAADF": IMAGE + 1}, chunks=False),
        0.2,
        {"signal": "HAADF"},
    ),
    "berkeley.emd": (
        lambda path: make.write_berkeley(path, IMAGE, square(0.5, "[n_m]")),
        0.5,
        {"format": "Berkeley EMD"},
    ),
    "angstrom.emd": (lambda path: make.write_berkeley(path, IMAGE, square(5.0, "A")), 0.5, {}),
    "alone_1.ser": (lambda path: make.write_ser(path, IMAGE), 0.3, {"format": "SER"}),
    "pair_1.ser": (with_emi("STEM HAADF"), 0.3, {"magnification": "160000"}),
    "a.mrc": (lambda path: make.write_mrc(path, IMAGE), 0.2, {"format": "MRC"}),
    "old.mrc": (lambda path: make.write_mrc(path, IMAGE, mark=bytes(4)), 0.2, {}),
    "several.hspy": (several, 0.5, {"format": "HSPY", "signal": "HAADF"}),
    "metre.hspy": (hspy(square(3e-10, "m")), 0.3, {}),
    "backwards.hspy": (hspy(square(-0.5, "nm")), 0.5, {}),
}


@pytest.mark.parametrize("name", READ)
def test_the_image_its_pixel_size_in_nm_and_its_magnification_are_read(
    name: str, tmp_path: Path
) -> None:
    write, size, extra = READ[name]
    read = read_image(write(tmp_path / name))
    assert read.image.shape == IMAGE.shape
    assert np.array_equal(read.image - read.image.min(), IMAGE - IMAGE.min())
    assert read.pixel_size_nm == pytest.approx(size)
    assert extra.items() <= read.extra.items()


def test_of_several_signals_the_haadf_is_taken(tmp_path: Path) -> None:
    velox = make.write_velox(
        tmp_path / "v.emd", {"BF": IMAGE, "DF4": IMAGE + 2, "HAADF": IMAGE + 1}
    )
    assert np.array_equal(read_image(velox).image, IMAGE + 1)
    assert np.array_equal(read_image(several(tmp_path / "s.hspy")).image, IMAGE + 1)
    no_haadf = make.write_velox(tmp_path / "n.emd", {"BF": IMAGE, "DF4": IMAGE + 2})
    assert np.array_equal(read_image(no_haadf).image, IMAGE + 2)


NOT_TRUSTED: dict[str, tuple[Make, str]] = {
    "no_unit.dm3": (dm(square(1.0, "")), "pixel size 1 in the file is not trusted: no unit"),
    "not_square.dm3": (dm((Axis(0.2, "nm"), Axis(0.4, "nm"))), "the pixels are not square"),
    "zero.dm3": (dm(square(0.0, "nm")), "expected numbers above 0"),
    "odd.hspy": (hspy(square(2.0, "furlong")), "'furlong' is no unit of length"),
    "pixels.hspy": (hspy(square(2.0, "px")), "no unit"),
    "huge.hspy": (hspy(square(1.0, "m")), "1e+09 nm is no pixel of an electron microscope"),
    "two_units.hspy": (hspy((Axis(1.0, "um"), Axis(1.0, "nm"))), "different units"),
    "none.emd": (lambda path: make.write_velox(path, {"HAADF": IMAGE}, unit=""), "no unit"),
    "empty_cell.mrc": (lambda path: make.write_mrc(path, IMAGE, angstrom=None), "no unit"),
}


@pytest.mark.parametrize("name", NOT_TRUSTED)
def test_a_pixel_size_that_cannot_be_trusted_is_left_out_and_told(
    name: str, tmp_path: Path
) -> None:
    write, told = NOT_TRUSTED[name]
    read = read_image(write(tmp_path / name))
    assert read.pixel_size_nm is None
    assert told in "; ".join(read.notes)


REFUSED: dict[str, tuple[Make, str]] = {
    "spectra.hspy": (hspy((ENERGY, *square(0.5, "nm"))), "it holds HAADF (spectra)"),
    "spectrum.hspy": (
        lambda path: make.write_hspy(path, np.arange(99), [ENERGY], title="EELS"),
        "it holds EELS (a spectrum)",
    ),
    "diffraction.dm3": (
        dm(square(0.2, "1/nm")),
        "it holds HAADF (diffraction pattern of 112 x 96, axes in 1/nm)",
    ),
    "diffraction.emd": (
        lambda path: make.write_velox(path, {"HAADF": IMAGE}, unit="1/m", pixel_m=1e8),
        "diffraction pattern",
    ),
    "pair_1.ser": (with_emi("TEM Diffraction"), "diffraction pattern"),
    "a.blo": (
        lambda path: make.write_blo(path, np.zeros((4, 5, 16, 16), np.uint8)),
        "BLO without an image: it holds unnamed (diffraction patterns of 16 x 16 x 5 x 4)",
    ),
    "fourier.dm3": (
        lambda path: make.write_dm(path, IMAGE.astype(np.complex64), square(1, "nm")),
        "as of a Fourier transform",
    ),
    "four.hspy": (
        lambda path: make.write_hspy(path, np.zeros((2, 3, 32, 32)), SCAN + square(1, "nm")),
        "4-dimensional data",
    ),
    "stack.mrc": (
        lambda path: make.write_mrc(path, np.stack([IMAGE] * 3)),
        "MRC with a stack of 3 images of 112 x 96 pixels, expected one image; --stack images",
    ),
    "alone.emi": (make.write_emi, "EMI without its SER"),
    "other.emd": (other_hdf5, "HDF5 that is neither EMD nor HSPY"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_picture_is_refused_with_that_reason(name: str, tmp_path: Path) -> None:
    write, reason = REFUSED[name]
    path = write(tmp_path / name)
    with pytest.raises(UnreadableImage) as refused:
        read_image(path)
    assert reason in str(refused.value)


def test_the_composition_comes_from_the_file_where_it_says_one(tmp_path: Path) -> None:
    tags = make.write_dm(tmp_path / "a.dm3", IMAGE, square(1, "nm"), tags=SPECIMEN)
    sample = make.write_berkeley(tmp_path / "b.emd", IMAGE, square(1, "nm"))
    elements = {"Sample": {"elements": ["Au", "Pd"]}}
    listed = make.write_hspy(tmp_path / "c.hspy", IMAGE, square(1, "nm"), metadata=elements)
    resolver = Resolver()
    said = [
        with_file_metadata(resolver.metadata_of(found), read_image(found.path))
        for found in find_images([tags, sample, listed])
    ]
    assert [each.composition for each in said] == ["Au40Cu60", "Pd40Pt60", "AuPd"]
    assert {each.composition_from for each in said} == {"file metadata"}
    assert [each.n_elements for each in said] == [2, 2, 2]


def test_ser_and_emi_are_one_image(tmp_path: Path) -> None:
    with_emi("STEM")(tmp_path / "x")
    make.write_emi(tmp_path / "without.emi")
    assert [found.path.name for found in find_images([tmp_path])] == ["pair_1.ser", "without.emi"]
    assert read_image(tmp_path / "pair.emi").extra["signal"] == "pair_1"


def test_a_stack_becomes_its_images_if_that_is_the_rule(tmp_path: Path) -> None:
    layers = np.stack([IMAGE, IMAGE + 1, IMAGE + 2])
    mrc = make.write_mrc(tmp_path / "a.mrc", layers)
    frames = make.write_velox(tmp_path / "b.emd", {"HAADF": np.moveaxis(layers, 0, -1)})
    tiff = tmp_path / "c.tif"
    tifffile.imwrite(tiff, layers, photometric="minisblack")
    one = make.write_dm(tmp_path / "d.dm3", IMAGE, square(1, "nm"))
    broken = tmp_path / "e.dm3"
    broken.write_bytes(one.read_bytes()[:200])
    found = [mrc, frames, tiff, one, broken]
    images = list(each_image(find_images(found), "images", DEFAULT_READ_LIMITS))
    assert [image.place for image in images] == [0, 1, 2] * 3 + [None, None]
    resolver = Resolver()
    names = [resolver.metadata_of(image.found, image.place).parent_id for image in images]
    assert names[1].endswith("/a.mrc[2]")
    for image in images[:9]:
        assert image.place is not None
        read = read_reference(str(Reference(image.path, image.place)))
        assert np.array_equal(read.image, layers[image.place])
        assert read.extra["stack_image"] == f"{image.place + 1} of 3"
    few = ReadLimits(pages=2)
    first, *rest = each_image(find_images([mrc]), "images", few)
    assert rest == []
    with pytest.raises(UnreadableImage, match="more than the limit of 2 images"):
        read_image(mrc, limits=few, index=first.place)


def _tagged(path: Path, code: int, kind: int, value: bytes | str) -> Path:
    tifffile.imwrite(path, IMAGE, extratags=[(code, kind, len(value), value, True)])
    return path


def test_vendor_tags_of_a_tiff_are_read(tmp_path: Path) -> None:
    fei = "[Beam]\r\nHV=200000\r\n[Scan]\r\nPixelWidth=2e-10\r\nPixelHeight=2e-10\r\n"
    read = read_image(_tagged(tmp_path / "fei.tif", 34682, 2, fei))
    assert read.pixel_size_nm == pytest.approx(0.2)
    assert read.extra["format"] == "TIFF (FEI)"
    damaged = read_image(_tagged(tmp_path / "damaged.tif", 34682, 2, "[Scan]\r\nPixelWidth=x\r\n"))
    assert damaged.pixel_size_nm is None
    assert np.array_equal(damaged.image, IMAGE)


def _claims(path: Path, at: int, what: bytes) -> Path:
    content = bytearray(path.read_bytes())
    content[at : at + len(what)] = what
    path.write_bytes(content)
    return path


def _chunk_bomb(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        group = file.create_group("data/image")
        group.attrs["emd_group_type"] = 1
        data = group.create_dataset(
            "data", (30_000, 30_000), np.float64, chunks=(1_000, 1_000), compression="gzip"
        )
        data[0, 0] = 1
        for number in (1, 2):
            dim = group.create_dataset(f"dim{number}", data=np.arange(3.0))
            dim.attrs["name"], dim.attrs["units"] = "x", "nm"
    return path


HOSTILE: dict[str, tuple[Make, str]] = {
    "wide.mrc": (
        lambda path: _claims(make.write_mrc(path, IMAGE), 0, struct.pack("<2i", 1 << 30, 1 << 30)),
        "MRC cut short: .* do not fit into a file",
    ),
    "many_1.ser": (
        lambda path: _claims(make.write_ser(path, IMAGE), 14, struct.pack("<2I", 1 << 31, 1 << 31)),
        "asks for more memory|damaged",
    ),
    "bomb.emd": (_chunk_bomb, "more than the limit of 268435456 pixels"),
    "empty.hspy": (lambda path: _file(path, b"\x89HDF\r\n\x1a\n"), "damaged, cut short"),
    "zeros.dm4": (lambda path: _file(path, b"\x00\x00\x00\x04" + bytes(1000)), "DM4"),
    "mac.dm3": (
        lambda path: _claims(make.write_dm(path, IMAGE, square(1, "nm")), 8, bytes(4)),
        "big-endian",
    ),
    "short.mrc": (lambda path: _file(path, bytes(300)), "not an image|MRC cut short"),
}


def _file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", HOSTILE)
def test_a_header_that_lies_is_refused_and_the_next_file_is_read(name: str, tmp_path: Path) -> None:
    write, reason = HOSTILE[name]
    path = write(tmp_path / name)
    with pytest.raises(UnreadableImage, match=reason):
        read_image(path)
    assert np.array_equal(read_image(make.write_mrc(tmp_path / "good.mrc", IMAGE)).image, IMAGE)


@pytest.mark.parametrize(
    "name", ["a.dm3", "a.dm4", "velox.emd", "berkeley.emd", "alone_1.ser", "a.mrc"]
)
def test_a_file_that_is_cut_short_is_refused_wherever_it_is_cut(name: str, tmp_path: Path) -> None:
    whole = READ[name][0](tmp_path / name).read_bytes()
    short = tmp_path / f"short-{name}"
    for share in (0.01, 0.1, 0.5, 0.9):
        short.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(UnreadableImage):
            read_image(short)


def test_sizes_are_refused_from_the_header(tmp_path: Path) -> None:
    path = make.write_dm(tmp_path / "a.dm3", IMAGE, square(1, "nm"))
    with pytest.raises(UnreadableImage, match=r"112 x 96 pixels .* more than the limit of 100"):
        read_image(path, limits=ReadLimits(pixels=100))


def test_a_file_that_takes_for_ever_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "DEADLINE_S", 1)
    pipe = tmp_path / "a.mrc"
    os.mkfifo(pipe)  # nobody ever writes into it
    before = time.monotonic()
    with pytest.raises(UnreadableImage, match="MRC that takes longer than 1 s to read"):
        reading.read_microscope(pipe, "MRC", DEFAULT_READ_LIMITS)
    assert time.monotonic() - before < 60


def test_without_rosettasciio_the_core_runs_and_says_what_is_missing(tmp_path: Path) -> None:
    make.write_dm(tmp_path / "a.dm3", IMAGE, square(1, "nm"))
    tifffile.imwrite(tmp_path / "b.tif", IMAGE)
    code = (
        "import sys; sys.modules['rsciio'] = None; from services.cli import main;"
        f"sys.argv = ['haadflow', 'check', {str(tmp_path)!r}]; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 3, done.stderr
    assert "rsciio is not installed: pip install 'rosettasciio[hdf5]'" in done.stderr
    assert "2 images, of which 1 cannot be read" in done.stdout


MEASURED: dict[str, tuple[tuple[int, int], float | None, str]] = {
    "scifi_velox_HAADF_512.emd": ((512, 512), 5.30241, "HAADF"),
    "particlespy_JEOL_HAADF_Image.dm4": ((112, 112), 1.24901, "JEOL HAADF Image"),
    "rsciio_test_STEM_image.dm3": ((68, 68), 0.248538, "test_STEM_image"),
    "rsciio_128x128_TEM_acquire-sum1_1.ser": ((128, 128), 21.4793, "unnamed"),
    "rsciio_berkeley_example_image.emd": ((3, 3), None, "unnamed"),
}
STACKS = {"ncem_temp.mrc": "3 images of 128 x 128", "etspy_HAADF_stack.dm3": "91 images of 64 x 64"}


@pytest.mark.realdata
def test_files_of_real_microscopes_are_read_or_refused_as_their_makers_say(data_dir: Path) -> None:
    seen = set()
    for path in (data_dir / "formats").iterdir():
        seen.add(path.name)
        if path.name in STACKS:
            with pytest.raises(UnreadableImage, match=f"stack of {STACKS[path.name]} pixels"):
                read_image(path)
            continue
        read = read_image(path)
        shape, size, signal = MEASURED[path.name]
        assert read.image.shape == shape
        assert read.pixel_size_nm == (None if size is None else pytest.approx(size, rel=1e-4))
        assert read.extra["signal"] == signal
    assert seen == {*MEASURED, *STACKS}
