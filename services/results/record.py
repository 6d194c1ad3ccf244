"""One stored outcome, and its two halves: the header (everything but the boxes) and the boxes."""

from __future__ import annotations

from importlib import metadata
from typing import Literal, Self, assert_never

import msgspec
import numpy as np
from msgspec import Struct

from protocols import VERSION
from protocols.messages import BoundingBox, Envelope, Failed, Grid, Located, Outcome, Rejected

from .box_blob import pack_boxes, unpack_boxes

Kind = Literal["located", "rejected", "failed"]


class Writer(Struct, frozen=True, kw_only=True):
    """The software that wrote an outcome into the store."""

    software: str
    """Name and version, `haadflow 0.1.0`."""
    wire_version: int

    @classmethod
    def this(cls) -> Self:
        """Name the software that is running."""
        return cls(software=f"haadflow {metadata.version('haadflow')}", wire_version=VERSION)


class Record(Struct, frozen=True, kw_only=True):
    """An outcome as the store keeps it."""

    outcome: Outcome
    created_unix: float
    """When it was committed, seconds since 1970-01-01 UTC."""
    writer: Writer


class _LocatedHeader(Struct, frozen=True, kw_only=True):
    """`Located` without its arrays."""

    envelope: Envelope
    grid: Grid
    bounding_box: BoundingBox
    n_peaks: int
    k: int


def kind_of(outcome: Outcome) -> Kind:
    """Name the outcome as files and tables do."""
    match outcome:
        case Located():
            return "located"
        case Rejected():
            return "rejected"
        case Failed():
            return "failed"
        case _:
            assert_never(outcome)


def pack_header(outcome: Outcome) -> bytes:
    """Encode everything but the boxes, as msgpack.

    Raises
    ------
    TypeError
        If a parameter or finding is of a type that msgpack does not know.
    """
    if isinstance(outcome, Located):
        return _encoder.encode(
            _LocatedHeader(
                envelope=outcome.envelope,
                grid=outcome.grid,
                bounding_box=outcome.bounding_box,
                n_peaks=outcome.n_peaks,
                k=outcome.k,
            )
        )
    return _encoder.encode(outcome)


def pack_arrays(outcome: Outcome) -> bytes | None:
    """Encode the boxes; None where there are none to keep, as with what was not located."""
    return pack_boxes(outcome.boxes, outcome.regions) if isinstance(outcome, Located) else None


def unpack_envelope(header: bytes) -> Envelope:
    """Return what the header of a located frame says of it, without its boxes.

    Raises
    ------
    ValueError
        If it is no such header.
    """
    return _located.decode(header).envelope


def unpack_outcome(kind: str, header: bytes, arrays: bytes | None) -> Outcome:
    """Put the two halves together again.

    Raises
    ------
    ValueError
        If they are not the halves of an outcome of this kind.
    """
    # msgspec's errors are ValueErrors.
    if kind == "rejected":
        return _rejected.decode(header)
    if kind == "failed":
        return _failed.decode(header)
    if kind != "located" or arrays is None:
        raise ValueError(f"an outcome {kind!r} {'with' if arrays else 'without'} boxes")
    located = _located.decode(header)
    boxes, regions = unpack_boxes(arrays)
    return Located(
        envelope=located.envelope,
        grid=located.grid,
        bounding_box=located.bounding_box,
        n_peaks=located.n_peaks,
        k=located.k,
        boxes=boxes,
        regions=regions,
    )


def _plain(value: object) -> object:
    """Let numpy's numbers and arrays among the findings be kept as plain ones."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"cannot store a {type(value).__name__}")


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
_located = msgspec.msgpack.Decoder(_LocatedHeader)
_rejected = msgspec.msgpack.Decoder(Rejected)
_failed = msgspec.msgpack.Decoder(Failed)
