"""Which boxes a controller cannot take, and why. Asked by the feed, and again by the runner.

Nothing is clamped: a box that does not fit is refused by name, whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from .controller import Box

SAME_FIELD = 0.01
"""Relative; a box at the edge of 1,000 pixels is off by 5 then."""
SAME_ROTATION_DEG = 0.1


class Takes(Protocol):
    """What `Description` and `Limits` both say."""

    @property
    def grid_height(self) -> int | None: ...  # noqa: D102 - see `Limits`
    @property
    def grid_width(self) -> int | None: ...  # noqa: D102
    @property
    def field_height_nm(self) -> float | None: ...  # noqa: D102
    @property
    def smallest_px(self) -> int: ...  # noqa: D102
    @property
    def largest_px(self) -> int | None: ...  # noqa: D102
    @property
    def points_per_edge(self) -> int | None: ...  # noqa: D102


class Shown(Protocol):
    """What is known of the image that boxes are of; `Parent` says it, and `View`."""

    @property
    def height(self) -> int: ...  # noqa: D102 - see `View`
    @property
    def width(self) -> int: ...  # noqa: D102
    @property
    def pixel_size_nm(self) -> float | None: ...  # noqa: D102
    @property
    def scan_rotation_deg(self) -> float | None: ...  # noqa: D102


class View(NamedTuple):
    """How an image shows its specimen; None is not known."""

    height: int
    width: int
    """Pixels."""
    pixel_size_nm: float | None = None
    scan_rotation_deg: float | None = None


def parent_flaw(parent: Shown, takes: Takes) -> str | None:
    """Say why no box of a parent is for a controller, or None.

    Where the grids or the fields differ, a box inside both would still be at another place of the
    specimen.
    """
    size = parent.height, parent.width
    grid_height, grid_width = takes.grid_height, takes.grid_width
    if grid_height is not None and grid_width is not None and size != (grid_height, grid_width):
        return (
            f"outside_grid: the parent is {parent.width} x {parent.height} (width x height), the "
            f"controller's grid {grid_width} x {grid_height}"
        )
    return None if takes.field_height_nm is None else _another_view(parent, takes.field_height_nm)


def _another_view(parent: Shown, field_height_nm: float) -> str | None:
    """Say how a parent shows another field than the scan; None if it does not, or nobody knows."""
    if parent.pixel_size_nm is not None:
        height_nm = parent.height * parent.pixel_size_nm
        if abs(height_nm - field_height_nm) > SAME_FIELD * field_height_nm:
            return (
                f"another_field: the parent is {height_nm:g} nm high, the controller's field "
                f"{field_height_nm:g} nm; expected the same to {SAME_FIELD:.0%}"
            )
    turned = parent.scan_rotation_deg
    if turned is not None and abs(turned) > SAME_ROTATION_DEG:
        return f"another_rotation: the parent was scanned at {turned:g} degrees; expected 0"
    return None


def refusals(boxes: Sequence[Box], parent: Shown, takes: Takes) -> dict[int, str]:
    """Return of each box_id that cannot be taken the reason, `code: what came, what was expected`.

    Parameters
    ----------
    boxes
        In parent pixels, x right, y down, from the upper-left corner.
    parent
        Its size in pixels, and how it shows the specimen.
    takes
        The controller's grid, field and limits.
    """
    whole = parent_flaw(parent, takes)
    found = {}
    for box in boxes:
        why = whole or _flaw(box, parent.height, parent.width, takes)
        if why is not None:
            found[box.box_id] = why
    return found


def _flaw(box: Box, height: int, width: int, takes: Takes) -> str | None:
    x, y, size = box.x_px, box.y_px, box.size_px
    if x < 0 or y < 0 or size < 1 or x + size > width or y + size > height:
        return (
            f"outside_parent: x_px {x}, y_px {y}, size_px {size} is no square inside "
            f"{width} x {height} (width x height)"
        )
    if size < takes.smallest_px:
        return f"too_small: size_px {size}, the controller takes {takes.smallest_px} and more"
    if takes.largest_px is not None and size > takes.largest_px:
        return f"too_large: size_px {size}, the controller takes up to {takes.largest_px}"
    if takes.points_per_edge is not None and takes.points_per_edge > size:
        n = takes.points_per_edge
        return f"too_fine: {n} x {n} points in {size} x {size} pixels would visit some twice"
    return None
