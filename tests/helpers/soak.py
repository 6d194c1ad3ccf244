"""Tests that take long, and prove what a shorter one proves for less."""

from __future__ import annotations

import os

import pytest

LONG = bool(os.environ.get("HAADFLOW_SOAK"))
soak = pytest.mark.skipif(not LONG, reason="takes long; make soak runs it")
