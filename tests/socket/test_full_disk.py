"""Source and sink on a real disk that is full, in turn: refused or kept, and then it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pytest

from protocols import decode, encode
from protocols.messages import (
    Accepted,
    Closed,
    Metadata,
    Offer,
    Outcome,
    Refused,
    Started,
    SurveyImage,
)
from services.account import read_account
from services.cli.write import write_results
from services.coordinate_sink import CoordinateSink
from services.results import ResultStore, Writer
from services.runtime.endpoints import Inlet, Outlet, Requester
from services.runtime.ledger import Ledger, NewFrame
from services.runtime.places import Places
from services.runtime.topology import Topology
from services.source import Source
from tests.helpers.outcomes import located
from tests.helpers.small_disk import fill, small_disk

from .conftest import until

IMAGE = np.zeros((128, 128), np.uint16)


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    """An output folder on a disk of its own."""
    with small_disk(tmp_path / "disk", "1m") as disk:
        found = Places(disk / "out")
        found.hidden.mkdir(parents=True)
        yield found


@pytest.mark.parametrize("durability", ["none", "batch", "frame"])
def test_a_source_without_room_refuses_what_is_new_closes_what_it_has_and_goes_on(
    topology: Topology, places: Places, durability: Literal["none", "batch", "frame"]
) -> None:
    offers = topology.sink.results.replace("results", "offers")
    table = msgspec.structs.replace(topology.source, offers=offers, durability=durability)
    source = Source(msgspec.structs.replace(topology, source=table), places)
    gate, acknowledge = Inlet(topology.stage[0].frames), Outlet(topology.source.closed)
    detector = Requester(offers)
    answers: list[Accepted | Refused] = []
    frames: list[SurveyImage] = []

    def turn() -> None:
        source.step()
        while (parts := detector.receive()) is not None:
            answers.append(decode(parts, expect=(Accepted, Refused)))
        while (parts := gate.receive()) is not None:
            frames.append(decode(parts, expect=(SurveyImage,)))

    def offer(number: int) -> Accepted | Refused:
        metadata = Metadata(parent_id=f"p{number}", source="camera")
        parts = Offer(session="s", offer=number, metadata=metadata, image=IMAGE)
        detector.send(encode(parts))
        before = len(answers)
        until(lambda: len(answers) > before, turn)
        return answers[-1]

    for number in (1, 2):
        assert isinstance(offer(number), Accepted)
    until(lambda: len(frames) == 2, turn)

    filler = places.out / "filler"
    fill(filler)
    refused = offer(3)
    assert isinstance(refused, Refused)
    assert "No space left on device" in refused.reason
    assert refused.reason.endswith("the source's disk is full: offer it again later")
    assert source.accepted == 2

    ended = Closed(run=source.ledger.run, seqs=(0, 1), outcomes=("located", "rejected"))
    until(lambda: acknowledge.send(encode(ended)), turn)
    # SQLite may or may not find room for that in its log; if not, it is kept.
    until(lambda: source._ended or source.drained, turn)
    filler.unlink()
    until(lambda: source.drained, turn)
    assert not source._ended

    again = offer(3)
    assert isinstance(again, Accepted)
    assert again.seq == 2
    until(lambda: len(frames) == 3, turn)
    assert [frame.envelope.metadata.parent_id for frame in frames] == ["p1", "p2", "p3"]
    source.close()
    for end in (gate, acknowledge, detector):
        end.close(0)


@pytest.mark.parametrize("durability", ["none", "batch", "frame"])
def test_a_sink_without_room_acknowledges_nothing_that_is_not_committed_and_goes_on(
    topology: Topology, places: Places, durability: Literal["none", "batch", "frame"]
) -> None:
    table = msgspec.structs.replace(topology.sink, durability=durability)
    source, boxing = Inlet(topology.source.closed), Outlet(topology.sink.results)
    sink = CoordinateSink(
        msgspec.structs.replace(topology, sink=table), places, pause=lambda _seconds: None
    )
    closed: set[int] = set()
    waits: list[Closed] = []

    def turn() -> None:
        sink.step(5)
        while (parts := source.receive()) is not None:
            message = decode(parts, expect=(Closed, Started))
            if isinstance(message, Closed):
                closed.update(message.seqs)
                with ResultStore(places.results) as store:
                    assert set(store.known("run-1", message.seqs)) == set(message.seqs)
                if not message.seqs:
                    waits.append(message)

    def send(*outcomes: Outcome) -> None:
        for outcome in outcomes:
            parts = encode(outcome)
            until(lambda: boxing.send(parts), turn)  # noqa: B023 - called at once

    send(*(located(seq) for seq in range(4)))
    until(lambda: closed == {0, 1, 2, 3}, turn)
    filler = places.out / "filler"
    fill(filler)
    boxes = np.random.default_rng(1).integers(0, 200, (4000, 3)).astype(np.int32) + 1
    send(*(located(seq, boxes) for seq in range(4, 12)))
    until(lambda: waits, turn)
    committed = sink.store.counts().located
    assert len(closed) == committed < 12
    assert sink._figures()["waits_for_disk"] == 1
    filler.unlink()
    until(lambda: closed == set(range(12)), turn)
    assert sink.store.counts().located == 12
    sink.close()
    for end in (source, boxing):
        end.close(0)


def test_an_account_can_be_read_while_the_disk_is_full(topology: Topology, places: Places) -> None:
    source = Source(topology, places)
    fill(places.out / "filler")
    assert read_account(places).closes
    source.close()


def test_tables_that_find_no_room_name_the_folder_and_leave_it_as_it_was(places: Places) -> None:
    with (
        Ledger(places.ledger) as ledger,
        ResultStore(places.results, writer=Writer.this()) as store,
    ):
        ledger.accept([NewFrame("a", Metadata(parent_id="a", source="a"), None)])
        store.commit([located(0, run=ledger.run)])
        before = sorted(places.out.iterdir())
        fill(places.hidden / "filler")
        with pytest.raises(OSError, match="No space left on device") as raised:
            write_results(places, pictures=0)
    assert raised.value.filename == str(places.out)
    assert sorted(places.out.iterdir()) == before
