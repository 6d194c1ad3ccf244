"""Slow workers, dead workers, and detectors that are faster than the chain."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from services.megalibrary import write_megalibrary
from services.results import ResultStore
from services.runtime.ledger import Ledger
from services.runtime.places import Places
from services.runtime.worker import PREFETCH
from tests.helpers.command import haadflow, start
from tests.helpers.gate import Gate
from tests.helpers.soak import LONG, soak
from tests.helpers.up import PAIRS, SHIPPED, Up
from tests.helpers.wait import until

pytestmark = [pytest.mark.system, soak]

N = 20
SECOND = "particle_to_boxes"
NEVER = 3_000.0
"""Seconds: neither silence nor a deadline brings anything back within a test."""
SPOOL = 2_000_000
FILE_MAY_BE_LARGER = 4_096
"""Than its pixels: a header."""
GROWTH_MIB = 24.0
SOAK_ROUNDS = 600
"""Of 20 images: what a camera with 20 frames a second takes in ten minutes."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library") / "images"
    write_megalibrary(folder, N, seed=12, sizes=(96,))
    return folder


class Loaded(Up):
    """A chain whose second stage has two workers, of which a gate may hold one."""

    def __init__(self, folder: Path) -> None:
        self.gate = Gate(folder / "gate", SECOND)
        changes = {
            "workers = 1\n\n[stage": f"workers = 2\ndeadline_s = {NEVER}\n\n[stage",
            "[source]": f"[source]\nquiet_s = {NEVER}\nspool_bytes = {SPOOL}",
        }
        super().__init__(folder, changes, shipped=PAIRS, env=self.gate.environment)
        self._ledger = Ledger(Places(self.out).ledger, read_only=True)

    def send(self, library: Path, rounds: int = 1) -> None:
        sent = haadflow("send", library, "--repeat", str(rounds), "--topology", self.topology)
        assert sent.returncode == 0, sent.stderr

    def open_frames(self) -> int:
        return self._ledger.open_count()

    def until_open(self, at_most: int) -> None:
        until(lambda: self.open_frames() <= at_most, [psutil.Process(self.pid)])

    def hold_one(self, library: Path, rounds: int = 1) -> int:
        """Let the others end all the frames but those of a worker that is held; return which."""
        self.gate.set_up()
        self.send(library, rounds)
        holder = until(self.gate.holder, [psutil.Process(self.pid)])
        assert holder is not None
        self.until_open(PREFETCH)  # the one in hand, and those that lie behind it
        assert self.open_frames() > 0
        return holder

    def last_attempts(self, frames: int) -> list[int]:
        with ResultStore(Places(self.out).results) as store:
            return [outcome.envelope.attempt for outcome in store.results()][-frames:]

    def __exit__(self, *_: object) -> None:
        self._ledger.close()
        super().__exit__()


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    with Loaded(tmp_path_factory.mktemp("chain")) as chain:
        yield chain


def test_a_worker_however_slow_holds_what_it_asked_for_and_lowers_nobody_elses_rate(
    chain: Loaded, library: Path
) -> None:
    rounds = 10
    chain.hold_one(library, rounds)
    chain.gate.open()
    chain.until_open(0)
    assert set(chain.last_attempts(rounds * N)) == {1}


def test_a_killed_workers_frame_goes_to_another_at_once(chain: Loaded, library: Path) -> None:
    """Only the lease can have brought it back: deadline and silence take an hour here."""
    holder = chain.hold_one(library)
    psutil.Process(holder).kill()
    killed = time.monotonic()
    chain.until_open(0)
    print(f"{time.monotonic() - killed:.2f} s from the kill to the last frame's commit")
    attempts = chain.last_attempts(N)
    assert sorted(attempts) == [1] * (N - 1) + [2]
    chain.gate.forget()


def test_a_detector_faster_than_the_chain_waits_when_the_spool_is_full_and_loses_nothing(
    chain: Loaded, library: Path
) -> None:
    """A chain that takes nothing at all is slower than any detector."""
    rounds = 15
    before = chain.status()["accepted"]
    chain.scale(f"{SECOND}=0")
    chain.until(lambda figures: figures["stages"][1]["workers"] == 0)
    sending = start("send", library, "--repeat", str(rounds), "--topology", chain.topology)
    figures = chain.until(lambda figures: figures["detectors_wait"])
    assert figures["in_flight"] == 64
    assert figures["spool_mib"] * 2**20 <= SPOOL + FILE_MAY_BE_LARGER
    assert figures["accepted"] - before < rounds * N
    assert figures["lag_s"] > 0
    said = haadflow("status", "--topology", chain.topology).stdout
    assert "behind the detectors by" in said
    assert "detectors wait" in said
    chain.scale(f"{SECOND}=2")
    output, _ = sending.communicate(timeout=120)
    assert sending.returncode == 0, output
    chain.until_open(0)
    figures = chain.until_ended(before + rounds * N)
    assert figures["located"] == figures["accepted"]
    assert set(chain.last_attempts(rounds * N)) == {1}
    assert figures["spool_mib"] == 0
    assert "behind" not in haadflow("status", "--topology", chain.topology).stdout


@soak
def test_ten_minutes_of_a_detector_that_is_twice_as_fast_leave_memory_flat(
    library: Path, tmp_path: Path
) -> None:
    """Two detectors offer as fast as they can; the spool holds what it may, and all is located."""
    rounds = SOAK_ROUNDS if LONG else 1
    limit = 16 * 2**20
    changes = {"window_frames = 64": f"window_frames = 64\nspool_bytes = {limit}"}
    with Up(tmp_path, changes, shipped=SHIPPED) as chain:
        command = ("send", library, "--repeat", str(rounds // 2), "--patience", "600")
        sending = [start(*command, "--topology", chain.topology) for _ in range(2)]
        seen: list[tuple[int, dict[str, float]]] = []
        most_lag, most_spooled = 0.0, 0.0

        def look(figures: dict[str, object]) -> bool:
            nonlocal most_lag, most_spooled
            located, memory = figures["located"], figures["memory_mib"]
            assert isinstance(located, int)
            assert isinstance(memory, dict)
            seen.append((located, memory))
            most_lag = max(most_lag, float(str(figures["lag_s"])))
            most_spooled = max(most_spooled, float(str(figures["spool_mib"])))
            return located == rounds * N

        chain.until(look, deadline_s=900)
        for sender in sending:
            output, _ = sender.communicate(timeout=60)
            assert sender.returncode == 0, output
        figures = chain.until_ended(rounds * N)
        assert figures["accepted"] == figures["located"] == rounds * N
        assert figures["failed"] == figures["restarts"] == 0
        assert most_spooled <= limit / 2**20 + 0.1
        third = rounds * N / 3
        for process in seen[-1][1]:
            early = max(m.get(process, 0.0) for located, m in seen if 100 < located < third)
            late = max(m.get(process, 0.0) for located, m in seen if located > 2 * third)
            print(f"{process}: {early:.0f} MiB in the first third, {late:.0f} MiB in the last")
            assert late < early + GROWTH_MIB
        print(f"lag at most {most_lag:.1f} s, spool at most {most_spooled:.1f} MiB")
