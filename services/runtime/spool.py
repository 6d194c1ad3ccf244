"""The source's spool: images of accepted frames that cannot be read again from elsewhere.

One file a frame: its message in one piece. A file appears whole or not at all. Names come from the
sequence number alone, never from what a sender wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from protocols import Buffer, join_parts, split_parts


class Spool:
    """A folder of spooled frames, and one beside it for the dead letters among them."""

    def __init__(self, folder: Path, dead_letters: Path) -> None:
        self._folder = folder
        self._dead_letters = dead_letters
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob("*.partial"):
            leftover.unlink()

    def _path(self, seq: int) -> Path:
        return self._folder / f"{seq:012d}.hf"

    def write(self, seq: int, parts: Sequence[Buffer]) -> None:
        """Write a message; `OSError` when the disk does not take it."""
        path = self._path(seq)
        partial = path.with_suffix(".partial")
        try:
            partial.write_bytes(join_parts(parts))
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise

    def read(self, seq: int) -> list[memoryview]:
        """Return a spooled message; `OSError` or `DecodeError` when it is not whole."""
        return split_parts(self._path(seq).read_bytes())

    def remove(self, seq: int) -> None:
        """Forget a frame that is closed."""
        self._path(seq).unlink(missing_ok=True)

    def keep_as_dead_letter(self, seq: int) -> None:
        """Move a failed frame aside, where it can be looked at."""
        path = self._path(seq)
        if path.exists():
            self._dead_letters.mkdir(parents=True, exist_ok=True)
            path.replace(self._dead_letters / path.name)
