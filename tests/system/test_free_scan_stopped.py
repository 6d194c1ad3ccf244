"""The beam of a Direct Electron camera stays away, or stops, whenever the abort comes."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.helpers.environments import ROOT, environment_of

pytestmark = [pytest.mark.system, pytest.mark.microscope]

DEADLINE_S = 120.0


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("before", {"ended": "stopped", "starts": 0, "stops_after": 0}),
        ("while", {"ended": "stopped", "starts": 1, "stops_after": 1}),
        ("never", {"ended": "whole", "starts": 1, "stops_after": 0}),
    ],
)
def test_an_abort_around_the_start_of_a_scan_is_not_lost(
    moment: str, expected: dict[str, Any]
) -> None:
    python = environment_of("direct-electron") / "bin" / "python"
    done = subprocess.run(
        [python, "-m", "tests.helpers.free_scan_stopped", moment],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert done.stdout, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == expected
