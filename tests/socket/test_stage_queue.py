"""A stage queue over real sockets: credit, leases, dead workers, garbage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from protocols import decode, encode
from protocols.messages import (
    Credit,
    Envelope,
    Failed,
    Metadata,
    Probe,
    Rejected,
    Started,
    SurveyImage,
)
from services.runtime.endpoints import Inlet, Outlet, Requester, Socket
from services.runtime.topology import Topology
from services.runtime.worker import PREFETCH, Worker
from services.stage_queue import StageQueue
from tests.helpers.hostile_wire import HOSTILE
from tests.helpers.lists import ListInbox, ListOutbox
from tests.helpers.stages import Halves

from .conftest import until

STAGE = "quality_gate"
OF_GARBAGE = 1_000_000
"""Numbers from here on are of no frame that garbage tells of."""


class Chain:
    """A stage queue with everything around it in the test's own hands."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.table = topology.stage_named(STAGE)
        self.next_stage = Inlet(topology.onward_address(STAGE))
        self.sink = Inlet(topology.sink.results)
        self.source = Inlet(topology.source.closed)
        self.queue = StageQueue(topology, STAGE)
        self.upstream = Outlet(self.table.frames)
        self.ends: list[Socket] = []

    def push(self, *seqs: int) -> None:
        for seq in seqs:
            self.push_parts(encode(frame(seq)))

    def push_parts(self, parts: Sequence[Any]) -> None:
        until(lambda: self.upstream.send(parts), self.queue.step)

    def worker_socket(self) -> Requester:
        requester = Requester(self.table.work)
        self.ends.append(requester)
        return requester

    def worker(self, stage: Halves | None = None) -> Worker:
        onward = Outlet(self.topology.onward_address(STAGE))
        sink = Outlet(self.topology.sink.results)
        self.ends += [onward, sink]
        return Worker([stage or Halves()], self.worker_socket(), onward, sink)

    def next_frame(self, requester: Requester) -> SurveyImage:
        got: list[SurveyImage] = []

        def look() -> None:
            self.queue.step(5)
            parts = requester.receive(5)
            if parts is not None:
                message = decode(parts)
                if not isinstance(message, Probe):
                    assert isinstance(message, SurveyImage)
                    got.append(message)

        until(lambda: got, look)
        return got[0]

    def close(self) -> None:
        self.queue.close()
        for end in (self.next_stage, self.sink, self.source, self.upstream, *self.ends):
            end.close(0)


@pytest.fixture
def chain(topology: Topology) -> Iterator[Chain]:
    chain = Chain(topology)
    yield chain
    chain.close()


def frame(seq: int) -> SurveyImage:
    envelope = Envelope(run="r", seq=seq, metadata=Metadata(parent_id=f"p{seq}", source="test"))
    return SurveyImage(envelope=envelope, image=np.full((16, 16), seq % 2**16, dtype=np.uint16))


def test_a_queue_announces_its_epoch_to_the_source(chain: Chain) -> None:
    heard: list[object] = []

    def look() -> None:
        chain.queue.step(5)
        parts = chain.source.receive()
        if parts is not None:
            heard.append(decode(parts))

    until(lambda: heard, look)
    assert isinstance(heard[0], Started)
    assert heard[0].service == f"{STAGE}.queue"


def test_a_worker_gets_as_many_frames_as_it_asked_for(chain: Chain) -> None:
    chain.push(0, 1, 2)
    requester = chain.worker_socket()
    requester.send(encode(Credit(frames=2, outstanding=2)))
    assert [chain.next_frame(requester).envelope.seq for _ in range(2)] == [0, 1]
    until(lambda: chain.queue.dispatch.waiting == 1, chain.queue.step)
    requester.send(encode(Credit(frames=1, outstanding=2, done=(("r", 0),))))
    assert chain.next_frame(requester).envelope.seq == 2


