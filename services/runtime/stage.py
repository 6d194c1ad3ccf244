"""What a stage is: parameters and `handle`, never a socket."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import (
    Any,
    Literal,
    NamedTuple,
    Protocol,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

_PLACE = re.compile(r" - at `\$\.(?P<field>\w+)")

Frame = Any
"""A frame message of protocols.messages: it has an `envelope`."""
Parameters = TypeVar("Parameters")


class Handled(NamedTuple):
    """What a stage made of a frame."""

    message: Frame
    """The next message, or `Rejected`; its envelope as it came, the worker signs it."""
    findings: dict[str, Any]
    """Measured facts for the record: plain numbers, strings, lists and maps."""


class Stage(Protocol):
    """One step of the method, as a worker runs it."""

    name: str
    """The stage's name in the topology, and its file's in `services`."""
    accepts: type[Any]
    """The message it takes."""
    gives: type[Any]
    """The message it hands on; `Rejected` is always allowed beside it."""
    parameters: dict[str, Any]
    """As they go into the record of every frame."""

    def handle(self, frame: Frame) -> Handled:
        """Do the step. An exception makes the frame a dead letter; the worker lives on."""

    def warm_up(self) -> dict[str, Any]:
        """Compile and touch whatever the first frame would otherwise wait for.

        Returns what the worker's log is to say of it; of several stages in one process, the last to
        name a fact is right.
        """


class ParameterError(ValueError):
    """A stage's parameters are wrong: which stage, which field, what came, what was expected."""

    field: str | None = None
    """The field's name, where it is one field's."""


def parameters_from(stage: str, settings: Mapping[str, Any], kind: type[Parameters]) -> Parameters:
    """Make a stage's parameters, a frozen dataclass, from its block in the topology."""
    assert is_dataclass(kind)  # noqa: S101 - a programmer's error, not a user's
    known = {entry.name for entry in fields(kind)}
    for key in settings:
        if key not in known:
            wrong = ParameterError(
                f"stage {stage}: unknown parameter {key!r}; expected one of {sorted(known)}"
            )
            wrong.field = key
            raise wrong
    try:
        return msgspec.convert(dict(settings), kind)
    except (msgspec.ValidationError, ValueError) as error:
        place = _PLACE.search(str(error))
        field = None if place is None else place["field"]
        wrong = ParameterError(f"stage {stage}: {_said(str(error), field, settings, kind)}")
        wrong.field = field
        raise wrong from error


def _said(error: str, field: str | None, settings: Mapping[str, Any], kind: type[Any]) -> str:
    """Return msgspec's sentence with what it leaves out: the choices there are, and what came."""
    if field is None:
        return error
    sentence = _PLACE.split(error)[0]
    expected = get_type_hints(kind).get(field)
    if get_origin(expected) is Literal:
        sentence = f"expected one of {', '.join(map(str, get_args(expected)))}"
    return f"{field}: {sentence}, came {settings.get(field)!r:.80}"
