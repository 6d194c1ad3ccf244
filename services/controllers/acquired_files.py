"""Files of what was acquired: whole, on the disk before anyone is told, and never over another."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

_SUFFIX = ".partial"


def folder_of(out: Path, run: str, seq: int) -> Path:
    """Return where what belongs to one parent image is written: `RUN/SEQ`."""
    # A run's name is 12 hexadecimal digits; whatever else comes stays a plain name.
    plain = "".join(c if c.isalnum() else "_" for c in run)[:80]
    return out / plain / f"{seq:08d}"


def keep(path: Path, arrays: Mapping[str, NDArray[Any]]) -> Path:
    """Write arrays (.npz) under a name that is not taken yet: `NAME.npz`, `NAME-2.npz`, ...

    What was acquired before, as when an operator lets a box go a second time, stays. File and
    folder are on the disk when this returns.

    Returns
    -------
    Path
        The name it got.

    Raises
    ------
    OSError
        It cannot be written; nothing is left under the name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.stem}.{os.getpid()}{_SUFFIX}")
    # One that was killed under the same number may have left it, under a name that it gave as well:
    # whoever writes into that file writes over what was acquired.
    partial.unlink(missing_ok=True)
    try:
        with partial.open("xb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        for number in count(1):
            name = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
            if _take(name, partial):
                to_disk(path.parent)
                return name
    finally:
        partial.unlink(missing_ok=True)
    raise AssertionError("names do not end")


def sweep(out: Path) -> None:
    """Remove what killed processes have left half written; to be called before anything is kept."""
    for partial in out.glob(f"*/*/*{_SUFFIX}"):
        writer = partial.name.removesuffix(_SUFFIX).rpartition(".")[2]
        if writer.isdecimal() and (
            int(writer) == os.getpid() or not psutil.pid_exists(int(writer))
        ):
            partial.unlink(missing_ok=True)


def _take(name: Path, partial: Path) -> bool:
    """Give a file this name; False if another one has it."""
    try:
        name.hardlink_to(partial)
    except FileExistsError:
        return False
    except OSError:
        # a file system without hard links; one process writes here
        if name.exists():
            return False
        partial.rename(name)
    return True


def to_disk(folder: Path) -> None:
    """Flush a folder: names that were given or taken in it are on the disk when this returns."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
