"""The stages of a topology: each is a file of this package that has a `build`."""

from __future__ import annotations

import importlib
from typing import Any

from protocols.messages import Located, SurveyImage

from .runtime.settings_file import Key
from .runtime.stage import ParameterError, Stage
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
        Names the stage, what reaches it and what it takes, or the parameter that is wrong, with
        its key in the topology.
    """
    comes: type = SurveyImage
    before = "the source"
    for index, table in enumerate(topology.stage):
        for stage in _built(table, index):
            if stage.accepts is not comes:
                raise TopologyError(
                    f"stage {stage.name!r} takes {stage.accepts.__name__}, "
                    f"but {before} before it gives {comes.__name__}",
                    key=("stage", index),
                )
            comes, before = stage.gives, stage.name
    if comes is not Located:
        raise TopologyError(
            f"the last stage, {before!r}, gives {comes.__name__}; the sink takes Located",
            key=("stage", len(topology.stage) - 1),
        )


def _built(table: StageTable, index: int) -> list[Stage]:
    """Build a table's stages; whatever is wrong comes with its key."""
    stages: list[Stage] = []
    for name in table.hosted:
        try:
            stages.append(_build(name, table.parameters_of(name)))
        except ParameterError as error:
            key: Key = ("stage", index, "parameters", *((name,) if table.stages else ()))
            key = key if error.field is None else (*key, error.field)
            raise TopologyError(str(error), key=key) from error
        except TopologyError as error:
            key = ("stage", index, "stages" if table.stages else "name")
            raise TopologyError(str(error), key=key) from error
    return stages


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
