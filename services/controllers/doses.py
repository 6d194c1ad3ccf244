"""The record that a simulated specimen keeps of its dose, a line a scan."""

from __future__ import annotations

import json
from pathlib import Path


def doses(path: Path) -> list[tuple[int, int, int]]:
    """Return x, y, size in parent pixels of each square that was scanned, in order."""
    found = []
    for line in path.read_bytes().split(b"\n")[:-1] if path.exists() else []:
        dose = json.loads(line)
        found.append((round(dose["x_px"]), round(dose["y_px"]), int(dose["width"])))
    return found
