"""Waiting for what is to happen, with a deadline, and no longer than somebody is there to do it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import psutil

LOOK_S = 0.01
Found = TypeVar("Found")


def until(
    done: Callable[[], Found],
    alive: Sequence[psutil.Process],
    *,
    deadline_s: float = 120.0,
    look_s: float = LOOK_S,
    said: Callable[[], str] = lambda: "",
) -> Found:
    """Return what `done` returns as soon as it is true; fail when one of `alive` ends before.

    Between two looks it waits for the end of one of them. `said` is asked for the message.
    """
    deadline = time.monotonic() + deadline_s
    while not (found := done()):
        ended, _ = psutil.wait_procs(alive, timeout=look_s)
        assert not ended, f"{ended} ended meanwhile\n{said()}"
        assert time.monotonic() < deadline, f"it did not happen\n{said()}"
    return found
