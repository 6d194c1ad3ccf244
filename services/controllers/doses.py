"""The record that a simulated specimen keeps of its dose: a line a scan, and what was seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEEN = "seen"
"""The folder beside the record."""


def keep_dose(record: Path, x: int, y: int, seen: NDArray[Any]) -> None:
    """Keep what a scan saw, (rows, columns), and then write its line: all of it or nothing.

    `x`, `y` is the upper-left corner in parent pixels, x right, y down.
    """
    path = seen_of(record, x, y, seen.shape[1])
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, seen)
    partial.replace(path)
    line = {"x_px": x, "y_px": y, "width": seen.shape[1], "height": seen.shape[0]}
    with record.open("ab", buffering=0) as lines:
        lines.write(json.dumps(line).encode() + b"\n")


def seen_of(record: Path, x: int, y: int, width: int) -> Path:
    """Return where what was seen of a place lies."""
    return record.parent / SEEN / f"{x}_{y}_{width}.npy"


def doses(record: Path) -> list[tuple[int, int, int]]:
    """Return x, y, size in parent pixels of each square that was scanned, in order."""
    found = []
    for line in record.read_bytes().split(b"\n")[:-1] if record.exists() else []:
        dose = json.loads(line)
        found.append((dose["x_px"], dose["y_px"], dose["width"]))
    return found
