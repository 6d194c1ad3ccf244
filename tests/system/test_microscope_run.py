"""Microscope files through the command line and a whole chain."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import microscope_files as make
from tests.helpers.command import haadflow
from tests.helpers.microscope_files import Axis, particle, square

pytest.importorskip("rsciio", reason="the extra `microscope` is not installed")
pytestmark = pytest.mark.system

TAGS = {"Microscope Info": {"Indicated Magnification": 250_000.0}}


def test_a_folder_of_microscope_files_is_run_with_one_row_an_image(tmp_path: Path) -> None:
    folder, out = tmp_path / "images", tmp_path / "out"
    folder.mkdir()
    image = particle()
    make.write_dm(folder / "a_Au40Cu60.dm3", image, square(0.25, "nm"), tags=TAGS)
    make.write_velox(folder / "b.emd", {"BF": 2000 - image, "HAADF": image})
    make.write_mrc(folder / "c.mrc", np.stack([image, image + 1]))
    make.write_hspy(folder / "d.hspy", image, square(0.1, "1/nm"))
    make.write_berkeley(folder / "e.emd", image[:8, :9], [Axis(1, "[n_m]")] * 2)
    (folder / "f.dm4").write_bytes((folder / "a_Au40Cu60.dm3").read_bytes()[:3000])
    Image.fromarray((image // 4).astype(np.uint8)).save(folder / "g.png")
    run = ("run", folder, "--out", out, "--stack", "images", "--together", "--pictures", "0")
    done = haadflow(*run)
    assert done.returncode == 3, done.stderr
    with (out / "frames.csv").open(newline="") as file:
        frames = {row["parent_id"]: row for row in csv.DictReader(file)}
    told = {name.removeprefix("images/"): row["outcome"] for name, row in frames.items()}
    assert told == {
        "a_Au40Cu60.dm3": "located",
        "b.emd": "located",
        "c.mrc[1]": "located",
        "c.mrc[2]": "located",
        "d.hspy": "failed",
        "e.emd": "rejected",
        "f.dm4": "failed",
        "g.png": "located",
    }
    assert frames["images/a_Au40Cu60.dm3"]["pixel_size_nm"] == "0.25"
    assert "axes in 1/nm" in frames["images/d.hspy"]["reason"]
    assert frames["images/e.emd"]["reason"].startswith("too small: ")
    assert "DM3 damaged, cut short" in frames["images/f.dm4"]["reason"]
    batches = [json.loads(line) for line in (out / "boxes.jsonl").read_text().splitlines()]
    extra = {batch["parent_id"].removeprefix("images/"): batch["extra"] for batch in batches}
    assert extra["a_Au40Cu60.dm3"]["magnification"] == "250000"
    assert extra["b.emd"]["signal"] == "HAADF"
    assert extra["b.emd"]["signals"].startswith("BF (image of 112 x 96 pixels), HAADF")
    assert extra["c.mrc[2]"]["stack_image"] == "2 of 2"
    assert haadflow("verify", out).returncode == 0
    other = haadflow("run", folder, "--out", out)
    assert other.returncode == 2
    assert "stack was images, now it is not given" in other.stderr
