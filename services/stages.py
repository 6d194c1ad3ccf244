"""The stages of a topology: each is a file of this package that has a `build`."""

from __future__ import annotations

import importlib

from protocols.messages import Located, SurveyImage

from .runtime.stage import Stage
from .runtime.topology import StageTable, Topology, TopologyError


def build_stage(table: StageTable) -> Stage:
    """Make a stage with the parameters of its table.

    Raises
    ------
    TopologyError
        There is no such stage.
    ParameterError
        A parameter is wrong.
    """
    module = f"services.{table.name}"
    try:
        stage: Stage = importlib.import_module(module).build(table.parameters)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise _no_stage(table) from error
    except AttributeError as error:
        raise _no_stage(table) from error
    return stage


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
    for table in topology.stage:
        stage = build_stage(table)
        if stage.accepts is not comes:
            raise TopologyError(
                f"stage {table.name!r} takes {stage.accepts.__name__}, "
                f"but {before} before it gives {comes.__name__}"
            )
        comes, before = stage.gives, table.name
    if comes is not Located:
        raise TopologyError(
            f"the last stage, {before!r}, gives {comes.__name__}; the sink takes Located"
        )


def _no_stage(table: StageTable) -> TopologyError:
    return TopologyError(
        f"stage {table.name!r}: there is no services/{table.name}.py with a build()"
    )
