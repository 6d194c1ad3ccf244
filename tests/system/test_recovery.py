"""How a frame in a dead worker's hands comes back, and how long that takes."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from services.megalibrary import write_megalibrary
from services.results import ResultStore
from services.runtime.ledger import Ledger
from services.runtime.places import Places
from tests.helpers.command import haadflow
from tests.helpers.gate import Gate
from tests.helpers.up import PAIRS, Up
from tests.helpers.wait import until

pytestmark = pytest.mark.system

N = 10
NEVER = 3_000.0
"""Seconds: neither silence nor a deadline brings anything back within a test."""


def test_a_killed_workers_frame_goes_to_another_at_once(tmp_path: Path) -> None:
    library = tmp_path / "images"
    write_megalibrary(library, N, seed=12, sizes=(96,))
    gate = Gate(tmp_path / "gate", "particle_to_boxes")
    gate.set_up()
    changes = {
        "workers = 1": f"workers = 2\ndeadline_s = {NEVER}",
        "[source]": f"[source]\nquiet_s = {NEVER}",
    }
    with Up(tmp_path, changes, shipped=PAIRS, env=gate.environment) as chain:
        assert haadflow("send", library, "--topology", chain.topology).returncode == 0
        alive = [psutil.Process(chain.pid)]
        places = Places(chain.out)
        with Ledger(places.ledger, read_only=True) as ledger:
            holder = until(gate.holder, alive)
            until(lambda: ledger.open_count() <= 2, alive)
            assert ledger.open_count() > 0
            psutil.Process(holder).kill()
            killed = time.monotonic()
            until(lambda: ledger.open_count() == 0, alive)
        print(f"{time.monotonic() - killed:.2f} s from the kill to the last frame's commit")
        with ResultStore(places.results) as store:
            attempts = [outcome.envelope.attempt for outcome in store.results()]
        assert sorted(attempts) == [1] * (N - 1) + [2]
