"""The columns of the two tables, derived from what the store keeps.

Whole parent pixels are authoritative; fractions and nanometres are derived from them here, once,
so that CSV, JSON Lines and Parquet hold equal numbers. x runs right and y down, from the
parent's upper-left corner; nanometres count from the image centre. A box covers the half-open
pixels [x, x + size) x [y, y + size).
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from pipeline.time_model import GRID_POINTS
from protocols.messages import Located, Outcome

from .particles import owners_of
from .record import kind_of

NM_DIGITS = 6
"""Nanometres are rounded to a millionth: far below any pixel, and free of binary dust."""


class BoxColumns(Struct, frozen=True, kw_only=True):
    """The boxes of one parent image, column by column, each (N,), in acquisition order."""

    box_id: NDArray[np.int32]
    """Unique within the parent image; the box's place in the method's walk, from 0."""
    order: NDArray[np.int32]
    """Place in the acquisition, from 0."""
    x_px: NDArray[np.int32]
    y_px: NDArray[np.int32]
    size_px: NDArray[np.int32]
    x_center_frac: NDArray[np.float64]
    y_center_frac: NDArray[np.float64]
    width_frac: NDArray[np.float64]
    height_frac: NDArray[np.float64]
    x_center_nm: NDArray[np.float64] | None
    """None, as the two that follow, when the pixel size is not known."""
    y_center_nm: NDArray[np.float64] | None
    size_nm: NDArray[np.float64] | None
    region: NDArray[np.uint8]
    particle: NDArray[np.int32] | None
    """From 0; None where the method does not tell particles apart."""


PARTICLE = "particle"
"""The last column, in a store where particles are told apart."""
BOX_FIELDS = tuple(name for name in BoxColumns.__struct_fields__ if name != PARTICLE)
"""What there is to say of every box."""
BOX_COLUMNS = ("parent_id", "source", *BOX_FIELDS)
"""The header of boxes.csv and boxes.parquet, without particles."""


class FrameRow(Struct, frozen=True, kw_only=True):
    """One row of frames.csv and frames.parquet; None is not known, or does not apply."""

    parent_id: str
    source: str
    outcome: str
    reason: str | None
    composition: str | None
    composition_from: str | None
    n_elements: int | None
    n_peaks: int | None
    k: int | None
    parent_height: int | None
    parent_width: int | None
    pixel_size_nm: float | None
    bbox_x0_px: int | None
    bbox_y0_px: int | None
    bbox_x1_px: int | None
    bbox_y1_px: int | None
    n_boxes: int
    reduction: float | None
    attempts: int
    process_ms: float
    replay_of: str | None
    """parent_id of the dead letter that the frame is another try at."""


FRAME_COLUMNS = FrameRow.__struct_fields__
"""The header of frames.csv and frames.parquet."""


def pixel_size(outcome: Outcome) -> float | None:
    """Return the pixel size in nanometres, or None when it is not known.

    Zero and other sizes that no microscope has, as some files carry them, are not known: below
    a femtometre, or a metre and more.
    """
    size = outcome.envelope.metadata.pixel_size_nm
    return size if size is not None and 1e-6 <= size < 1e9 else None


def parent_shape(outcome: Outcome) -> tuple[int | None, int | None]:
    """Return height and width of the parent image in pixels, None where not known."""
    if isinstance(outcome, Located):
        return outcome.grid.parent_height, outcome.grid.parent_width
    return outcome.parent_height, outcome.parent_width


def process_ms(outcome: Outcome) -> float:
    """Add up the compute time of the stages, in milliseconds."""
    return math.fsum(record.milliseconds for record in outcome.envelope.stages)


def n_boxes(outcome: Outcome) -> int:
    """Return how many boxes there are to acquire; none where nothing was located."""
    return len(outcome.boxes) if isinstance(outcome, Located) else 0


def known_reduction(boxes: float) -> float | None:
    """Return how many times fewer points than the full grid; None without boxes."""
    return round(GRID_POINTS / boxes, 4) if boxes else None


def box_columns(located: Located, places: NDArray[np.int32] | None = None) -> BoxColumns:
    """Derive all columns of a parent's boxes.

    Parameters
    ----------
    places
        (N,): box_ids in the order of acquisition, if that is not the method's.
    """
    x, y, size = located.boxes.astype(np.int64).T
    height, width = located.grid.parent_height, located.grid.parent_width
    # Twice the centre is a whole number: one rounding, in the division.
    twice_x, twice_y = 2 * x + size, 2 * y + size
    scale = pixel_size(located)
    box_id = np.arange(len(x), dtype=np.int32)
    order = box_id
    if places is not None:
        order = np.empty_like(box_id)
        order[places] = box_id
    whole = np.ascontiguousarray(located.boxes.T)
    return BoxColumns(
        box_id=box_id,
        order=order,
        x_px=whole[0],
        y_px=whole[1],
        size_px=whole[2],
        x_center_frac=twice_x / (2 * width),
        y_center_frac=twice_y / (2 * height),
        width_frac=size / width,
        height_frac=size / height,
        x_center_nm=None if scale is None else _nm((twice_x - width) / 2, scale),
        y_center_nm=None if scale is None else _nm((twice_y - height) / 2, scale),
        size_nm=None if scale is None else _nm(size.astype(np.float64), scale),
        region=located.regions,
        particle=owners_of(located),
    )


def frame_row(outcome: Outcome) -> FrameRow:
    """Derive the row of one parent image."""
    metadata = outcome.envelope.metadata
    located = outcome if isinstance(outcome, Located) else None
    box = located.bounding_box if located else None
    height, width = parent_shape(outcome)
    return FrameRow(
        parent_id=metadata.parent_id,
        source=metadata.source,
        outcome=kind_of(outcome),
        reason=None if isinstance(outcome, Located) else outcome.reason,
        composition=metadata.composition,
        composition_from=metadata.composition_from,
        n_elements=metadata.n_elements,
        n_peaks=located.n_peaks if located else None,
        k=located.k if located else None,
        parent_height=height,
        parent_width=width,
        pixel_size_nm=pixel_size(outcome),
        bbox_x0_px=box.x0 if box else None,
        bbox_y0_px=box.y0 if box else None,
        bbox_x1_px=box.x1 if box else None,
        bbox_y1_px=box.y1 if box else None,
        n_boxes=n_boxes(outcome),
        reduction=known_reduction(n_boxes(outcome)),
        attempts=outcome.envelope.attempt,
        process_ms=round(process_ms(outcome), 3),
        replay_of=outcome.envelope.replay_of or None,
    )


def _nm(pixels: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    # Adding zero turns the -0.0 of a centred box into 0.0.
    return np.round(pixels * scale, NM_DIGITS) + 0.0
