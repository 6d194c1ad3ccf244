"""The feed over real sockets: nothing begins without Go, nothing that may have begun goes twice."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar

import msgspec
import numpy as np
import pytest
import zmq
from structlog.testing import capture_logs

from protocols import decode, encode
from protocols.messages import (
    Batch,
    Begin,
    Description,
    Go,
    Message,
    Noted,
    Outcome,
    Probe,
    Recall,
    Receipt,
    Receipts,
    Withdrawn,
)
from services.account import read_account
from services.feed.batches import Batches, NotNow
from services.feed.entry import Entry
from services.feed.process import SETTLED_S, Feed
from services.feed.store import FeedStore
from services.results import ResultStore, Writer
from services.runtime.endpoints import Requester
from services.runtime.places import Places
from services.runtime.topology import FeedTable, Topology
from tests.helpers.feeding import fill, located, rejected
from tests.helpers.hostile_wire import HOSTILE

from .conftest import until

M = TypeVar("M", bound=Message)


class Hand:
    """A controller that does what a test says; its messages in the order in which they came."""

    def __init__(self, around: Around, name: str = "c", **said: Any) -> None:  # noqa: ANN401
        self._around = around
        self._numbers = itertools.count(1)
        said = {"session": f"{name}-1", "family": "sub-scan"} | said
        self.description = Description(controller=name, **said)
        self.came: list[Message] = []
        self.connect()

    def connect(self) -> None:
        """Be there, perhaps again."""
        self._socket = Requester(self._around.address)
        self._around.hands.append(self)
        self.say(self.description)

    def leave(self) -> None:
        """Be gone, without a word."""
        self._around.hands.remove(self)
        self._socket.close(0)

    def say(self, message: Message) -> None:
        self._socket.send(encode(message))

    def say_parts(self, parts: list[bytes]) -> None:
        self._socket.send(parts)

    def hear(self) -> None:
        while (parts := self._socket.receive()) is not None:
            said = decode(parts)
            if not isinstance(said, Probe):
                self.came.append(said)

    def next(self, kind: type[M]) -> M:
        """Wait for the next message, which is of this kind."""
        until(lambda: self.came, self._around.turn)
        said = self.came.pop(0)
        assert isinstance(said, kind), said
        return said

    def begin(self, batch: Batch) -> None:
        self.say(Begin(run=batch.run, seq=batch.seq, grant=batch.grant))

    def begun(self) -> Batch:
        """Take the next batch up to its Go."""
        batch = self.next(Batch)
        self.begin(batch)
        assert self.next(Go).grant == batch.grant
        return batch

    def receipts(
        self,
        batch: Batch | Recall,
        acquired: list[int],
        *,
        final: bool = False,
        untouched: tuple[int, ...] = (),
    ) -> None:
        """Say that these boxes were acquired, and wait until it is noted."""
        number = next(self._numbers)
        self.say(
            Receipts(
                number=number,
                run=batch.run,
                seq=batch.seq,
                grant=batch.grant,
                receipts=tuple(Receipt(box_id=box, status="acquired") for box in acquired),
                untouched=untouched,
                final=final,
            )
        )
        assert self.next(Noted).number == number


class Around:
    """A feed over a folder in which something was located, and who talks to it."""

    def __init__(self, topology: Topology, out: Path, sockets: str) -> None:
        self.address = f"{sockets}/feed"
        self.topology = topology
        self.places = Places(out)
        self.hands: list[Hand] = []
        self.feed: Feed | None = None
        self.run = ""
        self.ahead_s = 0.0
        """Of the feed's clock."""

    def located(self, *outcomes: Callable[[str], Outcome], **table: Any) -> None:  # noqa: ANN401
        def make(run: str) -> list[Outcome]:
            self.run = run
            return [outcome(run) for outcome in outcomes]

        fill(self.places.out, make)
        feed = FeedTable(batches=self.address, **table)
        self.topology = msgspec.structs.replace(self.topology, feed=feed)
        self.start()

    def more(self, *outcomes: Outcome) -> None:
        with ResultStore(self.places.results, writer=Writer.this()) as store:
            store.commit(outcomes)

    def start(self) -> None:
        self.feed = Feed(self.topology, self.places, clock=lambda: monotonic() + self.ahead_s)

    def settle(self) -> None:
        """Let the controllers that are there have been there for long."""
        feed = self.feed
        assert feed is not None
        until(lambda: len(feed._peers) == len(self.hands), self.turn)
        self.ahead_s += SETTLED_S

    def kill(self) -> None:
        """Let the feed be gone as a killed process is: nothing of it but its file."""
        assert self.feed is not None
        self.feed._end.close(0)
        self.feed._pulse._outlet.close(0)
        if self.feed._results is not None:
            self.feed._results.close()
        self.feed.store.close()
        self.feed = None

    def turn(self) -> None:
        if self.feed is not None:
            self.feed.step(5)
        for hand in self.hands:
            hand.hear()

    def entry(self, seq: int = 0) -> Entry:
        with FeedStore(self.places.feed, read_only=True) as store:
            found = store.of_frame(self.run, seq)
        assert found is not None
        return found

    def until_state(self, state: str, seq: int = 0) -> Entry:
        until(lambda: self.entry(seq).state == state, self.turn)
        return self.entry(seq)

    @contextmanager
    def operator(self, seq: int = 0) -> Iterator[tuple[Batches, Entry]]:
        with FeedStore(self.places.feed) as store, store.transaction():
            entry = store.of_frame(self.run, seq)
            assert entry is not None
            yield Batches(store), entry

    def close(self) -> None:
        for hand in list(self.hands):
            hand.leave()
        if self.feed is not None:
            self.feed.close()


