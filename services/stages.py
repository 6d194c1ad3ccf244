"""The stages of a topology: each is a file of this package that has a `build`."""

from __future__ import annotations

import importlib
from itertools import chain
from typing import Any

from protocols.messages import Located, SurveyImage

from .runtime.stage import Stage
from .runtime.topology import StageTable, Topology, TopologyError


def build_stages(table: StageTable) -> list[Stage]:
    """Make what the workers of a table host.

    Raises
    ------
    TopologyError
        There is no such stage.
    ParameterError
        A parameter is wrong.
    """
    return [_build(name, table.parameters_of(name)) for name in table.hosted]


def check_stages(topology: Topology) -> None:
    """Build every stage, and see that each takes what the one before it gives.

    Otherwise frames would go round for ever: a dead letter at every hop, or never at the sink.

    Raises
    ------
    TopologyError
        Names the stage, what reaches it and what it takes.
    ParameterError
        A stage's parameter is wrong.
    """
    comes: type = SurveyImage
    before = "the source"
    for stage in chain.from_iterable(map(build_stages, topology.stage)):
        if stage.accepts is not comes:
            raise TopologyError(
                f"stage {stage.name!r} takes {stage.accepts.__name__}, "
                f"but {before} before it gives {comes.__name__}"
            )
        comes, before = stage.gives, stage.name
    if comes is not Located:
        raise TopologyError(
            f"the last stage, {before!r}, gives {comes.__name__}; the sink takes Located"
        )


def _build(name: str, parameters: dict[str, Any]) -> Stage:
    module = f"services.{name}"
    try:
        stage: Stage = importlib.import_module(module).build(parameters)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise _no_stage(name) from error
    except AttributeError as error:
        raise _no_stage(name) from error
    return stage


def _no_stage(name: str) -> TopologyError:
    return TopologyError(f"stage {name!r}: there is no services/{name}.py with a build()")
