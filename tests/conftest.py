"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    # There a search for counterexamples would fail other people's changes.
    settings.load_profile("ci")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real micrographs and of the published code's outputs."""
    folder = os.environ.get("HAADFLOW_DATA")
    if not folder:
        pytest.skip("HAADFLOW_DATA is not set: no real micrographs here")
    return Path(folder)