@pytest.fixture
def around(topology: Topology, tmp_path: Path) -> Iterator[Around]:
    around = Around(topology, tmp_path, topology.sink.results.rpartition("/")[0])
    yield around
    around.close()


def parent(seq: int, boxes: int, side: int = 64, **known: Any) -> Callable[[str], Outcome]:  # noqa: ANN401
    return lambda run: located(run, seq, boxes, side=side, **known)


def nothing(seq: int) -> Callable[[str], Outcome]:
    return lambda run: rejected(run, seq)


def test_each_parent_is_one_batch_and_each_box_gets_its_receipt(around: Around) -> None:
    around.located(parent(0, 3), nothing(1), parent(2, 2))
    hand = Hand(around)
    batch = hand.begun()
    assert (batch.seq, batch.box_id.tolist(), batch.n_boxes) == (0, [0, 1, 2], 3)
    hand.receipts(batch, [0, 1])
    hand.receipts(batch, [2], final=True)
    empty = hand.begun()
    assert (empty.seq, empty.outcome, empty.reason) == (1, "rejected", "empty: nothing")
    hand.receipts(empty, [], final=True)
    last = hand.begun()
    hand.receipts(last, [1, 0], final=True)
    assert {around.until_state("done", seq).state for seq in (0, 1, 2)} == {"done"}
    account = read_account(around.places)
    assert account.closes
    assert account.boxes is not None
    assert (account.boxes.boxes, account.boxes.acquired, account.boxes.open) == (5, 5, 0)


def test_boxes_come_as_they_were_located_in_the_order_that_is_set(around: Around) -> None:
    around.located(parent(0, 20), order="nearest")
    batch = Hand(around).next(Batch)
    boxes = np.stack([batch.x_px, batch.y_px, batch.size_px], axis=1)
    assert np.array_equal(boxes, located("r", 0, 20).boxes[batch.box_id])
    assert batch.order == "nearest"
    assert batch.travel_px < batch.travel_boxed_px
    entry = around.entry()
    assert (entry.travel_px, entry.travel_boxed_px) == (batch.travel_px, batch.travel_boxed_px)


def test_pixel_size_and_rotation_of_a_parent_come_with_its_boxes(around: Around) -> None:
    around.located(parent(0, 1, pixel_size_nm=0.25, scan_rotation_deg=-12.5))
    batch = Hand(around).next(Batch)
    assert (batch.pixel_size_nm, batch.scan_rotation_deg) == (0.25, -12.5)


def test_what_is_located_while_a_controller_waits_is_offered_to_it(around: Around) -> None:
    around.located(nothing(0))
    hand = Hand(around)
    hand.receipts(hand.begun(), [], final=True)
    around.more(located(around.run, 7, 2), located(around.run, 3, 2))
    assert [hand.begun().seq] == [7], "in the order of commits"


def test_a_controller_has_no_more_batches_than_its_window(around: Around) -> None:
    around.located(*(parent(seq, 1) for seq in range(4)))
    hand = Hand(around, window=2)
    first, second = hand.next(Batch), hand.next(Batch)
    for _ in range(20):
        around.turn()
    assert hand.came == []
    hand.begin(second)
    hand.next(Go)
    hand.receipts(second, [0], final=True)
    assert hand.next(Batch).seq == 2
    assert first.seq == 0


