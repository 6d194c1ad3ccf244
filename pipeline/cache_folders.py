"""Which folders compiled kernels are read from and kept in.

What lies there is code: whoever can write into such a folder runs what he likes in every process
that reads from it. So a folder is used only if nobody can write there but root, the user himself
and the owner of this package, whose code runs here anyhow.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

CONFIGURED = ("HAADFLOW_CACHE", "NUMBA_CACHE_DIR")
"""Environment variables that name a folder; the first that is set counts."""
KEPT = (".nbi", ".nbc")
"""How the names of numba's files end: index, machine code."""
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Place(NamedTuple):
    """A folder that may serve."""

    folder: Path
    mode: int
    """Permissions if it has to be made: what is baked into an image is read by other users."""


class CacheFolders:
    """The folders of one package, for one user.

    Read from is every one that is there, in this order; written to is the first that can be:
    a configured one, the package's own, the user's cache, a private one among temporary files.

    Parameters
    ----------
    package
        The package's folder.
    environment
        As `os.environ`.
    uid
        The user's number.
    """

    def __init__(self, package: Path, environment: Mapping[str, str], uid: int) -> None:
        self._package = package
        self._environment = environment
        self._uid = uid
        self._owners = frozenset((0, uid, package.stat().st_uid))
        self.refused: dict[Path, str] = {}
        """Folders that are there but are not used, each with the reason."""

    @cached_property
    def readable(self) -> tuple[Path, ...]:
        """The folders that are there and can be trusted."""
        found = (place.folder for place in self._places() if place.folder.is_dir())
        return tuple(folder for folder in found if self._trusted(folder))

    @cached_property
    def writable(self) -> Path | None:
        """The first folder that can be written to, made if necessary; None if there is none."""
        for folder, mode in self._places():
            try:
                _make(folder, mode)
                if self._trusted(folder):
                    tempfile.TemporaryFile(dir=folder).close()
                    return folder
            except OSError:
                # Read-only, or full: what was to be found out.
                continue
        return None

    def _places(self) -> Iterator[Place]:
        # Where several installs share a folder, each has one of its own inside.
        digest = hashlib.sha256(os.fsencode(self._package)).hexdigest()
        inside = f"{self._package.name}-{digest[:16]}"
        configured = filter(None, map(self._environment.get, CONFIGURED))
        for name in list(configured)[:1]:
            yield Place(Path(name).absolute() / inside, 0o755)
        yield Place(self._package / "__pycache__", 0o755)
        user = self._environment.get("XDG_CACHE_HOME", "")
        home = self._environment.get("HOME", "")
        # Neither need be set, and a relative one counts as none.
        if user.startswith("/"):
            yield Place(Path(user) / "haadflow" / inside, 0o700)
        elif home.startswith("/"):
            yield Place(Path(home) / ".cache" / "haadflow" / inside, 0o700)
        temporary = self._environment.get("TMPDIR") or "/tmp"  # noqa: S108 - made private, checked
        yield Place(Path(temporary).absolute() / f"haadflow-{self._uid}" / inside, 0o700)

    def _trusted(self, folder: Path) -> bool:
        try:
            objection = self._objection(folder)
        except OSError as error:
            objection = f"{error.filename}: {error.strerror}"
        if objection is not None:
            self.refused[folder] = objection
        return objection is None

    def _objection(self, folder: Path) -> str | None:
        """Say how others could put code there; None if they cannot."""
        real = folder.resolve(strict=True)
        for path in (real, *real.parents):
            status = path.stat()
            # In a sticky folder, as /tmp is, nobody can replace what is somebody else's.
            shared = status.st_mode & stat.S_ISVTX == 0 or path == real
            if status.st_uid not in self._owners:
                return f"{path} belongs to user {status.st_uid}"
            if status.st_mode & _OTHERS_WRITE and shared:
                return f"others can write to {path}"
        for path in real.iterdir():
            if path.suffix in KEPT:
                status = path.lstat()
                if not stat.S_ISREG(status.st_mode) or status.st_uid not in self._owners:
                    return f"{path} is not a file of a user who is trusted"
                if status.st_mode & _OTHERS_WRITE:
                    return f"others can write to {path}"
        return None


def _make(folder: Path, mode: int) -> None:
    for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        missing.mkdir(mode, exist_ok=True)
