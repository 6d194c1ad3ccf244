"""The source's spool: images of accepted frames that cannot be read again from elsewhere.

One file a frame: its message in one piece. A file appears whole or not at all. Names come from the
sequence number alone, never from what a sender wrote.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

from protocols import Buffer, pieces, split_parts

from .durable import flush


class Spool:
    """Spooled frames.

    Parameters
    ----------
    folder
        Frames that are open.
    dead_letters
        Where the failed ones go, to be looked at.
    keepsakes
        Where the first `keep_first` go when they are closed, so that pictures can be drawn.
    flushed
        Each image is on the disk when `write` returns; its name is after `flush_names`.
    """

    def __init__(
        self,
        folder: Path,
        dead_letters: Path,
        keepsakes: Path,
        *,
        keep_first: int = 0,
        flushed: bool = False,
    ) -> None:
        self._flushed = flushed
        self._folder = folder
        self._dead_letters = dead_letters
        self._keepsakes = keepsakes
        self._keep_first = keep_first
        self.bytes = 0
        """Of the images that are here."""
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob("*.partial"):
            leftover.unlink()
        for seq in self.seqs():
            self.bytes += self._size(seq)

    def write(self, seq: int, parts: Sequence[Buffer]) -> None:
        """Write a message; `OSError` when the disk does not take it."""
        _write_whole(self._folder / name_of(seq), parts, flushed=self._flushed)
        self.bytes += self._size(seq)

    def flush_names(self) -> None:
        """Return when the names of written files are on the disk too, if they are to be."""
        if self._flushed:
            flush(self._folder)

    def path(self, seq: int) -> Path:
        """Return where a frame is, if it is here."""
        return self._folder / name_of(seq)

    def bury(self, seq: int, parts: Sequence[Buffer]) -> None:
        """Keep the message of a failed frame that was not here, to be looked at."""
        self._dead_letters.mkdir(parents=True, exist_ok=True)
        _write_whole(self._dead_letters / name_of(seq), parts)

    def read(self, seq: int) -> list[memoryview]:
        """Return a spooled message; `OSError` or `DecodeError` when it is not whole."""
        return split_parts((self._folder / name_of(seq)).read_bytes())

    def seqs(self) -> list[int]:
        """Return the frames that are here."""
        return [int(path.stem) for path in self._folder.glob("*.hf") if path.stem.isdecimal()]

    def has(self, seq: int) -> bool:
        """Say whether a frame is here."""
        return (self._folder / name_of(seq)).exists()

    def close(self, seq: int, *, failed: bool) -> None:
        """Forget a frame that is closed, or move it where it is wanted."""
        self.bytes = max(0, self.bytes - self._size(seq))
        if failed:
            self._move(seq, self._dead_letters)
        elif seq < self._keep_first:
            self._move(seq, self._keepsakes)
        else:
            (self._folder / name_of(seq)).unlink(missing_ok=True)

    def _size(self, seq: int) -> int:
        try:
            return (self._folder / name_of(seq)).stat().st_size
        except FileNotFoundError:
            return 0

    def _move(self, seq: int, folder: Path) -> None:
        path = self._folder / name_of(seq)
        if path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            path.replace(folder / path.name)


def copy_in(folder: Path, seq: int, path: Path) -> None:
    """Give a frame the message of another, as a replay does.

    Without a `Spool`, which is the source's: making one removes what the source is writing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / name_of(seq)
    target.unlink(missing_ok=True)  # of a frame that was not accepted in the end
    try:
        target.hardlink_to(path)
    except OSError:  # not every file system can
        partial = target.with_suffix(".copy")
        shutil.copyfile(path, partial)
        partial.replace(target)


def _write_whole(path: Path, parts: Sequence[Buffer], *, flushed: bool = False) -> None:
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb", buffering=0) as file:
            for piece in pieces(parts):
                _write_all(file, piece)
            if flushed:
                os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def _write_all(file: FileIO, data: Buffer) -> None:
    rest = memoryview(data).cast("B")
    while rest:  # a raw file may take a part only
        rest = rest[file.write(rest) :]


def name_of(seq: int) -> str:
    """Return the file name of a spooled frame."""
    return f"{seq:012d}.hf"
