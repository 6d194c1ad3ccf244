"""What the feed and the scan controllers say to each other.

The conversation is in docs/wire-format.md. A probe on a specimen is not idempotent: a box must not
be acquired twice because a message, or a process, was lost. So nothing is begun before the feed has
said `Go`, which it does after it has written down that the batch may be under the beam from now on.
What was offered and has no `Go` certainly did not start, and may be offered to another; what has
one is held when its controller is gone, until that controller's journal or an operator says what
became of it.

Coordinates are x right, y down, from the parent's upper-left corner, in parent pixels; a box covers
the half-open pixels [x_px, x_px + size_px) x [y_px, y_px + size_px).
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, get_args

import numpy as np
from msgspec import Meta, Struct, field
from numpy.typing import NDArray

from .bounds import (
    FEW,
    MANY,
    Count,
    Degrees,
    Extent,
    Figures,
    Name,
    Nanometres,
    ParentId,
    Pixels,
    Reason,
    Seconds,
    Source,
)

Family = Literal["sub-scan", "point list"]
"""How a controller reaches a box: it scans a rectangle, or visits points."""
Order: TypeAlias = Literal["raster", "serpentine", "nearest"]
"""In which order the boxes of a batch are acquired; `raster` is as the method boxed them."""
ORDERS: tuple[Order, ...] = get_args(Order)
FEED, OPERATOR = "feed", "operator"
"""Who gives receipts beside the controllers; none of them may be called so."""
ReceiptStatus = Literal["acquired", "rejected", "failed"]


class Description(Struct, frozen=True, kw_only=True):
    """Controller -> feed: who I am and what I take. Said first, and again every second."""

    controller: Name
    """Its name, for people: `nion@microscope-pc`; neither `feed` nor `operator`."""
    session: Name
    """Drawn at random by each start of the controller."""
    family: Family
    grid_height: Extent | None = None
    """Of its scan grid, of which a parent's pixels are the positions: a parent of another height is
    not for it. None takes any parent, as fractions of it."""
    grid_width: Extent | None = None
    field_height_nm: Nanometres | None = None
    """What that grid shows from top to bottom, not turned: a parent that is known to show another
    field, or to be scanned at an angle, is not for it. None looks at neither."""
    smallest_px: Extent = 1
    """Of a box's edge; smaller ones are refused."""
    largest_px: Extent | None = None
    most_boxes: Extent | None = None
    """In one batch; what is beyond comes as another batch of the same parent."""
    points_per_edge: Extent | None = None
    """Of a point list: a box becomes n x n points; 1 is its centre. None in a sub-scan."""
    window: Annotated[int, Meta(ge=1, le=64)] = 1
    """Its credit: batches that it holds at a time, the one under the beam included."""
    journal: Name | None = None
    """Drawn when its journal was begun, and the same after a restart that still has it. Who has one
    can be asked what became of a batch of an earlier session (`Recall`)."""
    software: Name = "unknown"
    settings: Figures = field(default_factory=dict)
    """Dwell time and the like, for the record."""


class Batch(Struct, frozen=True, kw_only=True):
    """Feed -> controller: the boxes of one parent image, offered. Begin with none of it yet."""

    run: Name
    seq: Count
    """(run, seq) is the parent's frame, and names the batch."""
    grant: Count
    """Numbers this offer of it, for good: what is said of a batch is said of one of its offers."""
    parent_id: ParentId
    source: Source
    outcome: Literal["located", "rejected", "failed"]
    """An image where there is nothing to scan makes a batch too, without boxes."""
    reason: Reason = ""
    """Why it was rejected, or failed."""
    created_unix: Seconds
    """When the coordinates were committed, seconds since 1970-01-01 UTC."""
    parent_height: Extent | None
    parent_width: Extent | None
    """None only where there is no box."""
    pixel_size_nm: Nanometres | None = None
    scan_rotation_deg: Degrees | None = None
    origin: Literal["top-left"] = "top-left"
    convention: Literal["half-open pixel edges"] = "half-open pixel edges"
    order: Order
    n_boxes: Count
    """Of the parent in all; those that have a receipt, or come in another batch, are not here."""
    travel_boxed_px: Pixels
    """Of the beam from centre to centre of all boxes in the order of the method."""
    travel_px: Pixels
    """The same in the order chosen."""
    box_id: NDArray[np.int32]
    """(N,), in the order of acquisition; the box's place in the method's walk, from 0."""
    x_px: NDArray[np.int32]
    """(N,): left edge."""
    y_px: NDArray[np.int32]
    """(N,): upper edge."""
    size_px: NDArray[np.int32]
    """(N,): edge of the square."""
    region: NDArray[np.uint8]
    """(N,): from 1."""
    may_repeat: NDArray[np.uint8]
    """(N,): 1 if an operator released the box though it may have been under the beam before."""


class Begin(Struct, frozen=True, kw_only=True):
    """Controller -> feed: may I begin? Repeated until it is answered."""

    run: Name
    seq: Count
    grant: Count


class Go(Struct, frozen=True, kw_only=True):
    """Feed -> controller: it is written down that you begin."""

    run: Name
    seq: Count
    grant: Count


class Withdrawn(Struct, frozen=True, kw_only=True):
    """Feed -> controller: this offer is not, or no longer, yours. Begin nothing more of it."""

    run: Name
    seq: Count
    grant: Count
    reason: Reason


class Receipt(Struct, frozen=True, kw_only=True):
    """What became of one box."""

    box_id: Count
    status: ReceiptStatus
    """`acquired`; `rejected`, the beam was not there; `failed`, it may have been."""
    reason: Reason = ""
    """Why not."""
    seconds: Annotated[float, Meta(ge=0, le=1e12)] | None = None
    """That it took."""


class Receipts(Struct, frozen=True, kw_only=True):
    """Controller -> feed: what became of boxes of one offer. Repeated until it is noted."""

    number: Count
    """The controller's own, within its session."""
    run: Name
    seq: Count
    grant: Count
    receipts: Annotated[tuple[Receipt, ...], FEW] = ()
    untouched: Annotated[tuple[Count, ...], MANY] = ()
    """box_ids where the beam certainly was not, given back."""
    final: bool = False
    """Nothing more will be said: a box that was neither in `receipts` nor in `untouched` of this
    offer may have been under the beam, nobody knows."""


class Noted(Struct, frozen=True, kw_only=True):
    """Feed -> controller: these receipts are written down."""

    number: Count


class Recall(Struct, frozen=True, kw_only=True):
    """Feed -> controller: say what became of an offer to an earlier session with your journal.

    The answer is `Receipts` up to a `final` one.
    """

    run: Name
    seq: Count
    grant: Count
