"""One chain at a time writes into a folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .places import Places


class ChainBusy(Exception):
    """Another chain writes into the same folder."""


def is_held(places: Places) -> bool:
    """Say whether a chain writes into the folder now."""
    if not places.lock.exists():
        return False
    with places.lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


@contextmanager
def sole_writer(places: Places) -> Iterator[None]:
    """Hold the folder; `ChainBusy` when somebody does. The kernel lets go when the process ends."""
    places.make()
    with _alone(places.lock, f"{places.out}: another chain is writing here"):
        yield


@contextmanager
def sole_feed(places: Places) -> Iterator[None]:
    """Be the one feed that offers what lies in the folder; `ChainBusy` when there is one."""
    places.make()
    with _alone(places.feed_lock, f"{places.out}: another feed offers what lies here"):
        yield


@contextmanager
def _alone(lock: Path, otherwise: str) -> Iterator[None]:
    with lock.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ChainBusy(otherwise) from error
        yield
