"""What ties the fields of one message together; single fields are bounded by their types.

Each function says what is wrong, or None. They run when a message is made ready to send, and
again when one comes in: a stage may rely on them without looking.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from . import messages as m
from .scanning import FEED, OPERATOR

_HALF = 2**30
"""Two numbers up to here add up within int32."""


def flaw(message: Struct) -> str | None:
    """Say which fields of a message contradict each other, or None.

    Parameters
    ----------
    message : Struct
        Any type of protocols/messages.py, its fields already of the right types.

    Returns
    -------
    str or None
        `field: what was expected and what came`.
    """
    check = _CHECKS.get(type(message))
    return None if check is None else check(message)


def _image(message: m.SurveyImage | m.Offer) -> str | None:
    return None if message.image.size else f"image: has no pixels, shape {message.image.shape}"


def _grid_image(message: m.GridImage) -> str | None:
    expected = (message.grid.rows, message.grid.columns)
    if message.image.shape != expected:
        return f"image: shape {message.image.shape}, the grid says {expected}"
    return None


def _crop(message: m.FilteredCrop) -> str | None:
    return _inside_grid(message.bounding_box, message.grid) or _covers(
        message.bounding_box, "filtered", message.filtered.shape
    )


def _regions(message: m.Regions) -> str | None:
    return _inside_grid(message.bounding_box, message.grid) or _covers(
        message.bounding_box, "labels", message.labels.shape
    )


def _located(message: m.Located) -> str | None:
    grid = message.grid
    outside = _inside(message.bounding_box, grid.parent_height, grid.parent_width)
    if outside:
        return outside
    if len(message.regions) != len(message.boxes):
        return f"regions: {len(message.regions)} came for {len(message.boxes)} boxes"
    if not len(message.boxes):
        return None
    if message.regions.min() < 1:
        return "regions: 0 is background, boxes belong to regions from 1"
    return _boxes(message.boxes, grid.parent_height, grid.parent_width)


def _boxes(boxes: NDArray[np.int32], height: int, width: int) -> str | None:
    if _all_inside(boxes, height, width):
        return None
    x, y, size = np.ascontiguousarray(boxes.T, np.int64)  # int32 would wrap at x + size
    wrong = (x < 0) | (y < 0) | (size < 1)
    wrong |= (x + size > width) | (y + size > height)
    if not wrong.any():
        return None
    first = int(wrong.argmax())
    return (
        f"boxes[{first}]: x, y, size = {boxes[first].tolist()} is not a square inside "
        f"the parent of {width} x {height} (width x height)"
    )


def _all_inside(boxes: NDArray[np.int32], height: int, width: int) -> bool:
    """Say whether all boxes are squares inside the parent, without a look at which are not."""
    if boxes.min() < 0 or boxes.max() > _HALF:
        return False
    x, y, size = boxes.T
    return bool(size.min() > 0 and (x + size).max() <= width and (y + size).max() <= height)


def _batch(message: m.Batch) -> str | None:
    count = len(message.box_id)
    for name in ("x_px", "y_px", "size_px", "region", "may_repeat"):
        came = len(getattr(message, name))
        if came != count:
            return f"{name}: {came} came for {count} boxes"
    if message.n_boxes < count:
        return f"n_boxes: {message.n_boxes} came for {count} boxes"
    return _boxes_of_batch(message) if count else None


def _boxes_of_batch(message: m.Batch) -> str | None:
    if message.parent_height is None or message.parent_width is None:
        return "parent_height, parent_width: nil came with boxes"
    if message.box_id.min() < 0 or len(np.unique(message.box_id)) < len(message.box_id):
        return "box_id: expected different numbers from 0"
    if message.region.min() < 1:
        return "region: 0 is background, boxes belong to regions from 1"
    boxes = np.stack([message.x_px, message.y_px, message.size_px], axis=1)
    return _boxes(boxes, message.parent_height, message.parent_width)


def _description(message: m.Description) -> str | None:
    if message.controller in (FEED, OPERATOR):
        return f"controller: {message.controller!r} gives receipts itself; expected another name"
    if (message.grid_height is None) is not (message.grid_width is None):
        return "grid_height, grid_width: expected both or neither"
    if message.largest_px is not None and message.largest_px < message.smallest_px:
        return f"largest_px: {message.largest_px} came, smallest_px is {message.smallest_px}"
    if (message.points_per_edge is None) is not (message.family == "sub-scan"):
        return "points_per_edge: expected with a point list, and with nothing else"
    return None


def _receipts(message: m.Receipts) -> str | None:
    named = [receipt.box_id for receipt in message.receipts] + list(message.untouched)
    if len(set(named)) < len(named):
        return "receipts, untouched: a box_id came twice"
    return None


def _closed(message: m.Closed) -> str | None:
    if len(message.seqs) != len(message.outcomes):
        return f"outcomes: {len(message.outcomes)} came for {len(message.seqs)} seqs"
    return None


def _inside_grid(box: m.BoundingBox, grid: m.Grid) -> str | None:
    return _inside(box, grid.rows, grid.columns)


def _inside(box: m.BoundingBox, height: int, width: int) -> str | None:
    if box.x0 < box.x1 <= width and box.y0 < box.y1 <= height:
        return None
    return (
        f"bounding_box: [{box.x0}, {box.x1}) x [{box.y0}, {box.y1}) is empty or not inside "
        f"{width} x {height} (width x height)"
    )


def _covers(box: m.BoundingBox, name: str, shape: tuple[int, ...]) -> str | None:
    expected = (box.y1 - box.y0, box.x1 - box.x0)
    return None if shape == expected else f"{name}: shape {shape}, the bounding box has {expected}"


_CHECKS: Mapping[type, Callable[..., str | None]] = {
    m.SurveyImage: _image,
    m.Offer: _image,
    m.GridImage: _grid_image,
    m.FilteredCrop: _crop,
    m.Regions: _regions,
    m.Located: _located,
    m.Closed: _closed,
    m.Batch: _batch,
    m.Description: _description,
    m.Receipts: _receipts,
}
