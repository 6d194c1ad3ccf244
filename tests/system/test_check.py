"""`haadflow check`: everything that is wrong is named, and nothing is connected or written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.command import haadflow
from tests.helpers.garbage import particle, png
from tests.helpers.up import SHIPPED

pytestmark = pytest.mark.system


def test_a_topology_is_told_all_that_is_wrong_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "chain.toml"
    text = SHIPPED.read_text().replace("window_frames = 64", 'window_frames = "64"')
    path.write_text(text.replace("[sink]", "[sink]\nwindow = 3"))
    done = haadflow("check", "--topology", path)
    lines = path.read_text().splitlines()
    assert done.returncode == 2
    for said, key in (("Expected `int`", "window_frames"), ("unknown field", "window =")):
        number = next(n for n, line in enumerate(lines, 1) if line.startswith(key))
        assert any(
            f"{path}:{number}: " in line and said in line for line in done.stderr.split("\n")
        )


def test_a_stages_parameter_is_named_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "chain.toml"
    path.write_text(SHIPPED.read_text().replace("algorithm = 2", "algorithm = 3"))
    number = path.read_text()[: path.read_text().index("algorithm")].count("\n") + 1
    done = haadflow("check", "--topology", path)
    assert done.returncode == 2
    assert f"{path}:{number}: stage[3].parameters.algorithm: stage boxing: " in done.stderr
    assert "algorithm: expected one of 1, 2, came 3" in done.stderr


def test_folders_that_cannot_be_are_named_and_none_is_made(tmp_path: Path) -> None:
    path = tmp_path / "chain.toml"
    text = SHIPPED.read_text().replace('"haadflow-out"', f'"{path}/out"')
    path.write_text(text.replace("tcp://127.0.0.1:5841", f"ipc://{tmp_path}/none/work"))
    done = haadflow("check", "--topology", path)
    assert done.returncode == 2
    assert f":5: chain.out: {path} is a file; expected a folder" in done.stderr
    assert f": stage boxing.work: there is no folder {tmp_path}/none" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["chain.toml"]


def test_images_and_their_table_are_checked_and_nothing_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.png", "b_Au40Ag50.png"):
        (folder / name).write_bytes(png(particle()))
    whole = haadflow("check", folder / "a.png", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert "1 images, of which 0 cannot be read" in whole.stdout
    (folder / "half.png").write_bytes(png(particle())[:100])
    (folder / "metadata.csv").write_text("file\na.png\nmissing.png\n")
    done = haadflow("check", folder, cwd=tmp_path)
    assert done.returncode == 2
    for said in (
        f"{folder}/half.png: PNG damaged or cut short",
        f"{folder}/metadata.csv:3: 'missing.png': no image given is called so",
        f"{folder}/b_Au40Ag50.png: Au40Ag50 in the name adds up to 90, expected 100",
    ):
        assert said in done.stderr
    assert "3 images, of which 1 cannot be read" in done.stdout
    (folder / "metadata.csv").write_text("file,n_elements\na.png,many\n")
    done = haadflow("check", folder, cwd=tmp_path)
    assert done.returncode == 2
    assert "metadata.csv: line 2, column n_elements: came 'many'" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
