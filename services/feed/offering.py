"""From an outcome in the result store to the batch that a controller is offered."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from protocols.messages import Batch, Description, Located
from protocols.scanning import Order
from services.controllers.bounds import View, refusals
from services.controllers.controller import Box
from services.controllers.order import acquisition_order, travel_px
from services.results import Record, kind_of
from services.results.rows import parent_shape, pixel_size

from .entry import Entry

_NONE = np.empty((0, 3), np.int32)


def boxes_of(record: Record) -> NDArray[np.int32]:
    """Return (N, 3): x, y, size of a parent's boxes in parent pixels; N is 0 where nothing is."""
    return record.outcome.boxes if isinstance(record.outcome, Located) else _NONE


def takes(who: Description) -> tuple[object, ...]:
    """Return what of a description decides which boxes are offered; the rest is for the record."""
    grid = who.grid_height, who.grid_width, who.field_height_nm
    return *grid, who.smallest_px, who.largest_px, who.points_per_edge, who.most_boxes, who.window


def refused_by(who: Description, record: Record, boxes: Iterable[int]) -> dict[int, str]:
    """Return which of these boxes a controller cannot take, and why."""
    height, width = parent_shape(record.outcome)
    if height is None or width is None:
        return {}
    squares = boxes_of(record).tolist()
    asked = [Box(box, x, y, size, region=1) for box in boxes for x, y, size in (squares[box],)]
    rotation = record.outcome.envelope.metadata.scan_rotation_deg
    return refusals(asked, View(height, width, pixel_size(record.outcome), rotation), who)


def choose_order(entry: Entry, record: Record, order: Order) -> NDArray[np.int32]:
    """Return the places of all boxes in the order of acquisition, the one chosen first.

    The entry keeps it, and how far the beam travels, as the record of the batch.
    """
    squares = boxes_of(record)
    places = acquisition_order(squares, entry.order or order)
    if entry.order is None:
        entry.order = order
        entry.travel_boxed_px = travel_px(squares)
        entry.travel_px = travel_px(squares[places])
    return places


def batch_of(entry: Entry, record: Record) -> Batch:
    """Return the message that says what is offered of a batch."""
    outcome = record.outcome
    height, width = parent_shape(outcome)
    chosen = np.array(entry.offered, np.int32)
    x, y, size = np.ascontiguousarray(boxes_of(record)[chosen].T)
    regions = outcome.regions if isinstance(outcome, Located) else np.empty(0, np.uint8)
    return Batch(
        run=entry.run,
        seq=entry.seq,
        grant=entry.grant or 0,
        parent_id=entry.parent_id,
        source=outcome.envelope.metadata.source,
        outcome=kind_of(outcome),
        reason="" if isinstance(outcome, Located) else outcome.reason,
        created_unix=record.created_unix,
        parent_height=height,
        parent_width=width,
        pixel_size_nm=pixel_size(outcome),
        scan_rotation_deg=outcome.envelope.metadata.scan_rotation_deg,
        order=entry.order or "raster",
        n_boxes=entry.n_boxes,
        travel_boxed_px=entry.travel_boxed_px,
        travel_px=entry.travel_px,
        box_id=chosen,
        x_px=x,
        y_px=y,
        size_px=size,
        region=regions[chosen],
        may_repeat=np.isin(chosen, np.array(entry.may_repeat, np.int32)).astype(np.uint8),
    )
