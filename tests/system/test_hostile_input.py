"""A whole chain of real processes, and whatever may be thrown at every socket that listens.

After each thing a good frame flows. In the end all that came is counted in `status` and named in
the logs, no process has grown, and the account closes.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import psutil
import pytest
import zmq

from services.detectors.client import Detector
from services.results import ResultStore
from services.runtime.places import Places
from services.runtime.topology import Topology
from tests.helpers.command import haadflow
from tests.helpers.garbage import particle
from tests.helpers.hostile_bytes import raw_visits
from tests.helpers.hostile_wire import HOSTILE, Parts, wire
from tests.helpers.soak import soak
from tests.helpers.up import Up
from tests.helpers.wait import until
from tests.helpers.wire_examples import EXAMPLES

pytestmark = [pytest.mark.system, soak]

ROUTERS = ("chain.control", "source.offers", "feed.batches")
GROWTH_MIB = 48
"""Of one process: less than any claimed length, more than Python's own breathing."""
OBEYED = {
    "chain.control": {"Command"},
    "chain.beats": {"Beat"},
    "source.offers": {"Offer"},
    "source.closed": {"Closed", "Started"},
    "work": {"Credit"},
    "feed.batches": {"Description", "Begin", "Receipts"},
}
"""What would be no hostile input but an order, from whoever may give it."""
HEARD_BY = {"chain": "supervisor", "sink": "sink", "source": "source", "feed": "feed"}
FEED = {"[sink]\n": '[feed]\nbatches = "tcp://127.0.0.1:5770"\n\n[sink]\n'}
"""What the shipped chain has not."""


class Besieged:
    """A chain, an honest detector, and a stranger at every address."""

    def __init__(self, up: Up) -> None:
        self.up = up
        self.addresses = dict(Topology.load(up.topology).addresses())
        self.sent = 0
        self.thrown = dict.fromkeys(self.addresses, 0)
        self._stack = ExitStack()
        self._context = zmq.Context()
        self._ends = {where: self._end(where) for where in self.addresses}
        self._detector = Detector(self.addresses["source.offers"])

    def is_router(self, where: str) -> bool:
        return where in ROUTERS or where.endswith(".work")

    def _end(self, where: str) -> zmq.Socket[bytes]:
        end = self._context.socket(zmq.DEALER if self.is_router(where) else zmq.PUSH)
        end.setsockopt(zmq.LINGER, 0)
        end.connect(self.addresses[where])
        return self._stack.enter_context(end)

    def throw(self, where: str, parts: Parts) -> None:
        self._ends[where].send_multipart(parts or [b""])
        self.thrown[where] += 1

    def visit(self, where: str, data: bytes, *, stays: bool) -> None:
        host, port = self.addresses[where].removeprefix("tcp://").split(":")
        connection = socket.create_connection((host, int(port)))
        connection.sendall(data)
        if stays:
            self._stack.enter_context(connection)
        else:
            connection.close()

    def good_frame_flows(self, *, after: str) -> None:
        self._detector.send(particle(96) + np.uint8(self.sent % 8))
        self._detector.flush()
        self.sent += 1
        until(
            lambda: self.located() >= self.sent,
            [psutil.Process(self.up.pid)],
            deadline_s=30,
            said=lambda: f"no good frame flows after {after}",
        )

    def located(self) -> int:
        results = Places(self.up.out).results
        if not results.exists():
            return 0
        with ResultStore(results) as store:
            return store.counts().located

    def close(self) -> None:
        self._detector.close()
        self._stack.close()
        self._context.term()


@pytest.fixture(scope="module")
def besieged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Besieged]:
    with Up(tmp_path_factory.mktemp("besieged"), FEED, tcp=True) as up:
        besieged = Besieged(up)
        besieged.good_frame_flows(after="nothing")
        yield besieged
        besieged.close()


def service_of(where: str) -> str:
    kind, _, rest = where.partition(" ")
    return f"{rest.partition('.')[0]}.queue" if rest else HEARD_BY[kind.partition(".")[0]]


def logged(besieged: Besieged, service: str) -> list[dict[str, object]]:
    path = Places(besieged.up.out).logs / f"{service}.log"
    return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]


def memory_of(besieged: Besieged) -> dict[str, float]:
    """Return each process's, when all have reported."""
    figures = besieged.up.until(lambda f: len(f["memory_mib"]) >= len(f["processes"]))
    return dict(figures["memory_mib"])


def test_whatever_comes_it_is_counted_and_named_and_the_next_good_frame_flows(
    besieged: Besieged,
) -> None:
    before = memory_of(besieged)
    # Those that stay come first: they are to be shown out while the rest goes on.
    for where in besieged.addresses:
        visits = raw_visits(b"DEALER" if besieged.is_router(where) else b"PUSH")
        for visit in sorted(visits.values(), key=lambda visit: not visit.stays):
            besieged.visit(where, visit.data, stays=visit.stays)
        besieged.good_frame_flows(after=f"bytes that are no message, at {where}")
    for what, parts in HOSTILE.items():
        for where in besieged.addresses:
            besieged.throw(where, parts)
        besieged.good_frame_flows(after=what)
    for message in EXAMPLES.values():
        kind = type(message).__name__
        for where in besieged.addresses:
            if kind not in OBEYED.get(where, OBEYED.get(where.rpartition(".")[2], set())):
                besieged.throw(where, wire(message))
        besieged.good_frame_flows(after=f"a valid {kind} where none belongs")

    connections = {service_of(where) for where in besieged.addresses}
    besieged.up.until_ended(besieged.sent)
    figures = besieged.up.until(lambda figures: connections <= set(figures["bad_input"]))
    after = memory_of(besieged)
    assert set(after) == set(before), "a process died"
    grown = {name: after[name] - before[name] for name in after}
    assert max(grown.values()) < GROWTH_MIB, grown
    assert figures["accepted"] == figures["located"] == besieged.sent
    assert figures["restarts"] == 0

    for where in besieged.addresses:
        events = {
            str(line["event"])
            for line in logged(besieged, service_of(where))
            if line.get("where") == where
        }
        assert "connection.refused" in events, where
        assert any(event.endswith(("undecodable", "refused")) for event in events), (where, events)


def test_the_account_closes_over_all_that_was_thrown(besieged: Besieged) -> None:
    verified = haadflow("verify", besieged.up.out)
    assert verified.returncode == 0, verified.stdout
    assert f"accepted {besieged.sent} = located {besieged.sent} " in verified.stdout


def test_a_silent_visitor_is_shown_out(besieged: Besieged) -> None:
    host, port = besieged.addresses["source.offers"].removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as silent:
        greeting = silent.recv(64)  # ZeroMQ speaks first
        while greeting:
            greeting = silent.recv(64)
    besieged.good_frame_flows(after="silence")