def test_an_offer_without_go_goes_to_another_at_once_when_its_controller_is_gone(
    around: Around,
) -> None:
    around.located(parent(0, 2))
    gone, other = Hand(around, "gone"), None
    first = gone.next(Batch)
    other = Hand(around, "other")
    gone.leave()
    again = other.begun()
    assert (again.seq, again.grant > first.grant) == (0, True)
    other.receipts(again, [0, 1], final=True)
    around.until_state("done")


def test_an_earlier_offer_cannot_be_begun_any_more(around: Around) -> None:
    around.located(parent(0, 2))
    late = Hand(around, "late")
    first = late.next(Batch)
    late.leave()
    other = Hand(around, "other")
    other.begun()
    late.connect()
    late.begin(first)
    assert "this offer is over" in late.next(Withdrawn).reason


def test_begin_may_be_said_twice_and_is_answered_twice(around: Around) -> None:
    around.located(parent(0, 2))
    hand = Hand(around)
    batch = hand.begun()
    hand.begin(batch)
    hand.next(Go)


def test_what_has_go_is_held_when_its_controller_is_gone_and_offered_to_nobody(
    around: Around,
) -> None:
    around.located(parent(0, 3))
    gone = Hand(around, "gone")
    gone.receipts(gone.begun(), [1])
    other = Hand(around, "other")
    gone.leave()
    entry = around.until_state("held")
    assert entry.doubtful == [0, 2]
    assert entry.why == "away: gone is gone, and 2 boxes may have been under the beam"
    for _ in range(20):
        around.turn()
    assert other.came == []
    account = read_account(around.places)
    assert account.boxes is not None
    assert (account.closes, account.boxes.held, account.boxes.open) == (True, 1, 2)


def test_the_same_session_goes_on_when_its_connection_is_back(around: Around) -> None:
    around.located(parent(0, 3))
    hand = Hand(around)
    batch = hand.begun()
    hand.leave()
    around.until_state("held")
    hand.connect()
    around.until_state("started")
    hand.receipts(batch, [0, 1, 2], final=True)
    around.until_state("done")


def test_receipts_that_come_late_end_what_was_held(around: Around) -> None:
    """Also when they are the first thing that is heard of the session again."""
    around.located(parent(0, 2))
    hand = Hand(around)
    batch = hand.begun()
    around.kill()
    around.start()
    assert around.until_state("held").why.startswith("away: the feed was started again")
    hand.say(hand.description)
    hand.receipts(batch, [0, 1], final=True)
    around.until_state("done")


def test_an_offer_that_the_connection_has_lost_is_made_again(around: Around) -> None:
    around.located(parent(0, 2))
    hand = Hand(around)
    first = hand.next(Batch)
    hand.leave()
    hand.connect()
    assert hand.begun().seq == first.seq


def test_repeated_receipts_are_noted_again_and_kept_once(around: Around) -> None:
    around.located(parent(0, 2))
    hand = Hand(around)
    batch = hand.begun()
    hand.receipts(batch, [0])
    hand.receipts(batch, [0])
    hand.receipts(batch, [1], final=True)
    hand.receipts(batch, [1], final=True)
    entry = around.until_state("done")
    assert entry.receipts_by_status() == {"acquired": 2, "rejected": 0, "failed": 0, "open": 0}
    with FeedStore(around.places.feed, read_only=True) as store:
        assert store.late() == 0


def test_receipts_that_come_after_the_last_one_end_what_they_left_in_doubt(around: Around) -> None:
    around.located(parent(0, 3))
    hand = Hand(around)
    batch = hand.begun()
    hand.receipts(batch, [2], final=True)
    assert around.until_state("held").doubtful == [0, 1]
    hand.receipts(batch, [0])
    assert around.entry().state == "held"
    hand.receipts(batch, [1])
    around.until_state("done")


def test_a_journal_tells_what_became_of_an_earlier_session(around: Around) -> None:
    around.located(parent(0, 4))
    first = Hand(around, session="s1", journal="j")
    batch = first.begun()
    first.receipts(batch, [0])
    first.leave()
    second = Hand(around, session="s2", journal="j")
    asked = second.next(Recall)
    assert (asked.seq, asked.grant) == (0, batch.grant)
    second.receipts(asked, [1], untouched=(2, 3), final=True)
    rest = second.begun()
    assert rest.box_id.tolist() == [2, 3]
    assert rest.may_repeat.tolist() == [0, 0]
    second.receipts(rest, [2, 3], final=True)
    around.until_state("done")


