"""Who began and finished what: the workers write it, so that it outlives the one that is killed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, cast

from benchmarks.peers.peer import Again

What = Literal["begun", "finished"]


class Entry(NamedTuple):
    """One line."""

    number: int
    pid: int
    what: What


def note(path: Path, number: int, what: What) -> None:
    """Append a line for this process."""
    # One short write to a file opened for appending is whole, whoever else writes.
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, f"{number} {os.getpid()} {what}\n".encode())
    finally:
        os.close(file)


def read(path: Path) -> list[Entry]:
    """Read all lines; none if nobody has written yet."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [_entry(line) for line in lines]


def at_work(entries: Sequence[Entry]) -> int | None:
    """Return the process that began last, if it has not finished."""
    if not entries or entries[-1].what != "begun":
        return None
    return entries[-1].pid


def in_hand(entries: Sequence[Entry], pid: int) -> bool:
    """Say whether a process has begun something that it did not finish."""
    own = [entry for entry in entries if entry.pid == pid]
    return bool(own) and own[-1].what == "begun"


def again(entries: Sequence[Entry]) -> Again:
    """Count the images that were begun, and those that were finished, more than once."""

    def more_than_once(what: What) -> int:
        times = Counter(entry.number for entry in entries if entry.what == what)
        return sum(1 for count in times.values() if count > 1)

    return Again(more_than_once("begun"), more_than_once("finished"))


class Journaled:
    """The part of a `Peer` that is read from the workers' journal.

    Parameters
    ----------
    folder
        Where the journal goes.
    """

    victim = "the worker that began an image last"

    def __init__(self, folder: Path) -> None:
        self._journal_path = folder / "journal"
        self._journal: str | None = None

    def keep_journal(self) -> None:
        """Let the workers note what they begin and finish."""
        self._journal = str(self._journal_path)

    def at_work(self) -> int | None:
        """Return the worker that began an image last, if it is still at it."""
        return at_work(read(self._journal_path))

    def in_hand(self, pid: int) -> bool | None:
        """Say whether a worker, stopped or dead, has an image half done."""
        return in_hand(read(self._journal_path), pid)

    def again(self) -> Again:
        """Say how much was done more than once."""
        return again(read(self._journal_path))

    def boxes(self, numbers: Collection[int]) -> dict[int, int] | None:  # noqa: ARG002 - the Peer's
        """Leave it to `finished`, which has the results."""
        return None


def _entry(line: str) -> Entry:
    number, pid, what = line.split()
    return Entry(int(number), int(pid), cast("What", what))
