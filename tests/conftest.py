"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# No deadlines: how long an example takes says how busy the machine is.
settings.register_profile("anywhere", deadline=None)
# There a search for counterexamples would fail other people's changes.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "anywhere")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real micrographs and of the published code's outputs."""
    folder = os.environ.get("HAADFLOW_DATA")
    if not folder:
        pytest.skip("HAADFLOW_DATA is not set: no real micrographs here")
    return Path(folder)
