"""One frame through the files, in reading order. Start here.

The chain runs this with processes and sockets between the steps; here the frame is handed on by
hand, through the wire format all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline import process
from pipeline.emulation import emulate
from protocols import Buffer, decode, encode
from protocols.messages import (
    Envelope,
    FilteredCrop,
    GridImage,
    Located,
    Metadata,
    Regions,
    SurveyImage,
)
from services import boxing, clustering, preprocessing, quality_gate
from services.results import ResultStore, Writer
from services.results.export import export_tables
from services.runtime.ledger import Ledger, NewFrame
from services.runtime.topology import Topology
from services.runtime.worker import Worker
from tests.helpers.lists import ListInbox, ListOutbox

TOPOLOGY = Path(__file__).parents[1] / "deploy" / "topology.toml"


def test_one_frame_from_acceptance_to_coordinates(tmp_path: Path) -> None:
    # deploy/topology.toml: the stages, in the order a frame passes them.
    topology = Topology.load(TOPOLOGY)
    gate, preprocess, cluster, box = topology.stage

    # protocols/messages.py: the detector's image becomes a frame.
    emulated = emulate(0, seed=1)
    metadata = Metadata(
        parent_id="chip7/0", source="emulator", composition=emulated.composition, n_elements=2
    )

    # services/source.py: accepted means it is in the ledger.
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ((seq, new),) = ledger.accept([NewFrame("chip7/0", metadata, None)])
        assert new
        envelope = Envelope(run=ledger.run, seq=seq, metadata=metadata)
    parts: Sequence[Buffer] = encode(SurveyImage(envelope=envelope, image=emulated.image))

    # services/runtime/worker.py: the one loop of all workers, around services/<stage>.py.
    stages = (
        (quality_gate.build(gate.parameters), GridImage),
        (preprocessing.build(preprocess.parameters), FilteredCrop),
        (clustering.build(cluster.parameters), Regions),
        (boxing.build(box.parameters), Located),
    )
    for stage, gives in stages:
        onward, sink = ListOutbox(), ListOutbox()
        inbox = ListInbox([parts])
        assert Worker([stage], inbox, onward, sink).step(0)
        (parts,) = onward.messages
        assert isinstance(decode(parts), gives)
        assert not sink.messages
        assert inbox.sent, "a frame is done only after its result was handed on"

    # services/coordinate_sink.py: committed, then acknowledged to the source.
    located = decode(parts, expect=(Located,))
    with ResultStore(tmp_path / "results.sqlite", writer=Writer.this()) as store:
        assert store.commit([located]) == 1
        assert store.commit([located]) == 0
        assert store.known(envelope.run, [seq]) == {seq: "located"}
        export_tables(store, tmp_path)
    assert [record.stage for record in located.envelope.stages] == [s.name for s in topology.stage]
    assert (tmp_path / "boxes.csv").read_text().count("\n") == len(located.boxes) + 1

    # pipeline/: the same steps in a notebook give the same boxes.
    result = process(emulated.image, n_elements=2)
    assert result.outcome == "located"
    assert np.array_equal(result.boxes, located.boxes)
    assert np.array_equal(result.regions, located.regions)
