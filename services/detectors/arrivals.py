"""Files that arrive in a folder: which of them are whole.

A file is taken for whole when nothing about it has changed for a while and it can be read. One that
has not changed for long and still cannot be read will not become whole: it is given up, until it
changes. Nothing here opens a file; the clock is the caller's, since file servers have their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .microscope.kinds import emi_of


class State(NamedTuple):
    """What tells that a file has changed."""

    size: int
    changed_ns: int
    partner: tuple[int, int] | None = None
    """The same of the EMI that belongs to a SER."""


@dataclass(slots=True)
class _Arrival:
    state: State
    since: float
    looked: bool = False
    """Whether it was found unreadable in this state."""


def state_of(path: Path) -> State | None:
    """Return the state of a file; None while it is not there."""
    own = _size_and_time(path)
    if own is None:
        return None
    emi = emi_of(path) if path.suffix.lower() == ".ser" else None
    return State(*own, None if emi is None else _size_and_time(emi))


class Arrivals:
    """The files of a folder that are not taken yet.

    Parameters
    ----------
    settle_s
        Seconds without a change before a file is looked into. A SER whose EMI is not there waits
        for it, `patience_s` at most.
    patience_s
        Seconds without a change after which a file that cannot be read is given up.
    clock
        Seconds, monotonic.
    """

    def __init__(
        self,
        *,
        settle_s: float,
        patience_s: float,
        clock: Callable[[], float],
        state: Callable[[Path], State | None] = state_of,
    ) -> None:
        self._settle_s = settle_s
        self._patience_s = max(settle_s, patience_s)
        self._clock = clock
        self._state = state
        self._waiting: dict[Path, _Arrival] = {}
        self._done: dict[Path, State] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def see(self, path: Path) -> bool:
        """Note a file that is there; say whether it is new, or has changed since it was taken."""
        state = self._state(path)
        if state is None or self._done.get(path) == state:
            return False
        known = self._waiting.get(path)
        if known is None or known.state != state:
            self._waiting[path] = _Arrival(state, self._clock())
        return known is None

    def settled(self) -> Iterator[tuple[Path, bool]]:
        """Yield files to look into, and of each whether this is its last chance to be readable."""
        for path in list(self._waiting):
            self.see(path)
            arrival = self._waiting[path]
            if self._state(path) is None:
                del self._waiting[path]  # gone: renamed, or taken back
                continue
            still = self._clock() - arrival.since
            last = still >= self._patience_s
            if last or (still >= self._settle_s and not arrival.looked and _has_partner(path)):
                yield path, last

    def unreadable(self, path: Path) -> None:
        """Look into a file again only when it changes, or for the last time."""
        if path in self._waiting:
            self._waiting[path].looked = True

    def taken(self, path: Path) -> None:
        """Let go of a file until it changes."""
        arrival = self._waiting.pop(path, None)
        if arrival is not None:
            self._done[path] = arrival.state


def _has_partner(path: Path) -> bool:
    return path.suffix.lower() != ".ser" or emi_of(path) is not None


def _size_and_time(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
