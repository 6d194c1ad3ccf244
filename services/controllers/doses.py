"""The record that a simulated specimen keeps of its dose: a line a scan, and what was seen."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .line_file import append_line, end_of, whole_lines

SEEN = "seen"
"""The folder beside the record."""


class Aim(NamedTuple):
    """For which box the beam was sent."""

    run: str
    seq: int
    box_id: int


class Dose(NamedTuple):
    """A square that was scanned: x right, y down, upper-left corner, parent pixels."""

    x_px: int
    y_px: int
    size_px: int
    aim: Aim | None
    seen: str
    """Name of the file of what was seen."""


def keep_dose(record: Path, x: int, y: int, seen: NDArray[Any], aim: Aim | None) -> None:
    """Keep what a scan saw, (rows, columns), and then write its line: all of it or nothing.

    `x`, `y` is the upper-left corner in parent pixels, x right, y down.
    """
    name = f"{end_of(record):012d}.npy"
    partial = record.parent / SEEN / f"{name}.partial"
    with partial.open("wb") as file:
        np.save(file, seen, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(record.parent / SEEN / name)
    dose = Dose(x, y, seen.shape[1], aim, name)
    line = dose._asdict() | {"height": seen.shape[0]}
    append_line(record, json.dumps(line).encode())


def doses(record: Path) -> list[Dose]:
    """Return each square that was scanned, in order."""
    found = []
    for line in whole_lines(record):
        dose = json.loads(line)
        aim = None if dose.get("aim") is None else Aim(*dose["aim"])
        found.append(Dose(dose["x_px"], dose["y_px"], dose["size_px"], aim, dose["seen"]))
    return found


def seen_of(record: Path, dose: Dose) -> NDArray[Any]:
    """Read what was seen."""
    seen: NDArray[Any] = np.load(record.parent / SEEN / dose.seen, allow_pickle=False)
    return seen