def test_what_a_journal_does_not_know_stays_held(around: Around) -> None:
    around.located(parent(0, 4))
    first = Hand(around, session="s1", journal="j")
    first.begun()
    first.leave()
    second = Hand(around, session="s2", journal="j")
    second.receipts(second.next(Recall), [0], untouched=(3,), final=True)
    entry = around.until_state("held")
    assert entry.doubtful == [1, 2]
    assert entry.why == "c does not know what became of 2 boxes"
    assert entry.open == [1, 2, 3]


def test_another_journal_or_session_cannot_answer_for_a_batch(around: Around) -> None:
    around.located(parent(0, 1))
    first = Hand(around, session="s1", journal="j")
    batch = first.begun()
    first.leave()
    stranger = Hand(around, "stranger", session="s2", journal="k")
    with capture_logs() as log:
        stranger.receipts(batch, [0], final=True)
    assert around.until_state("held").receipts == {}
    assert any("another session" in str(line.get("error")) for line in log)


def test_a_controller_that_ends_gives_back_what_it_has_not_touched(around: Around) -> None:
    around.located(parent(0, 3))
    hand = Hand(around)
    batch = hand.begun()
    hand.receipts(batch, [0], untouched=(1, 2), final=True)
    again = hand.begun()
    assert again.box_id.tolist() == [1, 2]


def test_released_boxes_come_again_and_say_that_they_may_repeat(around: Around) -> None:
    around.located(parent(0, 3))
    gone = Hand(around, "gone")
    gone.receipts(gone.begun(), [1])
    gone.leave()
    around.until_state("held")
    other = Hand(around, "other")
    with around.operator() as (batches, entry):
        batches.release(entry, repeat=True)
    batch = other.begun()
    assert batch.box_id.tolist() == [0, 2]
    assert batch.may_repeat.tolist() == [1, 1]
    other.receipts(batch, [0, 2], final=True)
    around.until_state("done")


def test_released_without_repeating_what_is_in_doubt_has_failed(around: Around) -> None:
    around.located(parent(0, 3))
    gone = Hand(around, journal="j")
    gone.begun()
    gone.leave()
    around.until_state("held")
    second = Hand(around, session="s2", journal="j")
    second.receipts(second.next(Recall), [], untouched=(2,), final=True)
    around.until_state("held")
    with around.operator() as (batches, entry):
        batches.release(entry, repeat=False)
    assert second.begun().box_id.tolist() == [2]
    known = around.entry().receipts
    assert {(known[box].status, known[box].by) for box in (0, 1)} == {("failed", "operator")}
    assert "in doubt" in known[0].reason


def test_a_receipt_that_comes_after_a_release_is_kept_beside_the_other(around: Around) -> None:
    around.located(parent(0, 2))
    late = Hand(around, "late")
    old = late.begun()
    late.leave()
    around.until_state("held")
    with around.operator() as (batches, entry):
        batches.release(entry, repeat=True)
    other = Hand(around, "other")
    batch = other.begun()
    other.receipts(batch, [0])
    late.connect()
    late.receipts(old, [0, 1], final=True)
    other.receipts(batch, [1], final=True)
    entry = around.until_state("done")
    assert [entry.receipts[box].by for box in (0, 1)] == ["other", "late"]
    with FeedStore(around.places.feed, read_only=True) as store:
        assert store.late() == 2
        told = [what for _, what in store.history(entry.place) if what.startswith("late")]
    assert "late says acquired of box 0" in told[0]


def test_a_late_receipt_takes_its_box_out_of_an_offer_that_is_not_begun(around: Around) -> None:
    around.located(parent(0, 2))
    late = Hand(around, "late")
    old = late.begun()
    late.leave()
    around.until_state("held")
    with around.operator() as (batches, entry):
        batches.release(entry, repeat=True)
    other = Hand(around, "other")
    offered = other.next(Batch)
    late.connect()
    late.receipts(old, [0])
    other.begin(offered)
    until(lambda: len(other.came) == 2, around.turn)
    offers = {type(said): said for said in other.came}
    assert offers.keys() == {Batch, Withdrawn}
    again = offers[Batch]
    assert isinstance(again, Batch)
    assert again.box_id.tolist() == [1]


def test_dropped_boxes_have_failed_and_what_is_under_a_beam_cannot_be_dropped(
    around: Around,
) -> None:
    around.located(parent(0, 2))
    hand = Hand(around)
    hand.begun()
    with pytest.raises(NotNow, match="under the beam of c"), around.operator() as (batches, entry):
        batches.drop(entry)
    hand.leave()
    around.until_state("held")
    with around.operator() as (batches, entry):
        batches.drop(entry)
    assert around.until_state("done").receipts_by_status()["failed"] == 2
    with pytest.raises(NotNow, match="is done"), around.operator() as (batches, entry):
        batches.drop(entry)


