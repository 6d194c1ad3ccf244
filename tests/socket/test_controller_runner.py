"""A controller's runner with a real feed: its journal tells of every box what is sure, no more."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from protocols.messages import Outcome, Receipt
from services.controllers.controller import Box, Controller, ControllerGone, Limits, Parent
from services.controllers.files import FileController, FileSettings, lines_of
from services.controllers.journal import Journal, JournalError
from services.controllers.link import Link
from services.controllers.runner import Aborter, Runner, describe
from services.feed.entry import Entry
from services.feed.process import Feed
from services.feed.store import FeedStore
from services.runtime.keys import KeyFolder
from services.runtime.places import Places
from services.runtime.roles import ROLES
from services.runtime.topology import FeedTable, SecurityTable, Topology
from tests.helpers.environments import ROOT
from tests.helpers.feeding import fill, located

from .conftest import until

BOXES = 6
MOST_STATEMENTS = 40
"""More than a journal is begun with."""


class Instrument:
    """A controller that does to each group of boxes what a test says; it can look nothing up."""

    def __init__(
        self,
        act: Callable[[Sequence[Box]], Sequence[Receipt]],
        **limits: Any,  # noqa: ANN401
    ) -> None:
        self._act = act
        self._limits = Limits(**{"family": "sub-scan"} | limits)
        self.groups: list[list[int]] = []
        self.aborted = False

    def describe(self) -> Limits:
        return self._limits

    def acquire(self, parent: Parent, boxes: Sequence[Box]) -> Sequence[Receipt]:
        assert parent.parent_id == f"parent-{parent.seq}"
        self.groups.append([box.box_id for box in boxes])
        return self._act(boxes)

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        """Nothing is open."""


def taken(boxes: Sequence[Box]) -> list[Receipt]:
    return [Receipt(box_id=box.box_id, status="acquired") for box in boxes]


class Bench:
    """A feed with one parent of six boxes, and one runner after the other with the same journal."""

    def __init__(self, topology: Topology, out: Path) -> None:
        self.address = f"{topology.sink.results.rpartition('/')[0]}/feed"
        self.places = Places(out)
        self.run = ""
        self.stopping = False

        def make(run: str) -> Iterator[Outcome]:
            self.run = run
            yield located(run, 0, BOXES)

        fill(out, make)
        table = FeedTable(batches=self.address)
        self.feed = Feed(msgspec.structs.replace(topology, feed=table), self.places)
        self.feed.step(0)
        self.journal: Journal | None = None
        self.link: Link | None = None
        self.runner: Runner | None = None

    def start(self, controller: Controller, *, keys: Path | None = None) -> Runner:
        """Start a controller's process, as it were."""
        limits = controller.describe()
        journal = self.journal = Journal(self.places.out / "journal")
        self.link = Link(
            self.address, lambda s: describe("c", s, limits, journal.name, 1), keys=keys
        )
        stopped = lambda: self.stopping  # noqa: E731
        self.runner = Runner(controller, limits, journal, self.link, stopped=stopped)
        return self.runner

    def kill(self) -> None:
        """Let it be gone without a word."""
        assert self.link is not None
        assert self.journal is not None
        self.link._socket.close(0)
        self.journal.close()
        self.runner = self.link = self.journal = None

    def turn(self) -> None:
        self.feed.step(2)
        if self.runner is not None:
            self.runner.step(2)

    def entry(self) -> Entry:
        with FeedStore(self.places.feed, read_only=True) as store:
            entry = store.of_frame(self.run, 0)
        assert entry is not None
        return entry

    def until_state(self, state: str) -> Entry:
        until(lambda: self.entry().state == state, self.turn)
        return self.entry()

    def close(self) -> None:
        if self.link is not None:
            self.kill()
        self.feed.close()


