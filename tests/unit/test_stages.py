"""A chain whose stages do not fit together is refused before anything starts."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from services.runtime.stage import ParameterError
from services.runtime.topology import StageTable, Topology, TopologyError
from services.stages import build_stages, check_stages

SHIPPED = Path(__file__).parents[2] / "deploy" / "topology.toml"


def chain_of(*names: str) -> Topology:
    shipped = Topology.load(SHIPPED)
    stages = tuple(shipped.stage_named(name) for name in names)
    return msgspec.structs.replace(shipped, stage=stages)


def test_the_shipped_chain_fits_together() -> None:
    check_stages(Topology.load(SHIPPED))


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
