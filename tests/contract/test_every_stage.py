"""What every stage of the shipped topology promises; a new one is found by itself."""

from __future__ import annotations

import importlib
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from protocols import decode, encode
from protocols.messages import Credit, Failed, Rejected
from services.runtime.stage import ParameterError, Stage
from services.runtime.topology import Topology
from services.runtime.worker import Worker
from tests.helpers.lists import ListInbox, ListOutbox
from tests.helpers.wire_examples import EXAMPLES

TOPOLOGY = Topology.load(Path(__file__).parents[2] / "deploy" / "topology.toml")
NAMES = [table.name for table in TOPOLOGY.stage]


def module(name: str) -> ModuleType:
    return importlib.import_module(f"services.{name}")


def stage_of(name: str) -> Stage:
    stage: Stage = module(name).build(TOPOLOGY.stage_named(name).parameters)
    return stage


@pytest.mark.parametrize("name", NAMES)
def test_a_stage_is_named_as_its_file(name: str) -> None:
    assert stage_of(name).name == name


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_parameter_is_named(name: str) -> None:
    with pytest.raises(ParameterError, match=rf"stage {name}: unknown parameter 'colour'"):
        module(name).build({"colour": 1})


@pytest.mark.parametrize("name", NAMES)
def test_its_parameters_can_be_recorded(name: str) -> None:
    parameters = stage_of(name).parameters
    assert msgspec.json.decode(msgspec.json.encode(parameters)) == msgspec.to_builtins(parameters)


@pytest.mark.parametrize(("name", "after"), list(pairwise(NAMES)))
def test_it_gives_what_the_next_stage_accepts(name: str, after: str) -> None:
    assert stage_of(name).gives is stage_of(after).accepts


@pytest.mark.parametrize("name", NAMES)
def test_whatever_it_makes_of_a_frame_the_frame_ends_or_goes_on(name: str) -> None:
    """The wire examples are tiny and odd on purpose: a stage may refuse them, not lose them."""
    stage = stage_of(name)
    example = next(m for m in EXAMPLES.values() if isinstance(m, stage.accepts))
    onward, sink = ListOutbox(refusals=1), ListOutbox()
    inbox = ListInbox([encode(example)])
    worker = Worker([stage], inbox, onward, sink, clock=lambda: 0.0)
    worker.ask()
    assert worker.step(0)
    _, done = inbox.sent
    assert decode(done, expect=(Credit,)).done == (example.envelope.key,)
    ((parts),) = onward.messages or sink.messages
    outcome = decode(parts, expect=(stage.gives, Rejected, Failed))
    assert outcome.envelope.key == example.envelope.key
    assert outcome.envelope.stages[-1].stage == name


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_for_another_stage_is_a_dead_letter(name: str) -> None:
    stage = stage_of(name)
    other = next(
        m for m in EXAMPLES.values() if hasattr(m, "envelope") and not isinstance(m, stage.accepts)
    )
    sink = ListOutbox()
    assert Worker([stage], ListInbox([encode(other)]), ListOutbox(), sink).step(0)
    outcome = decode(sink.messages[0], expect=(Failed,))
    assert f"expected {stage.accepts.__name__}" in outcome.reason
