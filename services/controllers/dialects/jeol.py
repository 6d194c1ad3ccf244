"""JEOL PyJEM `detector`: one imaging area a box, whole numbers from 0 to 4096.

`set_areamode_imagingarea(Width, Height, X, Y)`, (0, 0) at the upper left, X right, Y down. The
arguments go by name: the offline module of PyJEM takes the position first, the real one the size.
One area is scanned a call. Source: PyJEM's public `detector` module; there is no microscope here to
try it on.
"""

from __future__ import annotations

import msgspec
import numpy as np
from msgspec import Struct

from .parent import Boxes, Parent, Unrepresentable

SUFFIX = ".jeol.json"
FULL = 4096


class ImagingArea(Struct, frozen=True, kw_only=True):
    """A box in 4096ths of the frame."""

    X: int
    Y: int
    Width: int
    Height: int


def write(parent: Parent, boxes: Boxes) -> bytes:
    """Return a JSON list of areas, in the order of the boxes.

    Edges are rounded, not sizes, so that boxes that touch do so afterwards.

    Raises
    ------
    Unrepresentable
        If a box does not begin and end on 4096ths of the frame: of a larger parent not all do.
    """
    areas = []
    for place, (x, y, size) in enumerate(boxes.tolist()):
        left, right = _steps(x, parent.width), _steps(x + size, parent.width)
        top, bottom = _steps(y, parent.height), _steps(y + size, parent.height)
        kept = (
            _pixels(left, parent.width) == x
            and _pixels(right, parent.width) == x + size
            and _pixels(top, parent.height) == y
            and _pixels(bottom, parent.height) == y + size
        )
        if not kept:
            raise Unrepresentable(
                f"{size} px at x {x}, y {y} do not begin and end on {FULL}ths of a frame of "
                f"{parent.width} x {parent.height} px",
                place,
            )
        areas.append(ImagingArea(X=left, Y=top, Width=right - left, Height=bottom - top))
    return msgspec.json.format(msgspec.json.encode(areas), indent=1) + b"\n"


def read(parent: Parent, text: bytes) -> Boxes:
    """Return the boxes that `write` wrote, (N, 3) int32: exact if the frame has at most 4096 px."""
    found = []
    for area in msgspec.json.decode(text, type=list[ImagingArea]):
        x = _pixels(area.X, parent.width)
        found.append(
            (x, _pixels(area.Y, parent.height), _pixels(area.X + area.Width, parent.width) - x)
        )
    return np.array(found, dtype=np.int32).reshape(-1, 3)


def _steps(pixels: int, extent: int) -> int:
    return (2 * pixels * FULL + extent) // (2 * extent)


def _pixels(steps: int, extent: int) -> int:
    return (2 * steps * extent + FULL) // (2 * FULL)
