"""Environments of adapters whose packages are not in ours (deploy/controllers/)."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def environment_of(controller: str) -> Path:
    """Return the environment of a controller; where it was not made, the test is skipped."""
    made = ROOT / f".venv-{controller}"
    if not (made / ".installed").exists():
        pytest.skip(f"{made.name} is not there: make {made.name}/.installed makes it")
    return made
