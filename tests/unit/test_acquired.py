"""What was acquired is kept, and what simulated instruments say of it is compared to the bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.controllers.acquired_files import folder_of, keep, sweep
from services.controllers.doses import Aim, doses, keep_dose, seen_of
from services.controllers.nion_files import file_of
from services.simulation.scans import SCANS, touched
from services.simulation.witness import nion_witness, point_witness

BOXES = np.array([[2, 3, 4], [8, 3, 5]], np.int32)


def test_what_was_acquired_before_is_not_written_over(tmp_path: Path) -> None:
    path = folder_of(tmp_path, "a/../b", 7) / "000003.npz"
    assert path.relative_to(tmp_path).parts == ("a____b", "00000007", "000003.npz")
    names = [keep(path, {"image": np.full(3, turn)}).name for turn in range(3)]
    assert names == ["000003.npz", "000003-2.npz", "000003-3.npz"]
    for turn, name in enumerate(names):
        with np.load(path.with_name(name)) as kept:
            assert kept["image"].tolist() == [turn] * 3
    assert not list(path.parent.glob("*.partial"))


def test_what_a_killed_process_of_the_same_number_has_left_is_not_written_into(
    tmp_path: Path,
) -> None:
    """It was killed when its file had got its name, and still had the other."""
    path = folder_of(tmp_path, "run", 7) / "000003.npz"
    keep(path, {"image": np.zeros(3)})
    path.with_name(f"000003.{os.getpid()}.partial").hardlink_to(path)
    assert keep(path, {"image": np.ones(3)}).name == "000003-2.npz"
    with np.load(path) as kept:
        assert kept["image"].tolist() == [0.0] * 3


def test_what_dead_processes_left_half_written_is_swept_away(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "run", 7)
    folder.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    parent = os.getppid()
    for pid in (ended.pid, os.getpid(), parent):
        (folder / f"000003.{pid}.partial").touch()
    whole = keep(folder / "000004.npz", {"image": np.ones(3)})
    sweep(tmp_path)
    assert {path.name for path in folder.iterdir()} == {whole.name, f"000003.{parent}.partial"}


def test_a_dose_says_for_which_box_it_was(tmp_path: Path) -> None:
    (tmp_path / "seen").mkdir()
    record = tmp_path / "dose.jsonl"
    aims = [Aim("run", 1, 5), Aim("run", 2, 5), None]
    for turn, aim in enumerate(aims):
        keep_dose(record, 4, 6, np.full((3, 3), turn), aim)
    found = doses(record)
    assert [dose.aim for dose in found] == aims
    assert [int(seen_of(record, dose)[0, 0]) for dose in found] == [0, 1, 2]
    assert {dose[:3] for dose in found} == {(4, 6, 3)}


@pytest.fixture
def acquired(tmp_path: Path) -> tuple[Path, NDArray[np.float32]]:
    survey = np.random.default_rng(1).random((16, 20)).astype(np.float32)
    (tmp_path / "seen").mkdir()
    for box_id, (x, y, size) in enumerate(BOXES.tolist()):
        crop = survey[y : y + size, x : x + size]
        keep_dose(tmp_path / "dose.jsonl", x, y, crop, Aim("run", 0, box_id))
        keep(file_of(tmp_path, "run", 0, box_id), {"image": crop})
    return tmp_path, survey


def change(path: Path, image: NDArray[np.float32]) -> None:
    path.unlink()
    keep(path, {"image": image})


def test_an_acquisition_that_is_right_has_no_error(
    acquired: tuple[Path, NDArray[np.float32]],
) -> None:
    out, survey = acquired
    found = nion_witness(out, survey, BOXES, folder_of(out, "run", 0))
    assert (found.acquired, found.max_abs_error, found.points) == (2, 0.0, 16 + 25)
    assert (found.twice, found.missing, found.strangers) == (0, 0, 0)


@pytest.mark.parametrize("wrong", ["nan", "one value", "another shape"])
def test_no_sub_scan_that_is_wrong_passes(
    acquired: tuple[Path, NDArray[np.float32]], wrong: str
) -> None:
    out, survey = acquired
    image = survey[3:7, 2:6].copy()
    if wrong == "nan":
        image[0, 0] = np.nan
    elif wrong == "one value":
        image[1, 1] += 1e-6
    else:
        image = image[:1]
    change(file_of(out, "run", 0, 0), image)
    assert nion_witness(out, survey, BOXES, folder_of(out, "run", 0)).max_abs_error > 0.0


def test_a_second_dose_of_a_square_is_seen(acquired: tuple[Path, NDArray[np.float32]]) -> None:
    out, survey = acquired
    keep_dose(out / "dose.jsonl", 2, 3, survey[3:7, 2:6], None)
    keep_dose(out / "dose.jsonl", 0, 0, survey[:2, :2], None)
    found = nion_witness(out, survey, BOXES, folder_of(out, "run", 0))
    assert (found.twice, found.strangers) == (1, 1)


@pytest.mark.parametrize(
    ("scans", "twice", "missing", "strangers"),
    [
        ([[[4, 5], [10, 5]]], 0, 0, 0),
        ([[[4, 5]], [[10, 5]]], 0, 0, 0),
        ([[[4, 5], [10, 5]], [[4, 5]]], 1, 0, 0),
        ([[[4, 5], [10, 5], [10, 5]]], 1, 0, 0),
        ([[[4, 5]]], 0, 1, 0),
        ([[[4, 5], [10, 5], [1, 1]]], 0, 0, 1),
        ([[[3, 5], [10, 5]]], 0, 1, 1),
    ],
)
def test_points_are_counted_by_the_cameras_own_record(
    tmp_path: Path, scans: list[list[list[int]]], twice: int, missing: int, strangers: int
) -> None:
    (tmp_path / SCANS).write_text("".join(json.dumps(scan) + "\n" for scan in scans))
    found = point_witness(tmp_path, np.zeros((16, 20)), BOXES)
    assert (found.twice, found.missing, found.strangers) == (twice, missing, strangers)
    assert (found.max_abs_error == 0.0) == (twice == missing == strangers == 0)
    assert found.points == touched(tmp_path / SCANS).total()
