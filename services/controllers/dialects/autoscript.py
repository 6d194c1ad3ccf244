"""Thermo Fisher AutoScript: one relative rectangle a box.

`Region(RegionCoordinateSystem.RELATIVE, Rectangle(left, top, width, height))`, fractions of the
frame from its upper-left corner, x right, y down. One region is scanned a call, so a program goes
through the list. Source: the call as public drivers make it (pycroscopy/asyncroscopy,
`AS_server.py`); there is no AutoScript here to try it on.
"""

from __future__ import annotations

import msgspec
import numpy as np
from msgspec import Struct

from .parent import Boxes, Parent

SUFFIX = ".autoscript.json"


class RelativeRectangle(Struct, frozen=True, kw_only=True):
    """A box in fractions of the frame."""

    left: float
    top: float
    width: float
    height: float


def write(parent: Parent, boxes: Boxes) -> bytes:
    """Return a JSON list of rectangles, in the order of the boxes."""
    height, width = parent.height, parent.width
    rectangles = [
        RelativeRectangle(left=x / width, top=y / height, width=size / width, height=size / height)
        for x, y, size in boxes.tolist()
    ]
    return msgspec.json.format(msgspec.json.encode(rectangles), indent=1) + b"\n"


def read(parent: Parent, text: bytes) -> Boxes:
    """Return the boxes that `write` wrote, (N, 3) int32."""
    found = [
        (
            round(rectangle.left * parent.width),
            round(rectangle.top * parent.height),
            round(rectangle.width * parent.width),
        )
        for rectangle in msgspec.json.decode(text, type=list[RelativeRectangle])
    ]
    return np.array(found, dtype=np.int32).reshape(-1, 3)
