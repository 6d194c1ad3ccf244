"""The first two parts of every message: the magic with its version, and the msgpack header."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# msgpack ships no types; it is called in this file only.
import msgpack  # type: ignore[import-untyped]

from .arrays import Buffer, Entry
from .errors import DecodeError, UnknownVersion, shown
from .limits import Limits

MAGIC = b"HF"
VERSION = 1
FIRST_PART = MAGIC + bytes([VERSION])

_KEYS = (("type", str, "text"), ("body", dict, "a map"), ("arrays", list, "a list"))
_NESTED = frozenset({dict, list, bytes})


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


def write_header(type_name: str, body: dict[str, Any], arrays: list[Entry]) -> bytes:
    """Write the header of a message.

    Parameters
    ----------
    type_name : str
        The message type's name.
    body : dict
        The fields that are no arrays, as plain values.
    arrays : list of Entry
        The manifest: one for each buffer that follows, in their order.

    Returns
    -------
    bytes
        The msgpack of it; keys in the order given, so that equal messages are equal bytes.
    """
    manifest = [{"name": e.name, "dtype": e.dtype, "shape": list(e.shape)} for e in arrays]
    return pack({"type": type_name, "body": body, "arrays": manifest})


def _check_magic(first: Buffer) -> None:
    if first == FIRST_PART:
        return
    if len(first) != len(FIRST_PART) or first[:2] != MAGIC:
        raise DecodeError(f"expected {FIRST_PART!r}, came {shown(first)}", part=0)
    raise UnknownVersion(f"wire version {first[2]} came, this reader knows {VERSION}", part=0)


def pack(header: dict[str, Any]) -> bytes:
    """Return the msgpack of a whole header."""
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
