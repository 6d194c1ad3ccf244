"""Records of lines, cut where a power failure or a full disk may cut them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from services.controllers.controller import Box, Parent
from services.controllers.doses import Aim, doses, keep_dose, seen_of
from services.controllers.files import FileController, FileSettings, lines_of
from services.controllers.line_file import BLOCK, append_line, end_of, whole_lines
from tests.helpers.small_disk import fill, small_disk

PARENT = Parent("run", 0, "p", "test", 64, 64, None, None)


def cut_short(path: Path, by: int) -> None:
    """Take the last bytes of a file."""
    whole = path.read_bytes()
    path.write_bytes(whole[:-by])


@pytest.mark.parametrize("length", [3, BLOCK - 2, BLOCK - 1, BLOCK, 3 * BLOCK])
@pytest.mark.parametrize("before", [[], [b"first"]])
def test_what_is_appended_to_a_torn_line_is_not_glued_to_it(
    tmp_path: Path, before: list[bytes], length: int
) -> None:
    path = tmp_path / "lines"
    for line in [*before, b"x" * length]:
        append_line(path, line)
    cut_short(path, 1)
    assert whole_lines(path) == before
    end = end_of(path)
    append_line(path, b"next")
    assert whole_lines(path) == [*before, b"next"]
    assert path.read_bytes()[end:] == b"next\n"


def test_a_dose_after_a_torn_one_is_readable_and_keeps_what_was_seen(tmp_path: Path) -> None:
    (tmp_path / "seen").mkdir()
    record = tmp_path / "dose.jsonl"
    for turn in range(2):
        keep_dose(record, 0, 0, np.full((3, 3), turn), Aim("run", 0, turn))
    cut_short(record, 1)
    for turn in range(2, 5):
        keep_dose(record, 0, 0, np.full((3, 3), turn), Aim("run", 0, turn))
    found = doses(record)
    assert [dose.aim and dose.aim.box_id for dose in found] == [0, 2, 3, 4]
    assert [int(seen_of(record, dose)[0, 0]) for dose in found] == [0, 2, 3, 4]


def test_a_dose_without_an_aim_is_for_no_box(tmp_path: Path) -> None:
    record = tmp_path / "dose.jsonl"
    append_line(record, json.dumps({"x_px": 1, "y_px": 2, "size_px": 3, "seen": "s"}).encode())
    assert [dose.aim for dose in doses(record)] == [None]


def test_a_box_behind_a_torn_line_was_acquired_and_the_torn_one_was_not(tmp_path: Path) -> None:
    boxes = [Box(box_id, 0, 0, 4, 1) for box_id in range(3)]
    controller = FileController(FileSettings(out=str(tmp_path)))
    controller.acquire(PARENT, boxes[:2])
    cut_short(controller.path, 2)
    controller.acquire(PARENT, boxes[2:])
    assert [line["box_id"] for line in lines_of(controller.path)] == [0, 2]
    known = controller.recall(PARENT, boxes)
    assert [known[box_id] is not None for box_id in range(3)] == [True, False, True]


def test_a_line_that_does_not_fit_on_the_disk_leaves_the_others_whole(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "64k") as small:
        path = small / "lines"
        append_line(path, b"first")
        fill(small / "rest")
        # The page of the file has room for some bytes of it, and the disk for no other page.
        with pytest.raises(OSError, match="No space left"):
            append_line(path, b"x" * 8192)
        (small / "rest").unlink()
        append_line(path, b"next")
        assert whole_lines(path) == [b"first", b"next"]
        assert path.read_bytes() == b"first\nnext\n"
