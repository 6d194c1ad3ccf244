"""boxes.jsonl: one batch a parent image, also when it holds no box."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from protocols.messages import Located, Setback

from .acquisition import ACQUISITION_COLUMNS, Acquisition
from .record import Record
from .rows import BOX_FIELDS, PARTICLE
from .view import View

SCHEMA = "haadflow.boxes/1"

_WITH_PARTICLE = (*BOX_FIELDS, PARTICLE)
_BOXES = {
    names: "{" + ",".join(f'"{name}":%s' for name in names) + "}"
    for names in (BOX_FIELDS, _WITH_PARTICLE)
}
"""A box, by what there is to say of it."""


class _Head(Struct, frozen=True, kw_only=True):
    """The batch up to its boxes, in the order of the file."""

    schema: str
    batch_id: str
    parent_id: str
    source: str
    frame_index: int
    created_utc: str
    parent_height: int | None
    parent_width: int | None
    pixel_size_nm: float | None
    scan_rotation_deg: float | None
    origin: str
    convention: str
    outcome: str
    stage: str | None
    """Where it was rejected or failed."""
    reason: str | None
    replay_of: str | None
    """parent_id of the dead letter that the frame is another try at."""
    composition: str | None
    composition_from: str | None
    n_elements: int | None
    n_peaks: int | None
    k: int | None
    bounding_box_px: tuple[int, int, int, int] | None
    """x0, y0, x1, y1, half-open."""
    extra: dict[str, str]
    n_boxes: int


class _Provenance(Struct, frozen=True, kw_only=True):
    """How the boxes came about."""

    software: str
    wire_version: int
    attempts: int
    setbacks: tuple[Setback, ...]
    intensity_scaling: Any
    parameters: dict[str, dict[str, Any]]
    findings: dict[str, dict[str, Any]]
    stage_ms: dict[str, float]


class BoxesJsonl:
    """boxes.jsonl: the record that goes to scan controllers, with its provenance."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def add(self, view: View) -> None:
        """Append the batch of one parent image."""
        head = _json.encode(_head(view))
        told_apart = view.columns is not None and view.columns.particle is not None
        names = _WITH_PARTICLE if told_apart else BOX_FIELDS
        box = _BOXES[names]
        boxes = ",".join([box % row for row in zip(*view.box_texts(names, "null"), strict=True)])
        provenance = _json.encode(_provenance(view.record))
        more = b""
        if view.acquisition is not None:
            more = b'"acquisition":%b,' % _json.encode(_acquired(view.acquisition))
        self._file.write(
            b'%b,"boxes":[%b],%b"provenance":%b}\n' % (head[:-1], boxes.encode(), more, provenance)
        )

    def finish(self) -> None:
        """Nothing is held back."""


def _head(view: View) -> _Head:
    outcome, row = view.record.outcome, view.row
    located = outcome if isinstance(outcome, Located) else None
    return _Head(
        schema=SCHEMA,
        batch_id=f"{outcome.envelope.run}/{outcome.envelope.seq}",
        parent_id=row.parent_id,
        source=row.source,
        frame_index=outcome.envelope.seq,
        created_utc=_utc(view.record.created_unix),
        parent_height=row.parent_height,
        parent_width=row.parent_width,
        pixel_size_nm=row.pixel_size_nm,
        scan_rotation_deg=outcome.envelope.metadata.scan_rotation_deg,
        origin="top-left",
        convention="half-open pixel edges",
        outcome=row.outcome,
        stage=None if isinstance(outcome, Located) else outcome.stage,
        reason=row.reason,
        replay_of=row.replay_of,
        composition=row.composition,
        composition_from=row.composition_from,
        n_elements=row.n_elements,
        n_peaks=row.n_peaks,
        k=row.k,
        bounding_box_px=astuple(located.bounding_box) if located else None,
        extra=outcome.envelope.metadata.extra,
        n_boxes=row.n_boxes,
    )


def _acquired(acquisition: Acquisition) -> dict[str, Any]:
    row = {name: getattr(acquisition.row, name) for name in ACQUISITION_COLUMNS}
    return row | {"order": acquisition.order, "receipts": acquisition.receipts}


def _provenance(record: Record) -> _Provenance:
    stages = record.outcome.envelope.stages
    scaling = [stage.findings["scaling"] for stage in stages if "scaling" in stage.findings]
    return _Provenance(
        software=record.writer.software,
        wire_version=record.writer.wire_version,
        attempts=record.outcome.envelope.attempt,
        setbacks=record.outcome.envelope.past,
        intensity_scaling=scaling[0] if scaling else None,
        parameters={stage.stage: stage.parameters for stage in stages},
        findings={
            stage.stage: {key: value for key, value in stage.findings.items() if key != "scaling"}
            for stage in stages
        },
        stage_ms={stage.stage: round(stage.milliseconds, 3) for stage in stages},
    )


def _utc(unix: float) -> str:
    moment = datetime.fromtimestamp(unix, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_json = msgspec.json.Encoder()
