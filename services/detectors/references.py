"""How the ledger names an image that can be read again: a file, or one image of a stack in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple, Self

_BEFORE_PLACE = "\x00"
"""Stands in no path."""


class Reference(NamedTuple):
    """A file, and which image of it."""

    path: Path
    place: int | None = None
    """In a stack, from 0; None where the file is to hold one image."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str()` wrote."""
        path, _, place = text.partition(_BEFORE_PLACE)
        return cls(Path(path), int(place) if place else None)

    def __str__(self) -> str:
        path = os.fspath(self.path.absolute())
        return path if self.place is None else f"{path}{_BEFORE_PLACE}{self.place}"