def test_a_worker_ten_times_slower_does_a_tenth_and_its_fellow_never_waits_for_it(
    chain: Chain,
) -> None:
    """Slower in turns, not in seconds: the one says done ten times between two of the other's."""
    turns, times = 10, 10
    slow, fast = chain.worker_socket(), chain.worker_socket()
    for requester in (slow, fast):
        requester.send(encode(Credit(frames=PREFETCH, outstanding=PREFETCH)))
    until(lambda: len(chain.queue.dispatch.workers) == 2, chain.queue.step)
    chain.push(*range(turns * (times + 1) + PREFETCH))

    def work(requester: Requester) -> int:
        done = chain.next_frame(requester)
        assert done.envelope.attempt == 1
        credit = Credit(frames=1, outstanding=PREFETCH, done=(done.envelope.key,))
        requester.send(encode(credit))
        return done.envelope.seq

    by_fast: list[int] = []
    by_slow: list[int] = []
    for _ in range(turns):
        by_fast += [work(fast) for _ in range(times)]
        by_slow.append(work(slow))
    until(lambda: chain.queue.dispatch.figures.done == turns * (times + 1), chain.queue.step)
    assert len({*by_fast, *by_slow}) == turns * (times + 1)
    assert by_fast == sorted(by_fast)
    # What the slow one has in reserve is all that waits for it: no frame of the rest is behind it.
    assert set(range(max(by_slow))) - {*by_fast, *by_slow} == set()
    assert chain.queue.dispatch.figures.redelivered == 0


def test_the_frames_of_a_worker_that_vanishes_go_to_another(chain: Chain) -> None:
    chain.push(0, 1)
    dying = chain.worker_socket()
    dying.send(encode(Credit(frames=2, outstanding=2)))
    chain.next_frame(dying)
    dying.close(0)
    heir = chain.worker_socket()
    heir.send(encode(Credit(frames=2, outstanding=2)))
    frames = [chain.next_frame(heir) for _ in range(2)]
    assert [(f.envelope.seq, f.envelope.attempt) for f in frames] == [(0, 2), (1, 1)]
    assert [[setback.how for setback in f.envelope.past] for f in frames] == [["died"], []]
    assert np.array_equal(frames[1].image, frame(1).image)


def test_what_a_leaving_worker_said_is_heard_before_it_is_taken_for_dead(chain: Chain) -> None:
    """It may be gone by the time the queue turns to its probes, its good-bye yet unread."""
    chain.push(0, 1, 2)
    leaving = chain.worker_socket()
    leaving.send(encode(Credit(frames=2, outstanding=2)))
    chain.next_frame(leaving)
    leaving.send(encode(Credit(frames=0, outstanding=1, done=(("r", 0),), leaving=True)))
    leaving.close()
    until(lambda: not chain.queue.dispatch.workers, lambda: chain.queue.turn(set()))
    assert chain.queue.dispatch.figures.workers_lost == 0
    assert chain.queue.dispatch.figures.redelivered == 0
    heir = chain.worker_socket()
    heir.send(encode(Credit(frames=2, outstanding=2)))
    frames = [chain.next_frame(heir) for _ in range(2)]
    assert [(f.envelope.seq, f.envelope.attempt) for f in frames] == [(1, 1), (2, 1)]


def test_a_frame_that_takes_three_workers_down_is_a_dead_letter(chain: Chain) -> None:
    chain.push(0)
    for number in range(3):
        dying = chain.worker_socket()
        name = f"worker {number} on here"
        dying.send(encode(Credit(frames=1, outstanding=1, worker=name)))
        chain.next_frame(dying)
        dying.close(0)
        until(lambda: not chain.queue.dispatch.workers, chain.queue.step)
    outcome: list[object] = []

    def look() -> None:
        chain.queue.step(5)
        parts = chain.sink.receive()
        if parts is not None:
            outcome.append(decode(parts))

    until(lambda: outcome, look)
    assert isinstance(outcome[0], Failed)
    assert outcome[0].envelope.metadata.parent_id == "p0"
    assert "3 workers" in outcome[0].reason
    assert outcome[0].envelope.attempt == 3
    past = outcome[0].envelope.past
    assert [setback.worker for setback in past] == [f"worker {n} on here" for n in range(3)]
    assert {(setback.stage, setback.how) for setback in past} == {(STAGE, "died")}
    assert all(setback.begun_unix <= setback.ended_unix for setback in past)  # type: ignore[operator]
    assert not chain.queue._names, "names of workers that are gone"


def test_a_queue_that_was_started_again_learns_of_the_workers_that_are_there(
    chain: Chain,
) -> None:
    worker = chain.worker()
    worker.ask()
    until(lambda: chain.queue.dispatch.workers, chain.queue.step)
    chain.queue.close()
    chain.queue = StageQueue(chain.topology, STAGE)
    # What is pushed into a queue that is closing is lost, and the source would send it again. Here
    # is no source, so this end is made anew too.
    chain.upstream.close(0)
    chain.upstream = Outlet(chain.table.frames)
    chain.push(2, 4, 6)
    outcomes: list[int] = []

    def look() -> None:
        chain.queue.step(5)
        worker.step(5)
        parts = chain.next_stage.receive()
        if parts is not None:
            outcomes.append(decode(parts, expect=(SurveyImage,)).envelope.seq)

    until(lambda: len(outcomes) == 3, look)
    assert outcomes == [2, 4, 6]


