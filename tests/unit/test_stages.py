"""A chain whose stages do not fit together is refused before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.runtime.stage import ParameterError
from services.runtime.topology import STAGES, StageTable, Topology, TopologyError
from services.stages import build_stages, check_stages

SHIPPED = Path(__file__).parents[2] / "deploy" / "topology.toml"


def chain_of(*names: str) -> Topology:
    shipped = Topology.load(SHIPPED)
    stages = tuple(shipped.stage_named(name) for name in names)
    return msgspec.structs.replace(shipped, stage=stages)


@pytest.mark.parametrize("path", sorted(SHIPPED.parent.glob("*.toml")), ids=lambda path: path.stem)
def test_the_shipped_chains_fit_together(path: Path) -> None:
    check_stages(Topology.load(path))


def test_a_worker_that_hosts_stages_is_built_of_them_in_their_order() -> None:
    (table,) = Topology.load(SHIPPED.with_name("few-cores.toml")).stage
    assert [stage.name for stage in build_stages(table)] == list(STAGES)
    assert build_stages(table)[3].parameters["algorithm"] == 2


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"boxes": {}}, "stage image_to_boxes.parameters.boxes: expected one of quality_gate"),
        ({"boxing": 2}, "stage image_to_boxes.parameters.boxing: expected a table, came 2"),
    ],
)
def test_parameters_of_hosted_stages_stand_by_stage(
    parameters: dict[str, Any], complaint: str
) -> None:
    topology = Topology.load(SHIPPED.with_name("few-cores.toml"))
    wrong = msgspec.structs.replace(topology.stage[0], parameters=parameters)
    with pytest.raises(TopologyError, match=complaint):
        msgspec.structs.replace(topology, stage=(wrong,)).check()


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (
            ("quality_gate", "clustering", "preprocessing", "boxing"),
            "stage 'clustering' takes FilteredCrop, but quality_gate before it gives GridImage",
        ),
        (
            ("preprocessing", "clustering", "boxing"),
            "stage 'preprocessing' takes GridImage, but the source before it gives SurveyImage",
        ),
        (
            ("quality_gate", "preprocessing", "clustering"),
            "the last stage, 'clustering', gives Regions; the sink takes Located",
        ),
    ],
)
def test_stages_that_do_not_fit_are_named(names: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(TopologyError, match=complaint):
        check_stages(chain_of(*names))


@pytest.mark.parametrize("name", ["denoise", "runtime", "source"])
def test_what_is_no_stage_is_named(name: str) -> None:
    table = StageTable(name=name, frames="tcp://127.0.0.1:1", work="tcp://127.0.0.1:2")
    with pytest.raises(TopologyError, match=f"no services/{name}.py with a build"):
        build_stages(table)


def test_a_wrong_parameter_is_named() -> None:
    boxing = Topology.load(SHIPPED).stage_named("boxing")
    wrong = msgspec.structs.replace(boxing, parameters={"algorithm": 3})
    with pytest.raises(ParameterError, match=r"stage boxing: .*algorithm"):
        build_stages(wrong)
