"""`haadflow run` and `haadflow boxes` with wishes: both keep them, and refuse what cannot be."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from services.megalibrary import write_megalibrary
from tests.helpers.command import haadflow

pytestmark = pytest.mark.system

WISHES = (
    *("--method", "refined", "--max-boxes", "60", "--max-box-nm", "2.5", "--particles", "largest"),
    *("--purity", "0.9", "--margin-px", "2", "--max-box-percent", "30"),
)
ASKED = {
    "max_boxes": 60,
    "min_box_nm": None,
    "max_box_nm": 2.5,
    "max_box_percent": 30,
    "purity": 0.9,
    "particles": "largest",
    "margin_px": 2,
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images whose table knows their pixel size, and one of which nobody knows it."""
    folder = tmp_path_factory.mktemp("images")
    write_megalibrary(folder, 3, seed=31, sizes=(128,), difficulty="several")
    shutil.rmtree(folder / "truth")
    shutil.copy(min(folder.glob("*.png")), folder / "unknown.png")
    return folder


@pytest.fixture(scope="module")
def out(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "out"
    done = haadflow("run", images, "--out", folder, "--pictures", "4", *WISHES)
    assert done.returncode == 0, done.stderr
    return folder


def batches(out: Path) -> dict[str, dict[str, Any]]:
    lines = (out / "boxes.jsonl").read_text().splitlines()
    return {Path(batch["source"]).name: batch for batch in map(json.loads, lines)}


def test_every_wish_reaches_the_boxes_and_the_record(out: Path) -> None:
    located = [batch for batch in batches(out).values() if batch["outcome"] == "located"]
    assert len(located) == 3
    for batch in located:
        assert batch["provenance"]["parameters"] == {"refined": ASKED}
        assert 0 < batch["n_boxes"] <= 60
        assert max(box["size_nm"] for box in batch["boxes"]) <= 2.5
        assert {box["particle"] for box in batch["boxes"]} == {0}
        assert len(batch["provenance"]["findings"]["refined"]["particles"]) == 1
    with (out / "boxes.csv").open(newline="") as file:
        assert {row["particle"] for row in csv.DictReader(file)} == {"0"}
    assert len(list((out / "overlays").glob("*.png"))) == 4


def test_sides_in_nm_of_an_image_without_pixel_size_are_refused_in_its_row(out: Path) -> None:
    batch = batches(out)["unknown.png"]
    assert batch["outcome"] == "rejected"
    assert batch["reason"] == (
        "no pixel size: boxes were asked for in nm and none came; "
        "expected pixel_size_nm with the image, from 1e-06 to 1e+06"
    )


def test_one_image_gets_what_the_run_gave_it(images: Path, out: Path) -> None:
    name, batch = next((n, b) for n, b in batches(out).items() if b["outcome"] == "located")
    alone = haadflow("boxes", images / name, "--json", *WISHES)
    assert alone.returncode == 0, alone.stderr
    fields = ("x_px", "y_px", "size_px", "region", "particle")
    mine = sorted(tuple(box[f] for f in fields) for box in json.loads(alone.stdout)["boxes"])
    assert mine == sorted(tuple(box[f] for f in fields) for box in batch["boxes"])


def test_one_image_is_refused_without_pixel_size_and_boxed_with_the_option(
    images: Path, tmp_path: Path
) -> None:
    image = images / "unknown.png"
    without = haadflow("boxes", image, *WISHES)
    assert without.stdout.startswith("rejected: no pixel size: ")
    plot = tmp_path / "boxes.png"
    told = haadflow("boxes", image, "--pixel-size", "0.25", "--plot", plot, *WISHES)
    assert told.returncode == 0, told.stderr
    sides = [int(line.split("\t")[2]) for line in told.stdout.splitlines()]
    assert 0 < max(sides) <= 10
    assert plot.stat().st_size > 0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--margin-px", "3"), "--margin-px: expected with --method refined"),
        (("--method", "refined", "--algorithm", "1"), "--algorithm 1: belongs to the published"),
        (
            ("--method", "refined", "--min-box-nm", "3", "--max-box-nm", "2"),
            "--min-box-nm: came 3.0 with --max-box-nm 2.0",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    asked: tuple[str, ...], said: str, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = haadflow("run", images, "--out", out, *asked)
    assert done.returncode == 2
    assert said in done.stderr
    assert not out.exists()


def test_other_wishes_into_the_same_folder_are_refused_by_name(images: Path, out: Path) -> None:
    done = haadflow("run", images, "--out", out, *WISHES, "--purity", "0.8")
    assert done.returncode == 2
    assert "other settings: purity was 0.9, now it is 0.8. " in done.stderr
    again = haadflow("run", images, "--out", out, "--pictures", "0", *WISHES)
    assert again.returncode == 0, again.stderr
    assert "nothing new" in again.stderr
