"""What an adapter is: `describe`, `acquire` and `abort`, never a socket.

The runner (runner.py) asks the feed, keeps the journal, checks every box, and says of each what
became of it. An adapter turns boxes into what its instrument takes, and waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import msgspec
from msgspec import Meta, Struct, field

from protocols.messages import Receipt
from protocols.scanning import Family

Settings = TypeVar("Settings", bound=Struct)


class Limits(Struct, frozen=True, kw_only=True):
    """What a controller takes; the fields that `protocols.messages.Description` has too."""

    family: Family
    grid_height: int | None = None
    grid_width: int | None = None
    """Of the scan grid whose positions a parent's pixels are; both or neither. None: any parent."""
    field_height_nm: float | None = None
    """What that grid shows from top to bottom, not turned; None if that is not known."""
    smallest_px: int = 1
    largest_px: int | None = None
    most_boxes: int | None = None
    points_per_edge: int | None = None
    """Of a point list: a box becomes n x n points (points.py)."""
    at_once: Annotated[int, Meta(ge=1)] | None = 1
    """Boxes that one `acquire` gets; None for all of a batch. What is with the instrument together
    is in doubt together, if the process dies: so few as it can do with."""
    software: str = "unknown"
    settings: dict[str, Any] = field(default_factory=dict)
    """Dwell and the like, plain values, for the record."""


class Box(NamedTuple):
    """One square of the parent: pixels [x_px, x_px + size_px) x [y_px, y_px + size_px)."""

    box_id: int
    x_px: int
    y_px: int
    size_px: int
    region: int
    may_repeat: bool = False
    """An operator released it though it may have been under the beam."""


class Parent(NamedTuple):
    """The image that boxes are of."""

    run: str
    seq: int
    parent_id: str
    source: str
    height: int
    width: int
    """Pixels."""
    pixel_size_nm: float | None
    scan_rotation_deg: float | None


class Controller(Protocol):
    """One scan controller, as the runner drives it; all in one thread, but `abort`."""

    def describe(self) -> Limits:
        """Say what it takes; asked once, at the start. May connect to the instrument."""

    def acquire(self, parent: Parent, boxes: Sequence[Box]) -> Sequence[Receipt]:
        """Put the beam over these boxes, in their order; return when that is done.

        Every box lies inside the parent and within the limits, and at most `at_once` come. One
        receipt for each. An exception stands for a receipt `failed` of each, with its text, and the
        batch goes on; `ControllerGone` ends the process, and leaves these boxes in doubt. Boxes
        without a receipt are looked up (`Recalls`), and else in doubt, too.
        """

    def abort(self) -> None:
        """Stop the beam soon; `acquire` returns or raises. Called from another thread.

        That happens when the process is to end and an `acquire` does not return in time.
        """

    def close(self) -> None:
        """Let go of the instrument: the process ends."""


@runtime_checkable
class Recalls(Protocol):
    """A controller that can look up what became of boxes whose `acquire` did not return."""

    def recall(self, parent: Parent, boxes: Sequence[Box]) -> Mapping[int, Receipt | None]:
        """Tell of each box_id what is certain: its receipt, or None if the beam was not there.

        Boxes that nothing is known of are left out, and held for an operator.
        """


class ControllerGone(Exception):
    """The instrument is not there any more: why, and what to do."""


class ScanStopped(RuntimeError):
    """The scan was stopped before its end: nobody knows which positions the beam reached."""


class SettingError(ValueError):
    """A controller's settings are wrong: which, what came, what was expected."""


def settings_from(controller: str, given: Mapping[str, Any], kind: type[Settings]) -> Settings:
    """Make a controller's settings from `--set KEY=VALUE`, whose values come as text or numbers.

    Parameters
    ----------
    kind
        A frozen `msgspec.Struct` with a default for whatever need not be said.

    Raises
    ------
    SettingError
        A key is unknown or missing, or a value is wrong.
    """
    known = {entry.name for entry in msgspec.structs.fields(kind)}
    for key in given:
        if key not in known:
            raise SettingError(
                f"{controller}: unknown setting {key!r:.80}; expected one of {sorted(known)}"
            )
    try:
        return msgspec.convert(dict(given), kind, strict=False)
    except ValueError as error:
        raise SettingError(f"{controller}: {error}") from error