def test_the_loop_hands_on_rejects_and_buries(chain: Chain) -> None:
    """Halves takes even numbers, rejects odd ones, and raises on 13."""
    chain.push(4, 13, 5)
    worker = chain.worker()
    worker.ask()
    outcomes: dict[int, object] = {}

    def look() -> None:
        chain.queue.step(5)
        worker.step(5)
        for inlet in (chain.next_stage, chain.sink):
            parts = inlet.receive()
            if parts is not None:
                message = decode(parts)
                outcomes[message.envelope.seq] = message  # type: ignore[union-attr]

    until(lambda: len(outcomes) == 3, look)
    until(lambda: chain.queue.dispatch.leased == 0, look)
    taken, failed, rejected = outcomes[4], outcomes[13], outcomes[5]
    assert isinstance(taken, SurveyImage)
    assert taken.image[0, 0] == 2
    (record,) = taken.envelope.stages
    assert (record.stage, record.findings) == (STAGE, {"halved": True})
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "odd: 5 has no half"
    assert isinstance(failed, Failed)
    assert failed.reason == "RuntimeError: unlucky"
    assert "in handle" in failed.traceback
    (setback,) = failed.envelope.past
    assert (setback.stage, setback.how) == (STAGE, "raised RuntimeError")


def test_a_worker_told_to_stop_does_not_wait_for_a_next_stage_that_is_gone() -> None:
    inbox, nobody = ListInbox([encode(frame(4))]), ListOutbox(refusals=10**9)
    worker = Worker([Halves()], inbox, nobody, nobody, give_up=lambda: True)
    assert worker.step(0)
    assert not inbox.sent, "it must not be said to be done"


def test_while_nobody_takes_its_result_a_worker_says_that_it_is_there() -> None:
    ticks = iter(range(1000))
    inbox, nobody = ListInbox([encode(frame(4))]), ListOutbox(refusals=6)
    worker = Worker([Halves()], inbox, nobody, nobody, clock=lambda: 0.4 * next(ticks))
    worker.ask()
    assert worker.step(0)
    said = [decode(parts, expect=(Credit,)) for parts in inbox.sent[1:]]
    assert [credit.frames for credit in said[:-1]] == [0] * (len(said) - 1)
    assert len(said) > 1
    assert said[-1].done == (("r", 4),)


def test_after_garbage_the_next_good_frame_flows(chain: Chain) -> None:
    """Each piece of it in turn at both addresses, and one queue and worker through it all."""
    worker = chain.worker()
    worker.ask()
    outcomes: list[int] = []

    def look() -> None:
        chain.queue.step(5)
        worker.step(5)
        for inlet in (chain.next_stage, chain.sink):
            received = inlet.receive()
            if received is not None:
                outcomes.append(decode(received).envelope.seq)  # type: ignore[union-attr]

    for seq, (name, garbage) in enumerate(sorted(HOSTILE.items()), OF_GARBAGE):
        parts = garbage or [b""]
        chain.push_parts(parts)
        chain.push(seq)
        worker._inbox.send(parts)
        until(lambda: seq in outcomes, look, after=name)  # noqa: B023 - called at once
    # All that came as Credit; of frames only those that are nobody's, a worker has seen the others.
    until(lambda: chain.queue._bad.undecodable > len(HOSTILE), look)


def test_findings_that_cannot_be_sent_make_a_dead_letter_and_the_next_frame_flows(
    chain: Chain,
) -> None:
    chain.push(4)
    worker = chain.worker(Halves(findings={"seen": object()}))
    worker.ask()
    buried: list[Failed] = []

    def look() -> None:
        chain.queue.step(5)
        worker.step(5)
        parts = chain.sink.receive()
        if parts is not None:
            buried.append(decode(parts, expect=(Failed,)))

    until(lambda: buried, look)
    until(lambda: chain.queue.dispatch.leased == 0, look)
    assert buried[0].reason == "EncodeError: SurveyImage: envelope: object cannot be sent"
    chain.push(6)
    until(lambda: len(buried) == 2, look)
