"""The loop closed on counterparts that are not ours: Nion's simulator, Direct Electron's twin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.emulation import emulate
from tests.helpers.command import haadflow
from tests.helpers.environments import environment_of

pytestmark = [pytest.mark.system, pytest.mark.microscope]


def simulate(tmp_path: Path, controller: str, *more: str | Path) -> tuple[int, dict[str, Any]]:
    asked = ("--controller", controller, "--environment", environment_of(controller))
    done = haadflow("simulate", *asked, "--out", tmp_path / "out", "--json", *more)
    assert done.stdout, done.stderr
    said = json.loads(done.stdout)
    written = json.loads((tmp_path / "out" / "simulation.json").read_text())
    assert {**written, "closes": said["closes"]} == said
    with Image.open(tmp_path / "out" / "simulation.png") as picture:
        assert picture.size[0] >= 512
    return done.returncode, said


def test_every_box_is_acquired_once_on_a_simulated_nion_microscope_whose_adapter_is_killed(
    tmp_path: Path,
) -> None:
    """Each sub-scan is the parent's crop, bit for bit, and the probe was where the box says."""
    specimen = tmp_path / "specimen.png"
    Image.fromarray(emulate(3, 2025, size=256, bit_depth=8).image).save(specimen)
    status, said = simulate(tmp_path, "nion", specimen, "--kill-adapter-after", "20")
    witness = said["witness"]
    assert (status, said["closes"], said["adapter_killed"]) == (0, True, True)
    assert said["boxes"] == said["acquired"] == witness["acquired"] > 40
    assert said["max_abs_error"] == witness["max_position_error_px"] == 0
    assert witness["positions_checked"] >= 1
    assert (witness["twice"], witness["missing"], witness["strangers"]) == (0, 0, 0)
    assert said["receipts"] == {
        "acquired": said["boxes"],
        "rejected": 0,
        "failed": 0,
        "open": 0,
    }
    survey = np.load(tmp_path / "out" / "microscope" / "survey.npy")
    assert said["points"] < said["full_grid_points"] == survey.size
    done = haadflow("verify", tmp_path / "out")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_positions_that_a_direct_electron_camera_touches_are_those_asked_for(
    tmp_path: Path,
) -> None:
    status, said = simulate(tmp_path, "direct-electron")
    witness = said["witness"]
    assert (status, said["closes"]) == (0, True)
    assert said["boxes"] == said["acquired"] == said["points"] > 100
    assert (witness["twice"], witness["missing"], witness["strangers"]) == (0, 0, 0)


def test_an_adapter_is_not_killed_behind_its_last_box(tmp_path: Path) -> None:
    more = ("--environment", environment_of("direct-electron"), "--out", tmp_path / "out")
    done = haadflow(
        "simulate", "--controller", "direct-electron", *more, "--kill-adapter-after", "1000000"
    )
    assert done.returncode != 0
    assert "expected fewer than that" in " ".join(done.stderr.split())


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    asked = ("--environment", tmp_path / "none", "--out", tmp_path / "out")
    for controller, needs in {"nion": "nion.usim_device", "direct-electron": "de_twin"}.items():
        done = haadflow("simulate", "--controller", controller, *asked)
        assert done.returncode == 2
        assert needs in done.stderr
        assert f"make .venv-{controller}/.installed" in " ".join(done.stderr.split())
    done = haadflow("simulate", "--controller", "jeol", *asked)
    assert "expected one of ['direct-electron', 'nion']" in " ".join(done.stderr.split())