def test_boxes_that_no_controller_here_takes_are_refused_by_name(around: Around) -> None:
    around.located(parent(0, 3, side=32), parent(1, 3))
    with capture_logs() as log:
        hand = Hand(around, grid_height=64, grid_width=64)
        batch = hand.begun()
        assert batch.seq == 1  # while the other may still be for somebody who is about to come
        hand.receipts(batch, batch.box_id.tolist(), final=True)
        assert around.entry().receipts == {}
        around.settle()
        entry = around.until_state("done")
    assert entry.receipts_by_status()["rejected"] == 3
    known = entry.receipts[0]
    assert known.reason == (
        "outside_grid: the parent is 32 x 32 (width x height), the controller's grid 64 x 64"
    )
    assert known.by == "feed"
    assert any(line["event"] == "boxes.refused" and line["boxes"] == 3 for line in log)
    with around.operator() as (batches, again):
        batches.release(again, repeat=False)
    assert Hand(around, "right").begun().seq == 0


def test_a_wrong_field_of_a_controller_settles_no_box_for_good(around: Around) -> None:
    around.located(parent(0, 2, pixel_size_nm=0.5), parent(1, 2, scan_rotation_deg=5.0))
    wrong = Hand(around, "wrong", grid_height=64, grid_width=64, field_height_nm=31.0)
    around.settle()
    assert {around.until_state("done", seq).count("rejected") for seq in (0, 1)} == {2}
    assert around.entry(0).receipts[0].reason.startswith("another_field: the parent is 32 nm high")
    assert around.entry(1).receipts[0].reason.startswith("another_rotation")
    assert wrong.came == []
    with around.operator() as (batches, entry):
        batches.release(entry, repeat=False)
    right = Hand(around, "right", grid_height=64, grid_width=64, field_height_nm=32.0)
    batch = right.begun()
    assert (batch.seq, batch.box_id.tolist()) == (0, [0, 1])


def test_a_parent_goes_to_the_controller_that_shows_its_field(around: Around) -> None:
    around.located(parent(0, 2, pixel_size_nm=0.5))
    Hand(around, "wrong", field_height_nm=31.0)
    right = Hand(around, "right", field_height_nm=32.0)
    around.settle()
    assert right.begun().seq == 0


def test_boxes_outside_a_controllers_limits_are_refused_and_the_others_offered(
    around: Around,
) -> None:
    around.located(parent(0, 20))
    sizes = located("r", 0, 20).boxes[:, 2]
    hand = Hand(around, smallest_px=5, largest_px=6)
    around.settle()
    batch = hand.begun()
    assert sorted(batch.box_id.tolist()) == np.flatnonzero((sizes > 4) & (sizes < 7)).tolist()
    refused = around.entry().receipts
    assert {refused[box].reason.partition(":")[0] for box in refused} == {"too_small", "too_large"}


def test_the_rest_of_a_batch_waits_for_one_who_takes_it_and_is_not_refused(
    around: Around,
) -> None:
    around.located(parent(0, 3))
    hand = Hand(around, "right")
    hand.receipts(hand.begun(), [0], untouched=(1, 2), final=True)
    until(lambda: around.entry().state == "offered", around.turn)
    hand.leave()
    Hand(around, "another", grid_height=32, grid_width=32)
    around.until_state("waiting")
    around.settle()
    around.settle()
    for _ in range(20):
        around.turn()
    entry = around.entry()
    assert (entry.state, entry.open) == ("waiting", [1, 2])
    assert Hand(around, "right again").begun().box_id.tolist() == [1, 2]


def test_boxes_that_the_feed_refused_may_be_released_though_others_were_acquired(
    around: Around,
) -> None:
    around.located(parent(0, 20))
    hand = Hand(around, smallest_px=5)
    around.settle()
    batch = hand.begun()
    hand.receipts(batch, batch.box_id.tolist(), final=True)
    entry = around.until_state("done")
    refused = [box for box, known in entry.receipts.items() if known.status == "rejected"]
    assert refused
    with around.operator() as (batches, again):
        batches.release(again, repeat=False)
    assert sorted(Hand(around, "right").begun().box_id.tolist()) == sorted(refused)


def left_alone(around: Around, parents: int, *, begun: bool) -> None:
    """Let so many first batches wait whose only controller had an offer of them, and is gone."""
    small = Hand(around, "small", grid_height=32, grid_width=32, window=parents)
    until(lambda: len(small.came) == parents, around.turn)
    small.leave()
    around.until_state("waiting", parents - 1)
    if begun:  # as after a `Go` and a `final` that gives everything back
        with FeedStore(around.places.feed) as store, store.transaction():
            for entry in store.waiting(parents):
                entry.begun = True
                store.put(entry)


