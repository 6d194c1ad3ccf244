"""Where the sub-scans of a Nion microscope are written."""

from __future__ import annotations

import zipfile
from pathlib import Path

from .acquired_files import folder_of


def file_of(out: Path, run: str, seq: int, box_id: int) -> Path:
    """Return where a box is written: `image` (size, size), `box` x, y, size, perhaps `frames`."""
    return folder_of(out, run, seq) / f"{box_id:06d}.npz"


def is_whole(path: Path) -> bool:
    """Say whether a box's file is there; it took its name when it was written to its end."""
    return path.exists() and zipfile.is_zipfile(path)
