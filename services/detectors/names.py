"""What a file is called in the results: readable, unique within a run, safe in tables and paths."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

PARENT_ID_CHARS = 512
"""`protocols.bounds.ParentId`."""
SOURCE_CHARS = 4096
"""`protocols.bounds.Source`."""

_HASH_CHARS = 12
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def parent_id_for(path: Path, root: Path, label: str | None = None) -> str:
    """Name a parent image after its file: the folder that was given, and the way from there.

    Parameters
    ----------
    path : Path
        The file.
    root : Path
        The folder that was given, or the file's own.
    label : str, optional
        What the root is called; default its last part.

    Returns
    -------
    str
        Such as `grid3/particle_07_Au40Cu60.png`. The suffix stays: a folder may hold `a.png` and
        `a.tif`. The same file has the same name in every run that is given the same folder.
        Control characters become `?`, and more than 512 characters lose their beginning; then a
        hash of the whole path keeps the name unique.
    """
    absolute, base = _absolute(path), _absolute(root)
    if label is None:
        label = base.name
    try:
        relative = absolute.relative_to(base).as_posix()
    except ValueError:
        relative = absolute.as_posix().lstrip("/")
    name = "/".join(part for part in (label, relative) if part not in ("", "."))
    return _bounded(name, os.fspath(absolute), PARENT_ID_CHARS)


def source_for(path: Path) -> str:
    """Return a path as people gave it, without what a table or a log cannot hold."""
    return _bounded(os.fspath(path), os.fspath(path), SOURCE_CHARS)


def root_labels(roots: Iterable[Path]) -> dict[Path, str]:
    """Call each root by its last part, or by as many parts as tell it from the others.

    Parameters
    ----------
    roots : iterable of Path
        Folders, possibly repeated, possibly the same folder under two spellings.

    Returns
    -------
    dict
        Root to label; different folders have different labels.
    """
    places = {root: _absolute(root) for root in roots}
    labels: dict[Path, str] = {}
    for place in set(places.values()):
        others = [other.parts for other in set(places.values()) if other != place]
        parts = place.parts
        used = 1
        while used < len(parts) and any(other[-used:] == parts[-used:] for other in others):
            used += 1
        labels[place] = "/".join(part for part in parts[-used:] if part != "/")
    return {root: labels[place] for root, place in places.items()}


def _absolute(path: Path) -> Path:
    """Return a path from the top, without `..`, links kept: people know a file by its link."""
    return Path(os.path.normpath(path.absolute()))


def _bounded(text: str, whole: str, characters: int) -> str:
    printable = _UNPRINTABLE.sub("?", text)
    if printable == text and len(text) <= characters:
        return text
    mark = "~" + hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_CHARS]
    return printable[-(characters - len(mark)) :] + mark
