"""Whatever may come to the supervisor's two ends: counted, named, and the next good one is heard.

`tests/system/test_hostile_input.py` throws the same at all ends of a whole chain (`make soak`).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import structlog

from protocols import decode, encode
from protocols.messages import Answer, Beat, Command
from services.chain import COMMANDS_WAITING, _answer
from services.runtime.endpoints import Dispatcher, Outlet, Requester
from services.runtime.places import Places
from services.runtime.supervisor import LARGEST_BEAT, Supervisor
from services.runtime.topology import Topology
from tests.helpers.hostile_bytes import raw_visits
from tests.helpers.hostile_wire import HOSTILE

from .conftest import until

ANYWHERE = "tcp://127.0.0.1:*"


class Ends:
    """A supervisor that has started nothing, an honest service and an honest operator."""

    def __init__(self, topology: Topology, places: Places) -> None:
        chain = msgspec.structs.replace(topology.chain, beats=ANYWHERE, control=ANYWHERE)
        topology = msgspec.structs.replace(topology, chain=chain)
        self.control = Dispatcher(ANYWHERE, waiting=COMMANDS_WAITING)
        self.supervisor = Supervisor(topology, places, until_drained=False)
        self.supervisor.bad_input.watch("chain.control", self.control, brief=True)
        self.beats = Outlet(self.supervisor._beats.address)
        self.operator = Requester(self.control.address)
        self.pid = 1

    def turn(self) -> None:
        if self.control in self.supervisor.step(5, also=(self.control,)):
            _answer(self.control, self.supervisor)

    def throw(self, parts: list[bytes]) -> int:
        """Send to both ends, as strangers; return how many of the two are to be counted.

        What is above a beat's limit ends the stranger's connection, and nobody else's.
        """
        stranger = Outlet(self.supervisor._beats.address)
        other = Requester(self.control.address)
        until(lambda: stranger.send(parts), self.turn)
        other.send(parts)
        assert not self.answer_to(other).ok
        for end in (stranger, other):
            end.close()
        return 1 + (max(map(len, parts)) <= LARGEST_BEAT)

    def good_ones_get_through(self) -> None:
        self.pid += 1
        beat = Beat(service="sink", pid=self.pid, epoch="e", unix=1.0, figures={"located": 1})
        until(lambda: self.beats.send(encode(beat)), self.turn)
        until(lambda: self.supervisor.status.heard(self.pid) is not None, self.turn)
        self.operator.send(encode(Command(verb="status")))
        assert self.answer_to(self.operator).ok

    def answer_to(self, asker: Requester) -> Answer:
        parts: list[Any] = []

        def look() -> None:
            self.turn()
            parts.extend(asker.receive() or ())

        until(lambda: parts, look)
        answer: Answer = decode(parts, expect=(Answer,))
        return answer

    def close(self) -> None:
        self.supervisor.stop()
        for end in (self.control, self.beats, self.operator):
            end.close(0)


@pytest.fixture
def ends(topology: Topology, places: Places) -> Iterator[Ends]:
    ends = Ends(topology, places)
    ends.good_ones_get_through()
    yield ends
    ends.close()


def test_after_garbage_the_next_beat_is_heard_and_the_next_command_answered(ends: Ends) -> None:
    counted = 0
    with structlog.testing.capture_logs() as log:
        for what, parts in HOSTILE.items():
            counted += ends.throw(list(parts) or [b""])
            until(lambda: ends.supervisor.bad_input.undecodable >= counted, ends.turn)  # noqa: B023
            ends.good_ones_get_through()
            assert ends.supervisor.bad_input.undecodable == counted, what
    assert counted > 2 * len(HOSTILE) - 10
    events = {entry["event"] for entry in log}
    assert {"beat.undecodable", "command.undecodable"} <= events


@pytest.mark.parametrize("kind", [b"PUSH", b"DEALER"])
def test_after_bytes_that_are_no_message_too_and_no_visitor_is_taken_for_a_peer(
    ends: Ends, kind: bytes
) -> None:
    address = (ends.supervisor._beats if kind == b"PUSH" else ends.control).address
    host, port = address.removeprefix("tcp://").split(":")
    before = ends.supervisor.status.current(0.0)
    for visit in raw_visits(kind).values():
        if not visit.stays:
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(visit.data)
            ends.good_ones_get_through()
    until(lambda: ends.supervisor.bad_input.strangers > 0, ends.turn)
    assert ends.supervisor.status.current(0.0).located == before.located
