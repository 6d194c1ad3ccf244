"""Real sockets on this machine: addresses of their own, closed after each test."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.runtime.endpoints import Socket
from services.runtime.places import Places
from services.runtime.topology import Topology, one_machine

DEADLINE_S = 10.0


@pytest.fixture
def topology(tmp_path: Path) -> Iterator[Topology]:
    """A chain's addresses in a folder with a short path."""
    sockets = Path(tempfile.mkdtemp(prefix="hf-"))
    yield one_machine(sockets, out=tmp_path, workers={}, parameters={})
    shutil.rmtree(sockets)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """An output folder."""
    found = Places(tmp_path)
    found.hidden.mkdir()
    return found


@pytest.fixture
def keep() -> Iterator[Callable[[Socket], Socket]]:
    """Close what is passed through it, also when the test fails."""
    kept: list[Socket] = []

    def remember(end: Socket) -> Socket:
        kept.append(end)
        return end

    yield remember
    for end in kept:
        end.close(0)


def until(done: Callable[[], object], turn: Callable[[], object], *, after: str = "") -> None:
    """Turn a loop until something holds; fail when it does not within the deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not done():
        assert time.monotonic() < deadline, f"it did not happen within the deadline {after}"
        turn()
