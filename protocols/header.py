"""The first two parts of every message: the magic with its version, and the msgpack header.

Here is also what a stage queue needs and no more: who a frame is, and the same frame with its
attempt raised, without a look at its arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

# msgpack ships no types; it is called in this file only.
import msgpack  # type: ignore[import-untyped]
import msgspec

from .arrays import Buffer
from .bounds import LARGEST_COUNT, Name
from .errors import DecodeError, EncodeError, UnknownVersion, shown
from .limits import DEFAULT_LIMITS, Limits

MAGIC = b"HF"
VERSION = 1
FIRST_PART = MAGIC + bytes([VERSION])

_KEYS = (("type", str, "text"), ("body", dict, "a map"), ("arrays", list, "a list"))
_NESTED = frozenset({dict, list, bytes})


class FrameIdentity(NamedTuple):
    """Which frame a multipart message carries. (run, seq) names a frame everywhere."""

    type: str
    run: str
    seq: int
    attempt: int


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
    header = read_header(parts, limits)
    envelope = _envelope(header)
    run, seq, attempt = envelope.get("run"), envelope.get("seq"), envelope.get("attempt", 1)
    try:
        run = msgspec.convert(run, Name)
    except msgspec.ValidationError:
        raise _refusal("run", "a name without control characters", run) from None
    if type(seq) is not int or not 0 <= seq <= LARGEST_COUNT:
        raise _refusal("seq", "a whole number from 0", seq)
    if type(attempt) is not int or not 1 <= attempt <= LARGEST_COUNT:
        raise _refusal("attempt", "a whole number from 1", attempt)
    return FrameIdentity(header["type"], run, seq, attempt)


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
    parts: Sequence[Buffer], attempt: int, *, limits: Limits = DEFAULT_LIMITS
) -> list[Buffer]:
    """Return the same frame with another attempt number.

    Parameters
    ----------
    parts : sequence of bytes or memoryview
        A multipart message that carries a frame.
    attempt : int
        From 1.
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
    _envelope(header)["attempt"] = attempt
    return [FIRST_PART, _pack(header), *parts[2:]]


def read_header(parts: Sequence[Buffer], limits: Limits) -> dict[str, Any]:
    """Open a multipart message as far as its header.

    Parameters
    ----------
    parts : sequence of bytes or memoryview
        A multipart message.
    limits : Limits
        Bounds on the number of parts and on the header.

    Returns
    -------
    dict
        A map with "type" (str), "body" (dict) and "arrays" (list), and whatever else came.

    Raises
    ------
    UnknownVersion
        If the version byte is not 1.
    DecodeError
        If anything else is not as the wire format says.
    """
    if not 2 <= len(parts) <= limits.parts:
        raise DecodeError(f"expected 2 to {limits.parts} parts, came {len(parts)}")
    _check_magic(parts[0])
    header = _unpack(parts[1], limits)
    if not isinstance(header, dict):
        raise DecodeError(f"expected a map, came {shown(header)}", part=1)
    _check_nesting(header, limits.depth)
    header.setdefault("arrays", [])
    for field, wanted, words in _KEYS:
        came = header.get(field)
        if not isinstance(came, wanted):
            raise DecodeError(f"expected {words}, came {shown(came)}", part=1, field=field)
    return header


def write_header(type_name: str, body: dict[str, Any], arrays: list[dict[str, Any]]) -> bytes:
    """Write the header of a message.

    Parameters
    ----------
    type_name : str
        The message type's name.
    body : dict
        The fields that are no arrays, as plain values.
    arrays : list of dict
        The manifest: name, dtype, shape of each buffer that follows, in their order.

    Returns
    -------
    bytes
        The msgpack of it; keys in the order given, so that equal messages are equal bytes.
    """
    return _pack({"type": type_name, "body": body, "arrays": arrays})


def _check_magic(first: Buffer) -> None:
    if first == FIRST_PART:
        return
    if len(first) != len(FIRST_PART) or first[:2] != MAGIC:
        raise DecodeError(f"expected {FIRST_PART!r}, came {shown(first)}", part=0)
    raise UnknownVersion(f"wire version {first[2]} came, this reader knows {VERSION}", part=0)


def _pack(header: dict[str, Any]) -> bytes:
    packed: bytes = msgpack.packb(header)
    return packed


def _unpack(raw: Buffer, limits: Limits) -> object:
    if len(raw) > limits.header_bytes:
        raise DecodeError(
            f"header of {len(raw)} bytes, more than the limit of {limits.header_bytes}", part=1
        )
    try:
        unpacked: object = msgpack.unpackb(
            raw,
            raw=False,
            strict_map_key=True,
            max_str_len=limits.string_bytes,
            max_array_len=limits.list_length,
            max_map_len=limits.map_length,
            max_bin_len=0,  # bytes and extensions have no place in a header
            max_ext_len=0,
        )
    except (ValueError, RecursionError) as error:
        # msgpack's own errors may have no text, and a UnicodeDecodeError may hold the header.
        what = (
            "text is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)[:200]
        ) or type(error).__name__
        raise DecodeError(f"not a msgpack header within the limits: {what}", part=1) from None
    return unpacked


def _check_nesting(header: dict[str, Any], depth: int) -> None:
    """Refuse what is nested deeper than `depth`, and binary data, level by level."""
    level: list[Any] = [header]
    for _ in range(depth):
        inner: list[Any] = []
        for node in level:
            # Of all binary data, max_bin_len = 0 has let only the empty one through.
            if b"" in node:
                raise DecodeError("the header holds binary data", part=1)
            values = node.values() if type(node) is dict else node
            inner += [value for value in values if type(value) in _NESTED]
        if b"" in inner:
            raise DecodeError("the header holds binary data", part=1)
        if not inner:
            return
        level = inner
    raise DecodeError(f"the header is nested deeper than {depth}", part=1)


def _envelope(header: dict[str, Any]) -> dict[str, Any]:
    envelope = header["body"].get("envelope")
    if not isinstance(envelope, dict):
        raise DecodeError(
            f"expected a frame, came {shown(header['type'])} without an envelope",
            part=1,
            field="body.envelope",
        )
    return envelope


def _refusal(name: str, expected: str, came: object) -> DecodeError:
    return DecodeError(
        f"expected {expected}, came {shown(came)}", part=1, field=f"body.envelope.{name}"
    )
