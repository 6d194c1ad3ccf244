"""A note beside the kernels that all of them are on disk, for whoever need not load them himself.

To load the compiler and every kernel takes a second. The note holds for one state of the sources,
versions and CPU. If it is wrong all the same, as when a kernel was damaged, then who needs that
kernel compiles it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from .cache_folders import CacheFolders

NAME = "all-kernels-are-here"
_PACKAGE = Path(__file__).resolve().parent


def all_are_kept() -> bool:
    """Say whether, as a note has it, `warm_up` would find every kernel on disk."""
    folders = _folders()
    notes = [_read(folder / NAME).partition(" ") for folder in folders.readable]
    counts = [int(count) for state, _, count in notes if count.isdecimal() and state == _state()]
    # There may be more by now, of what is compiled only when it is used.
    return bool(counts) and min(counts) <= _kernels_in(folders)


def note_that_all_are_kept() -> None:
    """Leave a note for `all_are_kept`; after `warm_up` has kept all it compiled."""
    folders = _folders()
    if folders.writable is not None:
        with suppress(OSError):
            text = f"{_state()} {_kernels_in(_folders())}"
            (folders.writable / NAME).write_text(text, encoding="ascii")


def _folders() -> CacheFolders:
    return CacheFolders(_PACKAGE, os.environ, os.geteuid())


def _kernels_in(folders: CacheFolders) -> int:
    return sum(1 for folder in folders.readable for _ in folder.glob("*.nbc"))


def _state() -> str:
    """Digest what kernels depend on: sources, versions, CPU, and numba's settings."""
    digest = hashlib.sha256()
    for source in sorted(_PACKAGE.rglob("*.py")):
        digest.update(source.read_bytes())
    settings = sorted(item for item in os.environ.items() if item[0].startswith("NUMBA_"))
    versions = [metadata.version(name) for name in ("numba", "llvmlite", "numpy")]
    digest.update(repr((sys.version, versions, settings, _cpu())).encode())
    return digest.hexdigest()


def _cpu() -> list[str]:
    """Return name and features of the first processor, as far as the system tells."""
    told = _read(Path("/proc/cpuinfo")).partition("\n\n")[0].splitlines()
    kinds = ("vendor_id", "cpu family", "model", "stepping", "flags", "Features", "CPU ")
    return [platform.machine(), platform.processor(), *(t for t in told if t.startswith(kinds))]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
