"""Where the sub-scans of a Nion microscope are written."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from .acquired_files import folder_of, to_disk


def file_of(out: Path, run: str, seq: int, box_id: int) -> Path:
    """Return where a box is written: `image` (size, size), `box` x, y, size, perhaps `frames`."""
    return folder_of(out, run, seq) / f"{box_id:06d}.npz"


def note_stopped(path: Path) -> None:
    """Write down that a box's scan was stopped: what the beam was to see says nothing of it then.

    Only until the box's file is there: an operator may have it scanned again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _note(path).open("ab") as note:
        os.fsync(note.fileno())
    to_disk(path.parent)


def was_stopped(path: Path) -> bool:
    """Say whether a scan of this box was stopped."""
    return _note(path).exists()


def _note(path: Path) -> Path:
    return path.with_suffix(".stopped")


def is_whole(path: Path) -> bool:
    """Say whether a box's file is there; it took its name when it was written to its end."""
    return path.exists() and zipfile.is_zipfile(path)
