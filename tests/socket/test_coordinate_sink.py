"""The sink over real sockets: committed before acknowledged, once however often it comes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from protocols import Buffer, decode, encode
from protocols.messages import (
    BoundingBox,
    Closed,
    Envelope,
    Failed,
    Grid,
    Located,
    Metadata,
    Outcome,
    Rejected,
    Started,
)
from services.coordinate_sink import CoordinateSink
from services.results import ResultStore, StoreError
from services.runtime.endpoints import Inlet, Outlet
from services.runtime.places import Places
from services.runtime.topology import Topology
from tests.helpers.hostile_wire import HOSTILE

from .conftest import until


class Around:
    """A sink, what comes before it, and what hears its acknowledgements."""

    def __init__(self, topology: Topology, places: Places) -> None:
        self.places = places
        self.topology = topology
        self.source = Inlet(topology.source.closed)
        self.sink = CoordinateSink(topology, places)
        self.boxing = Outlet(topology.sink.results)
        self.closed: list[tuple[str, int, str]] = []
        self.epochs: list[str] = []

    def send(self, *outcomes: Outcome) -> None:
        for outcome in outcomes:
            parts = encode(outcome)
            self.send_parts(parts)

    def send_parts(self, parts: Sequence[Buffer]) -> None:
        until(lambda: self.boxing.send(parts), self.turn)

    def turn(self) -> None:
        self.sink.step(5)
        while (parts := self.source.receive()) is not None:
            message = decode(parts, expect=(Closed, Started))
            if isinstance(message, Started):
                self.epochs.append(message.epoch)
                continue
            # Committed before acknowledged: whoever looks now finds it.
            with ResultStore(self.places.results) as reader:
                assert set(reader.known(message.run, message.seqs)) == set(message.seqs)
            for seq, kind in zip(message.seqs, message.outcomes, strict=True):
                self.closed.append((message.run, seq, kind))

    def close(self) -> None:
        self.sink.close()
        self.source.close(0)
        self.boxing.close(0)


@pytest.fixture
def around(topology: Topology, places: Places) -> Iterator[Around]:
    around = Around(topology, places)
    yield around
    around.close()


def envelope(seq: int, run: str = "r") -> Envelope:
    return Envelope(run=run, seq=seq, metadata=Metadata(parent_id=f"p{seq}", source="test"))


def located(seq: int, run: str = "r") -> Located:
    return Located(
        envelope=envelope(seq, run),
        grid=Grid(rows=16, columns=16, parent_height=32, parent_width=32),
        bounding_box=BoundingBox(x0=0, y0=0, x1=8, y1=8),
        n_peaks=1,
        k=2,
        boxes=np.array([[0, 0, 4], [4, 4, 4]], dtype=np.int32),
        regions=np.array([1, 1], dtype=np.uint8),
    )


def test_every_kind_of_outcome_is_committed_and_acknowledged(around: Around) -> None:
    around.send(
        located(0),
        Rejected(envelope=envelope(1), stage="quality_gate", reason="empty: nothing"),
        Failed(envelope=envelope(2), stage="boxing", reason="RuntimeError: no"),
    )
    until(lambda: len(around.closed) == 3, around.turn)
    assert sorted(around.closed) == [
        ("r", 0, "located"),
        ("r", 1, "rejected"),
        ("r", 2, "failed"),
    ]


def test_a_repeat_is_acknowledged_again_and_kept_once(around: Around) -> None:
    around.send(located(0), located(0))
    until(lambda: around.closed, around.turn)
    before = len(around.closed)
    around.send(located(0))
    until(lambda: len(around.closed) > before, around.turn)
    assert around.sink.store.counts().total == 1


def test_of_a_frame_that_ends_twice_the_first_outcome_is_acknowledged(around: Around) -> None:
    around.send(Failed(envelope=envelope(0), stage="boxing", reason="RuntimeError: no"))
    until(lambda: around.closed, around.turn)
    around.send(located(0))
    until(lambda: len(around.closed) == 2, around.turn)
    assert around.closed == [("r", 0, "failed")] * 2


def test_runs_are_acknowledged_apart(around: Around) -> None:
    around.send(located(0, "a"), located(0, "b"))
    until(lambda: len(around.closed) == 2, around.turn)
    assert {run for run, _, _ in around.closed} == {"a", "b"}


def test_what_was_committed_is_there_when_the_sink_starts_again(
    around: Around, topology: Topology, places: Places
) -> None:
    around.send(located(0))
    until(lambda: around.closed, around.turn)
    around.sink.close()
    around.sink = CoordinateSink(topology, places)
    # What is sent into a sink that is closing is lost; the source would send it again.
    around.boxing.close(0)
    around.boxing = Outlet(topology.sink.results)
    around.send(located(0), located(1))
    until(lambda: len(around.closed) == 3, around.turn)
    assert around.sink.store.counts().located == 2
    assert len(set(around.epochs)) == 2


def test_on_a_full_disk_it_goes_on_receiving_and_says_that_it_waits(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left in a full inlet, repeats take no room, and the source need not send again."""
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    waits: list[Closed] = []

    def refuse(_outcomes: object) -> int:
        raise StoreError(around.places.results, "full") from full

    monkeypatch.setattr(around.sink, "_pause", lambda _seconds: None)
    with monkeypatch.context() as patch:
        patch.setattr(around.sink.store, "commit", refuse)
        for _ in range(3):
            around.send(*(located(seq) for seq in range(100)))

        def look() -> None:
            around.sink.step(5)
            parts = around.source.receive()
            if parts is not None:
                message = decode(parts, expect=(Closed, Started))
                waits.extend([message] if isinstance(message, Closed) else [])

        until(lambda: len(around.sink._uncommitted) == 100 and waits, look)
        assert around.sink._figures()["waits_for_disk"] == 1
        assert waits[0].seqs == ()
    until(lambda: len(around.closed) == 100, around.turn)
    assert around.sink.store.counts().located == 100


@pytest.mark.parametrize(
    ("on_its_way_s", "gathers_s"),
    [(0.005, 0.003), (0.08, 0.008), (3600.0, 0.012), (-3600.0, 0.003)],
    ids=["few frames in the chain", "many", "a clock behind", "a clock ahead"],
)
def test_it_gathers_longer_where_frames_are_long_on_their_way(
    around: Around, on_its_way_s: float, gathers_s: float
) -> None:
    pauses: list[float] = []
    around.sink._clock = lambda: 0.0  # the next outcome streams behind the last
    around.sink._wall_clock = lambda: located(1).envelope.accepted_unix + on_its_way_s
    around.sink._pause = pauses.append
    around.send(located(1))
    until(lambda: len(around.closed) == 1, around.turn)
    pauses.clear()
    around.send(located(2))
    until(lambda: len(around.closed) == 2, around.turn)
    assert pauses == pytest.approx([gathers_s])


def test_after_garbage_the_next_outcome_is_committed(around: Around) -> None:
    """Each piece of it in turn, and one sink through it all."""
    for seq, (name, garbage) in enumerate(sorted(HOSTILE.items()), 1):
        around.send_parts(list(garbage) or [b""])
        around.send(located(seq))
        until(lambda: ("r", seq, "located") in around.closed, around.turn, after=name)  # noqa: B023
    assert around.sink._bad.undecodable == len(HOSTILE)
