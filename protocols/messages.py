"""What crosses a process, link by link: the frame's way first, then the control messages.

A frame is one parent image on its way through the chain. Every frame message carries the same
`Envelope`; each stage hands it on with one `StageRecord` more. Arrays are fields like any other
here; the codec sends them beside the header as raw buffers (docs/wire-format.md).

Axis order of arrays is (row, column). Coordinates are x right, y down, from the upper-left
corner. Pixels are parent pixels unless a name says grid.

The bounds of single fields stand in their types (protocols/bounds.py) and hold at both ends:
what `encode` lets out, `decode` takes. What ties fields together is in protocols/checks.py.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from msgspec import UNSET, Struct, UnsetType, field
from numpy.typing import NDArray

from .bounds import (
    FEW,
    MANY,
    Attempt,
    Clusters,
    Count,
    Degrees,
    Elements,
    Extent,
    Figures,
    Formula,
    GridExtent,
    Milliseconds,
    Name,
    Nanometres,
    Note,
    ParentId,
    Reason,
    Seconds,
    Source,
    StageMap,
    Traceback,
)
from .scanning import (
    Batch,
    Begin,
    Description,
    Go,
    Noted,
    Recall,
    Receipt,
    Receipts,
    Withdrawn,
)

CompositionSource = Literal["option", "table", "file name", "file metadata", "sender"]


class Metadata(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a parent image beside its pixels; None is not known."""

    parent_id: ParentId
    """Unique within a run."""
    source: Source
    """Where the image came from, for people: a path, a detector's name."""
    composition: Formula | None = None
    composition_from: CompositionSource | None = None
    n_elements: Elements | None = None
    pixel_size_nm: Nanometres | None = None
    scan_rotation_deg: Degrees | None = None
    """At which the image was scanned, as its microscope counts it; 0 is not turned."""
    extra: Annotated[dict[Name, Note], FEW] = field(default_factory=dict)
    """What the sender wants to find again beside the boxes."""


class StageRecord(Struct, frozen=True, kw_only=True):
    """What one stage did with a frame: the provenance of the boxes."""

    stage: Name
    milliseconds: Milliseconds
    """Compute time in the stage, without queueing and transport."""
    parameters: StageMap
    findings: StageMap
    """Measured facts: how intensities were scaled, the cutoff, what the gate measured."""


