"""The emulated library on disk."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.emulation import Emulated, emulate
from services.megalibrary import write_megalibrary
from services.runtime.places import SKIP_MARKER

SIZES = (64, 96)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_images_are_read_back_as_they_were_emulated(tmp_path: Path) -> None:
    library = write_megalibrary(tmp_path / "library", 12, 3, sizes=SIZES)
    rows = table(library.folder)
    assert (library.n_images, len(rows)) == (12, 12)
    assert {row["bit_depth"] for row in rows} == {"8", "16"}
    for index, row in enumerate(rows):
        made = emulate(index, 3, sizes=SIZES)
        assert row["file"] == f"{index:05d}_{made.composition}.png"
        image = cv2.imread(str(library.folder / row["file"]), cv2.IMREAD_UNCHANGED)
        truth = cv2.imread(str(library.folder / "truth" / row["file"]), cv2.IMREAD_UNCHANGED)
        assert image is not None
        assert truth is not None
        assert image.dtype == made.image.dtype
        assert np.array_equal(image, made.image)
        assert np.array_equal(truth, made.truth)
        assert row["composition"] == made.composition
        assert float(row["pixel_size_nm"]) == made.pixel_size_nm
        assert (int(row["n_phases"]), int(row["index"])) == (made.n_phases, index)


def test_masks_are_marked_as_not_being_survey_images(tmp_path: Path) -> None:
    library = write_megalibrary(tmp_path / "library", 2, 3, sizes=SIZES)
    assert (library.folder / "truth" / SKIP_MARKER).is_file()
    assert not (library.folder / SKIP_MARKER).exists()


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    for workers in (1, 5):
        write_megalibrary(tmp_path / str(workers), 7, 4, sizes=SIZES, workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "5")


def test_writing_again_writes_the_same_and_a_larger_number_extends(tmp_path: Path) -> None:
    write_megalibrary(tmp_path, 3, 5, sizes=SIZES)
    three = contents(tmp_path)
    write_megalibrary(tmp_path, 3, 5, sizes=SIZES)
    assert contents(tmp_path) == three
    write_megalibrary(tmp_path, 5, 5, sizes=SIZES)
    five = contents(tmp_path)
    assert len(table(tmp_path)) == 5
    assert all(five[name] == three[name] for name in three if name.endswith(".png"))


def test_progress_ends_at_the_number_of_images(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write_megalibrary(tmp_path, 9, 0, sizes=(64,), progress=lambda *told: seen.append(told))
    assert seen[-1] == (9, 9)
    assert seen == sorted(seen)


def test_a_full_disk_leaves_no_half_written_file_and_no_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Path.write_bytes

    def fail_at_the_fourth(path: Path, data: bytes) -> int:
        if path.name.startswith("00003"):
            whole(path, data[:10])
            raise OSError(28, "No space left on device")
        return whole(path, data)

    monkeypatch.setattr(Path, "write_bytes", fail_at_the_fourth)
    with pytest.raises(OSError, match="No space left"):
        write_megalibrary(tmp_path, 6, 3, sizes=SIZES, workers=1)
    assert not list(tmp_path.rglob("*.partial"))
    assert not list(tmp_path.rglob("00003*"))
    assert not (tmp_path / "metadata.csv").exists()
    for path in tmp_path.rglob("*.png"):
        assert cv2.imread(str(path), cv2.IMREAD_UNCHANGED) is not None


def test_memory_does_not_grow_with_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted: list[int] = []

    def count(index: int, seed: int, *, sizes: Sequence[int]) -> Emulated:
        submitted.append(index)
        return emulate(index, seed, sizes=sizes)

    monkeypatch.setattr("services.megalibrary.emulate", count)
    monkeypatch.setattr("services.megalibrary.BLOCK", 4)
    ahead: list[int] = []
    write_megalibrary(
        tmp_path, 24, 1, sizes=(64,), progress=lambda done, _: ahead.append(max(submitted) - done)
    )
    assert max(ahead) < 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n: came 0; expected 1..10000000 images"),
        ({"seed": -1}, "seed: came -1; expected 0 <= seed"),
        ({"sizes": (512, 10)}, "size: came 10; expected 64..8192"),
        ({"sizes": ()}, "sizes: came none"),
        ({"workers": 0}, "workers: came 0; expected at least 1"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_written(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    out = tmp_path / "library"
    with pytest.raises(ValueError, match=message):
        write_megalibrary(**{"out": out, "n": 2, "seed": 1, "sizes": SIZES, **arguments})
    assert not out.exists()


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.png").write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"out: came .* not an empty folder"):
        write_megalibrary(tmp_path, 2, 1, sizes=SIZES)
    assert contents(tmp_path) == {"holiday.png": b"mine"}


@pytest.mark.parametrize("change", [{"seed": 2}, {"n": 1}, {"sizes": (64,)}])
def test_two_libraries_are_not_mixed(tmp_path: Path, change: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"n": 2, "seed": 1, "sizes": SIZES}
    write_megalibrary(tmp_path, **arguments)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"out: came .* which holds the library"):
        write_megalibrary(tmp_path, **{**arguments, **change})
    assert contents(tmp_path) == before
