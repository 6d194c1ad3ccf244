"""What the peers that run `work.locate` have in common: the journal."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from benchmarks.peers import journal
from benchmarks.peers.peer import Again


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
        return journal.at_work(journal.read(self._journal_path))

    def in_hand(self, pid: int) -> bool | None:
        """Say whether a worker, stopped or dead, has an image half done."""
        return journal.in_hand(journal.read(self._journal_path), pid)

    def again(self) -> Again:
        """Say how much was done more than once."""
        return journal.again(journal.read(self._journal_path))

    def boxes(self, numbers: Collection[int]) -> dict[int, int] | None:  # noqa: ARG002 - the Peer's
        """Leave it to `finished`, which has the results."""
        return None