def test_a_controller_that_says_that_it_takes_more_now_gets_it(around: Around) -> None:
    around.located(parent(0, 1, side=32))
    left_alone(around, 1, begun=True)
    hand = Hand(around, grid_height=64, grid_width=64)
    until(lambda: around.feed and around.feed._peers.with_session("c-1"), around.turn)
    until(lambda: around.feed and not around.feed._may_offer, around.turn)
    hand.say(msgspec.structs.replace(hand.description, grid_height=32, grid_width=32))
    assert hand.begun().seq == 0


@pytest.mark.parametrize("begun", [False, True])
def test_however_many_batches_nobody_here_takes_the_next_goes_to_who_does(
    around: Around, begun: bool
) -> None:
    around.located(*(parent(seq, 1, side=32) for seq in range(64)), parent(64, 1), parent(65, 1))
    left_alone(around, 64, begun=begun)
    large = Hand(around, "large", grid_height=64, grid_width=64)
    batch = large.begun()
    assert batch.seq == 64
    large.receipts(batch, [0], final=True)
    assert large.begun().seq == 65
    small = Hand(around, "small again", grid_height=32, grid_width=32)
    assert small.begun().seq == 0


@pytest.mark.parametrize("begun", [False, True])
def test_what_was_only_offered_is_refused_if_nobody_takes_it_and_what_was_begun_waits(
    around: Around, begun: bool
) -> None:
    around.located(parent(0, 1, side=32), parent(1, 1))
    left_alone(around, 1, begun=begun)
    large = Hand(around, "large", grid_height=64, grid_width=64)
    around.settle()
    batch = large.begun()
    large.receipts(batch, [0], final=True)
    assert around.entry().state == ("waiting" if begun else "done")
    assert around.entry().count("rejected") == (0 if begun else 1)


def test_a_busy_controller_goes_on_in_the_order_of_commits_though_others_went_ahead(
    around: Around,
) -> None:
    around.located(*(parent(seq, 1, side=64 if seq == 70 else 32) for seq in range(71)))
    small = Hand(around, "small", grid_height=32, grid_width=32)
    batch = small.begun()
    assert Hand(around, "large", grid_height=64, grid_width=64).begun().seq == 70
    for seq in range(3):
        assert batch.seq == seq
        small.receipts(batch, [0], final=True)
        batch = small.begun()


def test_boxes_go_to_whichever_controller_takes_them_and_none_is_refused(around: Around) -> None:
    around.located(parent(0, 20))
    sizes = located("r", 0, 20).boxes[:, 2]
    small, large = Hand(around, "small", largest_px=4), Hand(around, "large", smallest_px=5)
    around.settle()
    for hand, takes in (large, sizes > 4), (small, sizes < 5):
        batch = hand.begun()
        assert sorted(batch.box_id.tolist()) == np.flatnonzero(takes).tolist()
        hand.receipts(batch, batch.box_id.tolist(), final=True)
    assert around.until_state("done").count("acquired") == 20


def test_what_the_feed_rejected_stays_so_in_a_held_batch_and_is_released_when_it_is_done(
    around: Around,
) -> None:
    around.located(parent(0, 20))
    hand = Hand(around, smallest_px=5)
    around.settle()
    offered = hand.begun().box_id.tolist()
    rejected_here = [box for box in range(20) if box not in offered]
    hand.leave()
    around.until_state("held")
    with around.operator() as (batches, entry):
        batches.release(entry, repeat=False)
    assert around.entry().state == "done"
    assert around.entry().receipts_by_status() == {
        "acquired": 0,
        "rejected": len(rejected_here),
        "failed": len(offered),
        "open": 0,
    }
    with around.operator() as (batches, entry):
        batches.release(entry, repeat=False)
    assert Hand(around, "another").begun().box_id.tolist() == rejected_here
    with (
        pytest.raises(NotNow, match="is started; what is held can be released, and what is done"),
        around.operator() as (batches, entry),
    ):
        batches.release(entry, repeat=False)


