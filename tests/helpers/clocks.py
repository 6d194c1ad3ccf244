"""Wall clocks that jump: every look at one says something else, years apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .command import environment

YEAR_S = 365 * 24 * 3600.0
SHIM = f"""
import itertools, time
jumps = itertools.cycle((0.0, {YEAR_S}, -{YEAR_S}, 7200.0))
now = time.time
time.time = lambda: now() + next(jumps)
"""


def jumping_clocks(folder: Path) -> Mapping[str, str]:
    """Return an environment for processes with such clocks; monotonic ones are as they are."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SHIM)
    return {**environment(), "PYTHONPATH": str(folder)}
