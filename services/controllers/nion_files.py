"""Where the sub-scans of a Nion microscope are written."""

from __future__ import annotations

import zipfile
from pathlib import Path


def file_of(out: Path, run: str, seq: int, box_id: int) -> Path:
    """Return where a box is written: `image` (size, size), `box` x, y, size, perhaps `frames`."""
    # A run's name is 12 hexadecimal digits; whatever else comes stays a plain name.
    folder = "".join(c if c.isalnum() else "_" for c in run)[:80]
    return out / folder / f"{seq:08d}" / f"{box_id:06d}.npz"


def is_whole(path: Path) -> bool:
    """Say whether a box's file is there; it took its name when it was written to its end."""
    return path.exists() and zipfile.is_zipfile(path)
