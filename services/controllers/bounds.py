"""Which boxes a controller cannot take, and why. Asked by the feed, and again by the runner.

Nothing is clamped: a box that does not fit is refused by name, whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .controller import Box


class Takes(Protocol):
    """What `Description` and `Limits` both say."""

    @property
    def grid_height(self) -> int | None: ...  # noqa: D102 - see `Limits`
    @property
    def grid_width(self) -> int | None: ...  # noqa: D102
    @property
    def smallest_px(self) -> int: ...  # noqa: D102
    @property
    def largest_px(self) -> int | None: ...  # noqa: D102
    @property
    def points_per_edge(self) -> int | None: ...  # noqa: D102


def parent_flaw(height: int, width: int, takes: Takes) -> str | None:
    """Say why no box of a parent is for a controller, or None.

    Where the grids differ, a box inside both would still be at another place of the specimen.
    """
    grid_height, grid_width = takes.grid_height, takes.grid_width
    if grid_height is None or grid_width is None or (height, width) == (grid_height, grid_width):
        return None
    return (
        f"outside_grid: the parent is {width} x {height} (width x height), the controller's grid "
        f"{grid_width} x {grid_height}"
    )


def refusals(boxes: Sequence[Box], height: int, width: int, takes: Takes) -> dict[int, str]:
    """Return of each box_id that cannot be taken the reason, `code: what came, what was expected`.

    Parameters
    ----------
    boxes
        In parent pixels, x right, y down, from the upper-left corner.
    height, width
        Of the parent, in pixels.
    takes
        The controller's grid and limits.
    """
    whole = parent_flaw(height, width, takes)
    found = {}
    for box in boxes:
        why = whole or _flaw(box, height, width, takes)
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
