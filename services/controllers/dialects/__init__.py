"""Files in the words of instruments that cannot be had here: `haadflow export --dialect`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal, NamedTuple

import numpy as np
from msgspec import Meta, Struct

from protocols.scanning import Order
from services.controllers.controller import Box
from services.controllers.order import acquisition_order
from services.controllers.points import expand

from . import autoscript, jeol, open_beam, scan_table
from .parent import Boxes, Parent, Unrepresentable

__all__ = ["DIALECTS", "Boxes", "Dialect", "Parent", "Request", "Unrepresentable", "in_dialect"]

Dialect = Literal["autoscript", "jeol", "qd-xy", "de-xy", "obi-csv"]


class Request(Struct, frozen=True, kw_only=True):
    """How boxes are to be said; what a dialect has no use for is not looked at."""

    dialect: Dialect
    order: Order = "raster"
    """Of the boxes (services/controllers/order.py)."""
    points_per_edge: Annotated[int, Meta(ge=1)] = 1
    """Of a list of points: n x n a box, 1 is its centre."""
    rows: Annotated[int, Meta(ge=1)] | None = None
    columns: Annotated[int, Meta(ge=1)] | None = None
    """Positions of the scan over the whole parent; without, one a parent pixel."""
    dwell_us: Annotated[float, Meta(gt=0)] = 1.0


class _Words(NamedTuple):
    suffix: str
    write: Callable[[Parent, Boxes, Request], bytes]


def in_dialect(parent: Parent, boxes: Boxes, request: Request) -> bytes:
    """Say the boxes of one parent image in the words of an instrument.

    Parameters
    ----------
    parent
        Its size in pixels.
    boxes
        (N, 3) int32: x, y, size in parent pixels, x right, y down, upper-left corner.

    Raises
    ------
    Unrepresentable
        If that cannot be done without changing them; nothing is clamped.
    """
    x, y, size = boxes.T
    outside = (boxes[:, :2] < 0).any(axis=1) | (x + size > parent.width)
    outside |= (y + size > parent.height) | (size < 1)
    if outside.any():
        number = int(np.flatnonzero(outside)[0])
        raise Unrepresentable(
            f"box {number}: x {x[number]}, y {y[number]}, size {size[number]} is no square inside "
            f"the parent of {parent.width} x {parent.height} px"
        )
    box_ids = acquisition_order(boxes, request.order)
    try:
        return DIALECTS[request.dialect].write(parent, boxes[box_ids], request)
    except Unrepresentable as error:
        if error.place is None:
            raise
        raise Unrepresentable(f"box {box_ids[error.place]}: {error}", error.place) from None


def _points(boxes: Boxes, request: Request) -> Sequence[Box]:
    thin = boxes[:, 2] < request.points_per_edge
    if thin.any():
        place = int(np.flatnonzero(thin)[0])
        n, size = request.points_per_edge, boxes[place, 2]
        raise Unrepresentable(
            f"{n} x {n} points in {size} x {size} pixels would visit some twice", place
        )
    return [Box(place, x, y, size, region=1) for place, (x, y, size) in enumerate(boxes.tolist())]


def _scan_table(parent: Parent, boxes: Boxes, request: Request) -> bytes:
    points = expand(_points(boxes, request), request.points_per_edge)
    rows, columns = request.rows or parent.height, request.columns or parent.width
    return scan_table.write(parent, points, rows=rows, columns=columns)


def _open_beam(parent: Parent, boxes: Boxes, request: Request) -> bytes:
    points = expand(_points(boxes, request), request.points_per_edge)
    return open_beam.write(parent, points, dwell_us=request.dwell_us)


DIALECTS: dict[Dialect, _Words] = {
    "autoscript": _Words(
        autoscript.SUFFIX, lambda parent, boxes, _request: autoscript.write(parent, boxes)
    ),
    "jeol": _Words(jeol.SUFFIX, lambda parent, boxes, _request: jeol.write(parent, boxes)),
    "qd-xy": _Words(scan_table.SUFFIX, _scan_table),
    "de-xy": _Words(".de" + scan_table.SUFFIX, _scan_table),
    "obi-csv": _Words(open_beam.SUFFIX, _open_beam),
}
"""By name: what a file's name ends with, and what makes it."""