class Setback(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt at a frame that led nowhere: who had it, and how that ended."""

    stage: Name
    """Where; `source` if the whole chain was to do it again."""
    how: Name
    """How it ended: `died`, `overran its deadline of 30 s`, `raised ValueError`."""
    worker: Name | None = None
    """Process and host."""
    begun_unix: Seconds | None = None
    ended_unix: Seconds | None = None
    """When the worker took the frame in hand and when it was seen to be over, seconds since
    1970-01-01 UTC; None is not known."""


class Envelope(Struct, frozen=True, kw_only=True):
    """The frame's identity and history. (run, seq) names a frame everywhere."""

    run: Name
    seq: Count
    """Counts from 0 within the run, in the order of acceptance."""
    metadata: Metadata
    attempt: Attempt = 1
    """Raised each time the frame is sent into the chain, or given to a worker, again."""
    accepted_unix: Seconds = 0.0
    """When the source accepted the frame, seconds since 1970-01-01 UTC."""
    stages: Annotated[tuple[StageRecord, ...], FEW] = ()
    setbacks: Annotated[tuple[Setback, ...], FEW] | UnsetType = UNSET
    """Absent from the header while there are none, as in the first bytes of version 1."""
    replay_of: ParentId | UnsetType = UNSET
    """The dead letter that this frame is another try at; absent with all others."""

    @property
    def past(self) -> tuple[Setback, ...]:
        """The setbacks so far, oldest first."""
        return () if self.setbacks is UNSET else self.setbacks

    @property
    def key(self) -> tuple[str, int]:
        """(run, seq)."""
        return self.run, self.seq


class Grid(Struct, frozen=True, kw_only=True):
    """The grid of at most 128 x 128 cells that the method works on, and its parent."""

    rows: GridExtent
    columns: GridExtent
    parent_height: Extent
    parent_width: Extent


class BoundingBox(Struct, frozen=True, kw_only=True):
    """Half-open rectangle [x0, x1) x [y0, y1)."""

    x0: Count
    y0: Count
    x1: Extent
    y1: Extent


class SurveyImage(Struct, frozen=True, kw_only=True):
    """Source -> quality gate."""

    envelope: Envelope
    image: NDArray[Any]
    """(height, width), any real dtype."""


class GridImage(Struct, frozen=True, kw_only=True):
    """Quality gate -> preprocessing: what the gate judged, on the method's grid."""

    envelope: Envelope
    grid: Grid
    image: NDArray[np.uint8]
    """(rows, columns)."""


class FilteredCrop(Struct, frozen=True, kw_only=True):
    """Preprocessing -> clustering: the particle, its background zero."""

    envelope: Envelope
    grid: Grid
    bounding_box: BoundingBox
    """In grid cells."""
    filtered: NDArray[np.uint8]
    """(y1 - y0, x1 - x0) of the bounding box."""


class Regions(Struct, frozen=True, kw_only=True):
    """Clustering -> boxing."""

    envelope: Envelope
    grid: Grid
    bounding_box: BoundingBox
    """In grid cells."""
    n_peaks: Count
    k: Clusters
    labels: NDArray[np.uint8]
    """(y1 - y0, x1 - x0); 0 is background, regions by rising intensity."""


class Located(Struct, frozen=True, kw_only=True):
    """Boxing -> coordinate sink: where to scan."""

    envelope: Envelope
    grid: Grid
    bounding_box: BoundingBox
    """In parent pixels."""
    n_peaks: Count
    k: Clusters
    boxes: NDArray[np.int32]
    """(N, 3): x, y, size in parent pixels; [x, x + size) x [y, y + size) lies in the parent."""
    regions: NDArray[np.uint8]
    """(N,): the region each box belongs to, from 1."""


class Rejected(Struct, frozen=True, kw_only=True):
    """Any stage -> coordinate sink: there is nothing to scan, and why."""

    envelope: Envelope
    stage: Name
    reason: Reason
    """`code: what was measured and what was expected`."""
    parent_height: Extent | None = None
    parent_width: Extent | None = None


class Failed(Struct, frozen=True, kw_only=True):
    """Any stage, queue or source -> coordinate sink: a dead letter."""

    envelope: Envelope
    stage: Name
    reason: Reason
    traceback: Traceback = ""
    parent_height: Extent | None = None
    parent_width: Extent | None = None


Outcome = Located | Rejected | Failed

Frame = SurveyImage | GridImage | FilteredCrop | Regions | Located | Rejected | Failed
"""Whatever carries an `Envelope`."""


class Offer(Struct, frozen=True, kw_only=True):
    """Detector -> source: an image to be accepted. The sender numbers its offers."""

    session: Name
    """Drawn at random by each start of the sender: (session, offer) names an offer for good, so
    that one that is sent again, its answer lost, is not accepted twice."""
    offer: Count
    metadata: Metadata
    image: NDArray[Any]
    """(height, width), any real dtype."""


class Accepted(Struct, frozen=True, kw_only=True):
    """Source -> detector: the frame is in the ledger; the sender may forget it."""

    offer: Count
    run: Name
    seq: Count


class Refused(Struct, frozen=True, kw_only=True):
    """Source -> detector: the frame was not taken, and why. The sender still owns it."""

    offer: Count
    """0 for an offer whose number could not be read: number offers from 1."""
    reason: Reason


class Closed(Struct, frozen=True, kw_only=True):
    """Coordinate sink -> source: the outcomes of these frames are committed."""

    run: Name
    seqs: Annotated[tuple[Count, ...], MANY]
    outcomes: Annotated[tuple[Literal["located", "rejected", "failed"], ...], MANY]


class Started(Struct, frozen=True, kw_only=True):
    """Stage queue or sink -> source: what an earlier epoch of mine held is gone; send it again."""

    service: Name
    epoch: Name


class Credit(Struct, frozen=True, kw_only=True):
    """Worker -> stage queue: I take `frames` more. The frames named are done."""

    frames: Count
    done: Annotated[tuple[tuple[Name, Count], ...], MANY] = ()
    """(run, seq) of each frame whose result this worker has handed on."""
    leaving: bool = False
    """The worker is stopping: take back what it has not begun."""
    outstanding: Count = 0
    """Frames asked for and not yet here, `frames` included. A queue that does not know the worker,
    because it was started again, goes by this number; one that does, by `frames`."""
    worker: Name | UnsetType = UNSET
    """Process and host, for the history of frames that die with this worker."""


class Probe(Struct, frozen=True, kw_only=True):
    """Stage queue -> worker: are you there? Needs no answer; sending it finds a dead peer."""


class Beat(Struct, frozen=True, kw_only=True):
    """Any service -> supervisor, every half second."""

    service: Name
    pid: Count
    epoch: Name
    unix: Seconds
    figures: Figures


class Command(Struct, frozen=True, kw_only=True):
    """Command line -> supervisor."""

    verb: Literal["status", "scale", "down"]
    stage: Name | None = None
    workers: Count | None = None


class Answer(Struct, frozen=True, kw_only=True):
    """Supervisor -> command line."""

    ok: bool
    text: Traceback = ""
    figures: Figures = field(default_factory=dict)


FromController = Description | Begin | Receipts
FromFeed = Batch | Go | Withdrawn | Noted | Recall

Message = (
    Frame
    | Offer
    | Accepted
    | Refused
    | Closed
    | Started
    | Credit
    | Probe
    | Beat
    | Command
    | Answer
    | FromController
    | FromFeed
)

__all__ = [
    "Accepted",
    "Answer",
    "Batch",
    "Beat",
    "Begin",
    "BoundingBox",
    "Closed",
    "Command",
    "CompositionSource",
    "Credit",
    "Description",
    "Envelope",
    "Failed",
    "FilteredCrop",
    "Frame",
    "FromController",
    "FromFeed",
    "Go",
    "Grid",
    "GridImage",
    "Located",
    "Message",
    "Metadata",
    "Noted",
    "Offer",
    "Outcome",
    "Probe",
    "Recall",
    "Receipt",
    "Receipts",
    "Refused",
    "Regions",
    "Rejected",
    "Setback",
    "StageRecord",
    "Started",
    "SurveyImage",
    "Withdrawn",
]