@pytest.fixture
def bench(topology: Topology, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(topology, tmp_path)
    yield bench
    bench.close()


def test_with_keys_a_controller_needs_its_own(topology: Topology, tmp_path: Path) -> None:
    keys = KeyFolder(tmp_path / "keys")
    for role in ROLES:
        keys.new(role)
    security = SecurityTable(keys=str(keys.path))
    bench = Bench(msgspec.structs.replace(topology, security=security), tmp_path / "out")
    instrument = Instrument(taken)
    stranger = Link(bench.address, lambda s: describe("x", s, instrument.describe(), "j", 1))
    bench.start(instrument, keys=keys.path)
    assert bench.until_state("done").receipts_by_status()["acquired"] == BOXES
    assert not stranger.is_heard
    stranger._socket.close(0)
    bench.close()


class Killed(BaseException):
    """The process is gone in this moment."""


def test_boxes_come_one_by_one_or_as_many_at_once_as_the_controller_takes(bench: Bench) -> None:
    instrument = Instrument(taken, at_once=4)
    bench.start(instrument)
    assert bench.until_state("done").receipts_by_status()["acquired"] == BOXES
    assert instrument.groups == [[0, 1, 2, 3], [4, 5]]


def test_a_box_that_was_just_under_the_beam_is_held_and_no_other(bench: Bench) -> None:
    """It cannot be known whether the beam was there; what was before and behind it can."""

    def die_at_the_third(boxes: Sequence[Box]) -> list[Receipt]:
        if boxes[0].box_id == 2:
            raise Killed
        return taken(boxes)

    bench.start(Instrument(die_at_the_third))
    with pytest.raises(Killed):
        bench.until_state("done")
    bench.kill()
    second = Instrument(taken)
    bench.start(second)
    until(lambda: bench.entry().why.startswith("c does not know"), bench.turn)
    entry = bench.entry()
    assert (entry.state, entry.doubtful, sorted(entry.receipts)) == ("held", [2], [0, 1])
    assert second.groups == []


def test_a_controller_that_can_look_boxes_up_ends_the_doubt_by_itself(bench: Bench) -> None:
    files = FileController(FileSettings(out=str(bench.places.out)))

    class DiesBehindTheBeam:
        """The box is acquired, and nobody hears of it any more."""

        describe, abort, close = files.describe, files.abort, files.close

        def acquire(self, parent: Parent, boxes: Sequence[Box]) -> Sequence[Receipt]:
            files.acquire(parent, boxes)
            raise Killed

    bench.start(DiesBehindTheBeam())
    with pytest.raises(Killed):
        bench.until_state("done")
    bench.kill()
    bench.start(files)
    bench.until_state("done")
    found = [line["box_id"] for line in lines_of(files.path)]
    assert sorted(found) == list(range(BOXES))


def test_an_exception_is_a_failed_box_and_the_others_go_on(bench: Bench) -> None:
    def fail_once(boxes: Sequence[Box]) -> list[Receipt]:
        if boxes[0].box_id == 1:
            raise TimeoutError("no frame for 20 s")
        return taken(boxes)

    bench.start(Instrument(fail_once))
    entry = bench.until_state("done")
    assert entry.receipts[1].status == "failed"
    assert entry.receipts[1].reason == "TimeoutError: no frame for 20 s"
    assert entry.receipts_by_status()["acquired"] == BOXES - 1


def test_an_instrument_that_is_gone_leaves_its_box_in_doubt_and_gives_the_rest_back(
    bench: Bench,
) -> None:
    def go(boxes: Sequence[Box]) -> list[Receipt]:
        if boxes[0].box_id == 3:
            raise ControllerGone("the microscope's server does not answer")
        return taken(boxes)

    runner = bench.start(Instrument(go))
    with pytest.raises(ControllerGone):
        bench.until_state("done")

    def leave() -> None:
        bench.feed.step(2)
        for _ in runner._link.hear(1):
            pass

    until(lambda: bench.entry().state == "held", leave)
    entry = bench.entry()
    assert entry.doubtful == [3]
    assert sorted(entry.receipts) == [0, 1, 2]


def test_a_box_outside_the_grid_is_refused_at_the_adapter_too(bench: Bench) -> None:
    """If a feed should offer it all the same."""
    instrument = Instrument(taken, largest_px=5)
    runner = bench.start(instrument)
    told = msgspec.structs.replace(runner._link.description, largest_px=None)
    runner._link.description = told
    entry = bench.until_state("done")
    sizes = located("r", 0, BOXES).boxes[:, 2].tolist()
    too_large = [box for box, size in enumerate(sizes) if size > 5]
    assert too_large
    assert {b for b, known in entry.receipts.items() if known.status == "rejected"} == {*too_large}
    assert entry.receipts[too_large[0]].by == "c"
    assert not {box for group in instrument.groups for box in group} & {*too_large}


def test_told_to_end_between_two_boxes_it_gives_the_rest_back(bench: Bench) -> None:
    def stop_behind_the_second(boxes: Sequence[Box]) -> list[Receipt]:
        bench.stopping = boxes[0].box_id == 1
        return taken(boxes)

    bench.start(Instrument(stop_behind_the_second))
    entry = bench.until_state("waiting")
    assert sorted(entry.receipts) == [] or sorted(entry.receipts) == [0, 1]
    until(lambda: sorted(bench.entry().receipts) == [0, 1], bench.turn)
    assert bench.entry().open == [2, 3, 4, 5]


def test_a_released_box_is_acquired_again_only_if_the_journal_does_not_know_better(
    bench: Bench,
) -> None:
    test_a_box_that_was_just_under_the_beam_is_held_and_no_other(bench)
    assert isinstance(bench.runner, Runner)
    from services.feed.batches import Batches  # noqa: PLC0415

    with FeedStore(bench.places.feed) as store, store.transaction():
        entry = store.of_frame(bench.run, 0)
        assert entry is not None
        Batches(store).release(entry, repeat=True)
    assert bench.until_state("done").receipts_by_status()["acquired"] == BOXES


def test_boxes_that_an_abort_kept_the_beam_from_are_given_back(bench: Bench) -> None:
    files = FileController(FileSettings(out=str(bench.places.out / "acquired"), at_once=4))
    acquire = files.acquire

    def aborted(parent: Parent, boxes: Sequence[Box]) -> list[Receipt]:
        receipts = acquire(parent, boxes[:2])
        bench.stopping = True
        files.abort()
        return receipts + acquire(parent, boxes[2:])

    files.acquire = aborted  # type: ignore[method-assign]
    bench.start(files)
    until(lambda: sorted(bench.entry().receipts) == [0, 1], bench.turn)
    entry = bench.entry()
    assert entry.open == [2, 3, 4, 5]
    assert not entry.doubtful
    assert {known.status for known in entry.receipts.values()} == {"acquired"}
    assert len(lines_of(files.path)) == 2


def test_a_journal_is_begun_in_one_step(tmp_path: Path) -> None:
    """A process that is killed while it makes one leaves nothing, or a journal with its name."""
    killed = []
    for statement in range(1, MOST_STATEMENTS):
        path = tmp_path / f"journal-{statement}"
        begin = (sys.executable, "-m", "tests.helpers.killed_beginner", str(path), str(statement))
        done = subprocess.run(begin, cwd=ROOT, timeout=60, check=False)
        with Journal(path) as again:
            assert again.name
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        killed.append(statement)
    assert len(killed) > 5, "it is made of more statements than that"
    assert len(killed) < MOST_STATEMENTS - 1, "the last one was not killed"


def test_a_long_group_is_aborted_when_the_process_is_to_end() -> None:
    instrument = Instrument(taken)
    aborter = Aborter(instrument, lambda: True, grace_s=0.0)
    until(lambda: instrument.aborted, lambda: None)
    aborter.close()


def test_an_abort_that_fails_is_named_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf(Instrument):
        """Hears the second time."""

        def abort(self) -> None:
            if not self.groups:
                self.groups.append([])
                raise TimeoutError("the server does not answer")
            super().abort()

    monkeypatch.setattr(Aborter, "AGAIN_S", 0.0)
    instrument = Deaf(taken)
    with capture_logs() as log:
        aborter = Aborter(instrument, lambda: True, grace_s=0.0)
        until(lambda: instrument.aborted, lambda: None)
        aborter.close()
    assert [line["event"] for line in log] == ["abort.failed"]


def test_a_journal_has_one_process_and_is_no_other_file(tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "journal") as first,
        pytest.raises(JournalError, match="another controller has this journal"),
    ):
        Journal(tmp_path / "journal")
    with Journal(tmp_path / "journal") as again:
        assert again.name == first.name
    (tmp_path / "other").write_bytes(b"not SQLite" * 100)
    with pytest.raises(JournalError, match="other: not a usable journal"):
        Journal(tmp_path / "other")