def test_no_receipt_of_an_offer_is_ever_taken_back_whoever_signed_it(around: Around) -> None:
    """A file from before `feed` was refused as a name may have such receipts."""
    around.located(parent(0, 2))
    hand = Hand(around)
    hand.receipts(hand.begun(), [0, 1], final=True)
    around.until_state("done")
    with around.operator() as (batches, entry):
        entry.receipts = {
            box: msgspec.structs.replace(known, by="feed") for box, known in entry.receipts.items()
        }
        batches.store.put(entry)
    with pytest.raises(NotNow, match="is done"), around.operator() as (batches, entry):
        batches.release(entry, repeat=False)
    assert around.entry().count("acquired") == 2


def test_a_controller_that_calls_itself_as_the_feed_does_gets_nothing(around: Around) -> None:
    around.located(parent(0, 1))
    hand = Hand(around, grid_height=32, grid_width=32)
    with pytest.raises(ValueError, match="'feed' gives receipts itself; expected another name"):
        encode(msgspec.structs.replace(hand.description, controller="feed"))
    hand.say_parts(list(HOSTILE["a controller called feed"]))
    until(lambda: around.feed and around.feed._figures()["undecodable"], around.turn)
    assert around.feed is not None
    assert [peer.description.controller for peer in around.feed._peers] == ["c"]


def test_a_parent_waits_for_the_controller_that_takes_it(around: Around) -> None:
    around.located(parent(0, 1), parent(1, 1, side=32), parent(2, 1, side=32))
    small = Hand(around, "small", grid_height=32, grid_width=32)
    until(lambda: around.feed and len(around.feed._peers), around.turn)
    large = Hand(around, "large", grid_height=64, grid_width=64)
    assert large.begun().seq == 0
    batch = small.begun()
    assert batch.seq == 1
    small.receipts(batch, [0], final=True)
    assert small.begun().seq == 2


def test_a_parent_with_too_many_boxes_comes_as_several_batches(around: Around) -> None:
    around.located(parent(0, 5))
    hand = Hand(around, most_boxes=2)
    seen = []
    for _ in range(3):
        batch = hand.begun()
        assert batch.n_boxes == 5
        seen += batch.box_id.tolist()
        hand.receipts(batch, batch.box_id.tolist(), final=True)
    assert seen == [0, 1, 2, 3, 4]
    around.until_state("done")


def test_a_feed_whose_controllers_are_busy_looks_at_nothing_again(around: Around) -> None:
    around.located(parent(0, 1), parent(1, 1), parent(2, 1, side=32))
    Hand(around, "small", grid_height=32, grid_width=32).begun()
    Hand(around, "large", grid_height=64, grid_width=64).begun()
    around.settle()
    assert around.feed is not None
    for _ in range(3):
        around.turn()
    assert not around.feed._may_offer


def test_no_question_to_the_feeds_file_reads_all_of_it(around: Around) -> None:
    """It would take seconds behind a million batches, some times a second."""
    around.located(parent(0, 1))
    asked: list[str] = []
    with FeedStore(around.places.feed) as store:
        store._db.set_trace_callback(asked.append)
        store.waiting(1)
        list(store.in_state("held"))
        store.count_with("s")
        store.with_session("s")
        store.with_journal("j")
        store.of_frame("r", 0)
        store.named("parent-0")
        store.highest_place()
        store.sums()
        store._db.set_trace_callback(None)
        plans = {
            query: str(store._db.execute(f"EXPLAIN QUERY PLAN {query}").fetchall())
            for query in asked
            if query.startswith("SELECT")
        }
    assert len(plans) >= 8
    for query, plan in plans.items():
        assert "SCAN batches" not in plan, (query, plan)


def test_several_controllers_share_a_feed_and_no_box_goes_to_two(around: Around) -> None:
    around.located(*(parent(seq, 2) for seq in range(6)))
    hands = [Hand(around, name) for name in "abc"]
    seen = []
    for _ in range(2):
        for hand in hands:
            batch = hand.begun()
            seen.append(batch.seq)
            hand.receipts(batch, [0, 1], final=True)
    assert sorted(seen) == list(range(6))


def test_who_watches_gets_a_copy_and_nobody_waits_for_him(around: Around) -> None:
    around.located(parent(0, 2), copies=f"{around.address}.copies")
    with zmq.Context() as context, context.socket(zmq.SUB) as watching:
        watching.subscribe(b"HF")
        watching.connect(f"{around.address}.copies")
        hand = Hand(around)
        batch = hand.begun()
        hand.receipts(batch, [0])
        copies = []

        def look() -> None:
            around.turn()
            hand.say(hand.description)
            if watching.poll(0):
                copies.append(decode(watching.recv_multipart()))
            else:
                hand.receipts(batch, [1])

        until(lambda: any(isinstance(copy, Receipts) for copy in copies), look)


