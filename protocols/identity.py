"""Who a message is, without a look at its arrays: all that a stage queue needs of a frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from .arrays import Buffer
from .bounds import LARGEST_COUNT, Attempt, Count, Name
from .errors import DecodeError, EncodeError, shown
from .explain import explain
from .header import FIRST_PART, pack, read_header
from .limits import DEFAULT_LIMITS, Limits
from .messages import Envelope, Setback
from .one_step import read_typed

SETBACKS_KEPT = 64
"""Of one frame, the newest."""


class FrameIdentity(NamedTuple):
    """Which frame a multipart message carries. (run, seq) names a frame everywhere."""

    type: str
    run: str
    seq: int
    attempt: int


class _Known(msgspec.Struct):
    run: Name
    seq: Count
    attempt: Attempt = 1


class _Carried(msgspec.Struct):
    envelope: _Known


def peek(parts: Sequence[Buffer], *, limits: Limits = DEFAULT_LIMITS) -> FrameIdentity:
    """Learn which frame a message carries, without touching its arrays.

    Parameters
    ----------
    parts : sequence of bytes or memoryview
        A multipart message.
    limits : Limits
        Bounds on what is read.

    Returns
    -------
    FrameIdentity
        The type's name as it was sent, which may be one this version does not know; run, seq,
        attempt.

    Raises
    ------
    DecodeError
        If the header cannot be read or carries no frame.
    """
    typed = read_typed(parts, limits)
    if typed is not None:
        kind, known = typed
        if "envelope" in kind.plain:
            envelope = known.body.envelope
            return FrameIdentity(kind.name, envelope.run, envelope.seq, envelope.attempt)
    header = read_header(parts, limits)
    _envelope(header)
    try:
        found = msgspec.convert(header["body"], _Carried).envelope
    except msgspec.ValidationError as error:
        field, reason = explain(error, header["body"])
        raise DecodeError(reason, part=1, field=field) from None
    return FrameIdentity(header["type"], found.run, found.seq, found.attempt)


def offer_number(parts: Sequence[Buffer], *, limits: Limits = DEFAULT_LIMITS) -> int:
    """Return the number of an offer that cannot be decoded, so that its refusal names it.

    Parameters
    ----------
    parts : sequence of bytes or memoryview
        What a detector sent.
    limits : Limits
        Bounds on what is read.

    Returns
    -------
    int
        Its `offer` field, or 0 if not even that can be read.
    """
    try:
        number = read_header(parts, limits)["body"].get("offer")
    except DecodeError:
        return 0
    return number if type(number) is int and 0 <= number <= LARGEST_COUNT else 0


def with_attempt(
    parts: Sequence[Buffer],
    attempt: int,
    *,
    setbacks: Sequence[Setback] = (),
    limits: Limits = DEFAULT_LIMITS,
) -> list[Buffer]:
    """Return the same frame with another attempt number.

    Parameters
    ----------
    parts : sequence of bytes or memoryview
        A multipart message that carries a frame.
    attempt : int
        From 1.
    setbacks : sequence of Setback
        Come behind those it has; the newest `SETBACKS_KEPT` of all are kept.
    limits : Limits
        Bounds on what is read.

    Returns
    -------
    list of bytes or memoryview
        The header is written anew, with fields this version does not know kept as they came; the
        arrays are the same objects.

    Raises
    ------
    DecodeError
        If the header cannot be read or carries no frame.
    """
    if attempt < 1:
        raise EncodeError(f"attempt: expected a whole number from 1, came {attempt}")
    header = read_header(parts, limits)
    envelope = _envelope(header)
    envelope["attempt"] = attempt
    if setbacks:
        before = envelope.get("setbacks")
        envelope["setbacks"] = [
            *(before if isinstance(before, list) else []),
            *msgspec.to_builtins(setbacks),
        ][-SETBACKS_KEPT:]
    return [FIRST_PART, pack(header), *parts[2:]]


def set_back(envelope: Envelope, *setbacks: Setback) -> Envelope:
    """Return an envelope with setbacks more; the newest `SETBACKS_KEPT` of all are kept."""
    return msgspec.structs.replace(
        envelope, setbacks=(*envelope.past, *setbacks)[-SETBACKS_KEPT:] or UNSET
    )


def _envelope(header: dict[str, Any]) -> dict[str, Any]:
    envelope = header["body"].get("envelope")
    if not isinstance(envelope, dict):
        raise DecodeError(
            f"expected a frame, came {shown(header['type'])} without an envelope",
            part=1,
            field="body.envelope",
        )
    return envelope
