"""`haadflow evaluate`: a folder judged under both methods."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from services.cli.app import app
from services.evaluation import as_json, evaluate_folder
from services.megalibrary import write_megalibrary


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("library")
    write_megalibrary(out / "several", 2, 4, sizes=(256,), difficulty="several")
    write_megalibrary(out / "empty", 1, 4, sizes=(128,), difficulty="empty")
    return out


def test_both_methods_are_judged_on_each_image_in_the_same_run(folder: Path) -> None:
    judged = [one for image in evaluate_folder(folder / "several") for one in image.judged.values()]
    assert [one.method for one in judged] == ["published", "refined"] * 2
    figures = as_json(judged)["by_difficulty"]["several"]
    assert figures["refined"]["images"] == 2
    assert figures["refined"]["good"] >= figures["published"]["good"]
    assert figures["refined"]["outside"] < figures["published"]["outside"]
    for one in judged:
        counts, shares, grids = zip(*one.curve, strict=True)
        assert counts[-1] == one.n_boxes
        assert list(shares) == sorted(shares)
        assert 0.0 <= grids[0] <= grids[-1] <= 1.0


def test_an_image_to_refuse_is_good_if_it_is_refused(folder: Path) -> None:
    (image,) = evaluate_folder(folder / "empty")
    verdict = image.judged["refined"].verdict
    assert verdict is not None
    assert (verdict.to_refuse, verdict.good) == (True, True)


def test_the_command_writes_figures_a_plot_and_the_worst_images(
    folder: Path, tmp_path: Path
) -> None:
    asked = ["evaluate", str(folder / "several"), "--out", str(tmp_path), "--json"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "evaluation.json").read_text())
    assert {one["method"] for one in written["images"]} == {"published", "refined"}
    for name in ("explained.png", "worst.png"):
        assert cv2.imread(str(tmp_path / name)) is not None


def test_without_masks_only_the_variance_is_told(folder: Path, tmp_path: Path) -> None:
    picture = next((folder / "several").glob("*.png"))
    (tmp_path / picture.name).write_bytes(picture.read_bytes())
    (image,) = evaluate_folder(tmp_path, ["refined"])
    assert image.judged["refined"].verdict is None
    assert image.judged["refined"].curve


def test_a_mask_of_another_shape_is_named(folder: Path, tmp_path: Path) -> None:
    picture = next((folder / "several").glob("*.png"))
    (tmp_path / "truth").mkdir()
    (tmp_path / picture.name).write_bytes(picture.read_bytes())
    cv2.imwrite(str(tmp_path / "truth" / picture.name), np.zeros((8, 8), np.uint8))
    with pytest.raises(ValueError, match=r"expected whole numbers of \(256, 256\)"):
        list(evaluate_folder(tmp_path))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["evaluate", "nowhere"], "there is no such folder"),
        (["evaluate", ".", "--method", "odd"], "--method odd: expected one of"),
        (["boxes", __file__, "--method", "odd"], "--method odd: expected published or refined"),
        (["boxes", __file__, "--max-boxes", "3"], "--max-boxes: expected with --method refined"),
    ],
)
def test_what_cannot_be_judged_is_named(asked: list[str], said: str) -> None:
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_the_table_is_whole_in_a_narrow_terminal(folder: Path, tmp_path: Path) -> None:
    assert head_of(folder / "several") == (
        "difficulty method n refused boxes good enclosed covered pure coverage outside purity "
        "explained grid"
    )
    shutil.copy(next((folder / "several").glob("*.png")), tmp_path)
    assert head_of(tmp_path) == "difficulty method n refused boxes explained grid"


def head_of(judged: Path) -> str:
    """Judge a folder in a terminal of 60 columns, and return the head of the table."""
    said = CliRunner().invoke(app, ["evaluate", str(judged)], env={"COLUMNS": "60"}).stdout
    (head,) = (line for line in said.splitlines() if line.startswith("difficulty"))
    return " ".join(head.split())