def test_on_a_full_disk_nothing_is_answered_and_then_all_of_it(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    around.located(parent(0, 2))
    hand = Hand(around)
    batch = hand.next(Batch)
    assert around.feed is not None
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL

    def refuse(_entry: object) -> None:
        raise full

    paused: list[float] = []
    monkeypatch.setattr(around.feed, "_pause", paused.append)
    with monkeypatch.context() as patch:
        patch.setattr(around.feed.store, "put", refuse)
        hand.begin(batch)
        until(lambda: paused, around.turn)
        assert around.feed._figures()["waits_for_disk"] == 1
        assert hand.came == []
        assert around.entry().state == "offered"
    hand.begin(batch)  # of an offer that is over, as if the feed had been started again
    hand.say(hand.description)
    again = hand.begun()
    assert again.box_id.tolist() == batch.box_id.tolist()


def test_after_a_full_disk_a_batch_under_the_beam_goes_on_where_it_was(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    around.located(parent(0, 2))
    hand = Hand(around)
    batch = hand.begun()
    assert around.feed is not None
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL

    def refuse(_entry: object) -> None:
        raise full

    paused: list[float] = []
    monkeypatch.setattr(around.feed, "_pause", paused.append)
    said = Receipts(
        number=1,
        run=batch.run,
        seq=0,
        grant=batch.grant,
        receipts=(Receipt(box_id=0, status="acquired"),),
    )
    with monkeypatch.context() as patch:
        patch.setattr(around.feed.store, "put", refuse)
        hand.say(said)
        until(lambda: paused, around.turn)
        assert around.entry().receipts == {}
    around.turn()
    with FeedStore(around.places.feed, read_only=True) as store:
        *_, what = [what for _, what in store.history(around.entry().place)]
    assert "the disk of the feed was full, and 2 boxes may have been" in what
    hand.say(hand.description)
    hand.say(said)
    assert hand.next(Noted).number == 1
    assert around.entry().state == "started"
    hand.receipts(batch, [1], final=True)
    assert around.until_state("done").receipts_by_status()["acquired"] == 2


def test_after_any_garbage_the_next_batch_is_acquired(around: Around) -> None:
    around.located(*(parent(seq, 1) for seq in range(len(HOSTILE))))
    hand = Hand(around)
    for thrown, (what, parts) in enumerate(HOSTILE.items(), start=1):
        hand.say_parts(list(parts) or [b""])
        batch = hand.begun()
        hand.receipts(batch, [0], final=True)
        assert batch.seq == thrown - 1
        assert around.feed is not None
        assert around.feed._figures()["undecodable"] == thrown, what


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"grant": 99}, "no offer 99 of batch"),
        ({"seq": 5}, "no offer 1 of batch"),
        ({"run": "other"}, "no offer 1 of batch other/0"),
        ({"receipts": (Receipt(box_id=7, status="acquired"),)}, "box 7: batch .* has 2"),
    ],
)
def test_receipts_of_what_was_not_offered_are_counted_and_named(
    around: Around, changed: dict[str, Any], says: str
) -> None:
    around.located(parent(0, 2))
    hand = Hand(around)
    batch = hand.begun()
    said = Receipts(number=1, run=batch.run, seq=0, grant=batch.grant)
    with capture_logs() as log:
        hand.say(msgspec.structs.replace(said, **changed))
        hand.next(Noted)
    (line,) = [line for line in log if line["event"] == "receipts.of_no_offer"]
    with pytest.raises(ValueError, match=says):
        raise ValueError(line["error"])
    assert around.entry().receipts == {}


def test_a_receipt_of_a_box_that_was_not_in_the_offer_is_not_kept(around: Around) -> None:
    around.located(parent(0, 3))
    hand = Hand(around, most_boxes=2)
    batch = hand.begun()
    assert batch.box_id.tolist() == [0, 1]
    with capture_logs() as log:
        hand.receipts(batch, [0, 2])
    (line,) = [line for line in log if line["event"] == "receipts.of_no_offer"]
    assert line["error"].startswith("box 2 is not in offer 1 of ")
    assert sorted(around.entry().receipts) == [0]


def test_who_has_not_described_himself_is_not_obeyed(around: Around) -> None:
    around.located(parent(0, 2))
    hand = Hand(around)
    batch = hand.next(Batch)
    silent = Requester(around.address)
    silent.send(encode(Begin(run=batch.run, seq=0, grant=batch.grant)))
    with capture_logs() as log:
        until(lambda: any(line["event"] == "controller.not_described" for line in log), around.turn)
    assert around.entry().state == "offered"
    silent.close(0)
