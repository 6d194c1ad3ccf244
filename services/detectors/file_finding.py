"""Which files a command is given: files as they are, folders as the images inside them.

Nothing is opened here, and nothing stops the others: what cannot be used is found with its problem,
and becomes a row of its own.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.runtime.places import SKIP_MARKER

from .microscope.kinds import MICROSCOPE_SUFFIXES, sers_of
from .names import root_labels

FOLDERS = "folders"
SUFFIXES = frozenset({".png", ".tif", ".tiff", ".jpg", ".jpeg", ".npy"}) | MICROSCOPE_SUFFIXES
WHAT_IS_TAKEN = "PNG, TIFF, JPEG, NPY, DM3, DM4, EMD, SER, MRC, HSPY or BLO files"

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """One file to be read, or what stands in its place.

    Attributes
    ----------
    path : Path
        As it was given, or the given folder's path with the file's name behind.
    root : Path
        The folder that was given, or the folder of the file that was given.
    label : str
        What `root` is called in a parent_id; no two roots of one call share it.
    problem : str or None
        Why it cannot be read, as far as that is known without opening it.
    alone : bool
        It was given by its own name, not with its folder.
    """

    path: Path
    root: Path
    label: str
    problem: str | None = None
    alone: bool = False


def find_images(
    paths: Sequence[Path], *, recursive: bool = False, passed_over: Counter[str] | None = None
) -> Iterator[Found]:
    """Find the images that paths mean.

    Parameters
    ----------
    paths : sequence of Path
        Files are taken whatever their suffix. Folders give the files in them that are named like
        images (`SUFFIXES`, in capitals too); hidden ones are left out, and so is an EMI whose
        SER is there: the two are one image.
    recursive : bool
        Look into folders inside folders, hidden and marked ones (`SKIP_MARKER`) left out.
    passed_over : Counter, optional
        Counts what a folder holds and is not taken: by suffix in lower case, and `FOLDERS`.

    Yields
    ------
    Found
        In the order of `paths`; within a folder, files before folders, both in natural order
        (2 before 10). Each file once, even if several paths or links lead to it. A path that is
        missing, a folder that cannot be listed and a pipe named like an image come with their
        problem.
    """
    folders = [path if _is_folder(path) else path.absolute().parent for path in paths]
    labels = root_labels(folders)
    files = {os.path.realpath(path) for path in paths if not _is_folder(path)}
    walk = _Walk(recursive=recursive, given=files, passed_over=passed_over)
    for path, folder in zip(paths, folders, strict=True):
        label = labels[folder]
        if _is_folder(path):
            for found, problem in walk.folder(path):
                yield Found(found, folder, label, problem)
        elif walk.take(path):
            yield Found(path, folder, label, _problem(path), alone=True)


class _Walk:
    """Remembers where it has been, so that links and overlapping paths give each file once."""

    def __init__(
        self, *, recursive: bool, given: set[str], passed_over: Counter[str] | None
    ) -> None:
        self._recursive = recursive
        self._passed_over: Counter[str] = Counter() if passed_over is None else passed_over
        self._given = given
        self._taken: set[str] = set()
        self._visited: set[str] = set()

    def take(self, path: Path) -> bool:
        """Take a file, unless it was taken before under this or another name."""
        real = os.path.realpath(path)
        if real in self._taken:
            return False
        self._taken.add(real)
        return True

    def folder(self, folder: Path) -> Iterator[tuple[Path, str | None]]:
        """Yield the images in a folder, each with its problem."""
        real = os.path.realpath(folder)
        if real in self._visited:
            return
        self._visited.add(real)
        try:
            with os.scandir(folder) as listed:
                entries = sorted(listed, key=lambda entry: natural_key(entry.name))
        except OSError as error:
            yield folder, f"this folder cannot be listed: {error.strerror}"
            return
        inner = []
        for entry in entries:
            path = folder / entry.name
            if _is_folder(path) if entry.is_symlink() else entry.is_dir():
                if not entry.name.startswith("."):
                    inner.append(path)
            elif self._is_image(path) and self._is_new(entry, path, real):
                regular = entry.is_file(follow_symlinks=False)
                yield path, None if regular else _problem(path)
        for deeper in inner:
            if self._goes_into(deeper):
                yield from self.folder(deeper)

    def _is_image(self, path: Path) -> bool:
        name = path.name
        if looks_like_image(name):
            return not (path.suffix.lower() == ".emi" and sers_of(path))
        if not name.startswith("."):
            self._passed_over[Path(name).suffix.lower()] += 1
        return False

    def _goes_into(self, folder: Path) -> bool:
        if _is_marked(folder):
            return False
        self._passed_over[FOLDERS] += not self._recursive
        return self._recursive

    def _is_new(self, entry: os.DirEntry[str], path: Path, real_folder: str) -> bool:
        """Tell whether a file in a folder comes here, or somewhere else under another name."""
        if entry.is_symlink():
            real = Path(os.path.realpath(path))
            visited = os.fspath(real.parent) in self._visited
            if visited and looks_like_image(real.name) and real.is_file():
                return False  # it comes under its own name
            return os.fspath(real) not in self._given and self.take(path)
        # No folder is listed twice: only files given by name, and targets of links, can have
        # been taken before.
        plain = os.fspath(Path(real_folder) / entry.name)
        return plain not in self._given and plain not in self._taken


def looks_like_image(name: str) -> bool:
    """Say whether a file in a folder is named like an image, and not hidden."""
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str, str]:
    """Return a key that sorts numbers in names by their value, and is the same everywhere."""
    stem, _, suffix = name.casefold().rpartition(".")
    pieces = re.split(r"(\d+)", stem or suffix)
    key = [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in pieces if p]
    return key, suffix, name


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):  # missing, not allowed, a loop of links, a NUL in the name
        return False


def _is_marked(folder: Path) -> bool:
    try:
        return (folder / SKIP_MARKER).exists()
    except OSError:
        return False  # it cannot be looked into: that will be its problem


def _problem(path: Path) -> str | None:
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        return "a link to nowhere" if path.is_symlink() else "there is no such file or folder"
    except (OSError, ValueError) as error:
        return str(getattr(error, "strerror", None) or error)
    for is_kind, what in _KINDS:
        if is_kind(kind):
            return f"{what}, not a file"
    return None
