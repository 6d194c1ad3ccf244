"""Messages to multipart buffers and back: wire format, version 1 (docs/wire-format.md).

    [b"HF" version][msgpack header][array buffer]...

Arrays are never copied on the way: what `encode` returns is the array's own memory, what
`decode` returns looks at the received buffer, read-only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

import msgspec
from msgspec import UNSET, Struct
from numpy.typing import NDArray

from .arrays import Buffer, Entry, from_wire, read_entry, to_wire
from .catalogue import BY_NAME, BY_TYPE, Kind
from .checks import flaw
from .errors import DecodeError, EncodeError, UnexpectedMessage, shown
from .explain import explain
from .header import FIRST_PART, read_header, write_header
from .limits import DEFAULT_LIMITS, Limits
from .messages import Envelope, Message
from .one_step import plain_number, read_typed, write_typed

A = TypeVar("A", bound=Message)
B = TypeVar("B", bound=Message)
C = TypeVar("C", bound=Message)


class _Enveloped(Struct, frozen=True):
    """Of any frame, its envelope."""

    envelope: Envelope


def encode(message: Message, *, limits: Limits = DEFAULT_LIMITS) -> list[Buffer]:
    """Turn a message into the parts of a multipart message.

    Parameters
    ----------
    message : Message
        Any type of protocols/messages.py.
    limits : Limits
        What the readers take.

    Returns
    -------
    list of bytes or memoryview
        Array parts are the arrays' own memory wherever that is C-contiguous and little-endian:
        do not write into an array that is on its way.

    Raises
    ------
    EncodeError
        If `decode` would refuse it. Nothing is sent that the other end would drop.
    """
    kind = BY_TYPE.get(type(message))
    if kind is None:
        raise EncodeError(f"{type(message).__name__} is not a message of the wire format")
    entries: list[Entry] = []
    parts: list[Buffer] = [FIRST_PART, b""]
    for name, rule in kind.arrays.items():
        entry, buffer = to_wire(name, getattr(message, name), rule)
        if buffer.nbytes > limits.array_bytes:
            raise EncodeError(f"{name}: {buffer.nbytes} bytes, the limit is {limits.array_bytes}")
        entries.append(entry)
        parts.append(buffer)
    raw = write_typed(kind, message, entries, limits)
    if raw is None:
        parts[1] = _write_slowly(kind, message, entries, parts, limits)
        return parts
    parts[1] = raw
    wrong = flaw(message)
    if wrong:
        raise EncodeError(f"{wrong} (in {kind.name})")
    return parts


def _write_slowly(
    kind: Kind, message: Message, entries: list[Entry], parts: list[Buffer], limits: Limits
) -> bytes:
    """Write the header of a message of which something is unusual, or say what is wrong with it."""
    try:
        fields = {name: getattr(message, name) for name in kind.plain}
        body = {name: _plain(name, field) for name, field in fields.items() if field is not UNSET}
        raw = write_header(kind.name, body, entries)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise EncodeError(f"{kind.name}: {str(error)[:500]}") from error
    arrays = {name: getattr(message, name) for name in kind.arrays}
    try:
        # What the other end will see: a header is small, and a frame that is refused there is lost.
        _message(kind, {**read_header([parts[0], raw, *parts[2:]], limits)["body"], **arrays})
    except DecodeError as error:
        raise EncodeError(str(error)) from None
    return raw


@overload
def decode(parts: Sequence[Buffer], *, expect: tuple[type[A]], limits: Limits = ...) -> A: ...


@overload
def decode(
    parts: Sequence[Buffer], *, expect: tuple[type[A], type[B]], limits: Limits = ...
) -> A | B: ...


@overload
def decode(
    parts: Sequence[Buffer], *, expect: tuple[type[A], type[B], type[C]], limits: Limits = ...
) -> A | B | C: ...


@overload
def decode(
    parts: Sequence[Buffer],
    *,
    expect: tuple[type[Message], ...] | None = None,
    limits: Limits = ...,
) -> Message: ...


def decode(
    parts: Sequence[Buffer],
    *,
    expect: tuple[type[Struct], ...] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Struct:
    """Turn the parts of a multipart message into a message.

    Parameters
    ----------
    parts : sequence of bytes or memoryview
        What came, from anyone.
    expect : tuple of types, optional
        The messages that belong on this link; default any.
    limits : Limits
        Bounds, checked before anything is allocated.

    Returns
    -------
    Struct
        A frozen message whose fields are within their bounds and agree with each other. Its
        arrays are read-only views of `parts`.

    Raises
    ------
    UnknownVersion
        If the message is of another major version.
    UnexpectedMessage
        If it does not belong on this link.
    DecodeError
        For everything else, naming part and field, what was expected and what came.
    """
    typed = read_typed(parts, limits)
    if typed is None:
        header = read_header(parts, limits)
        kind = _kind(header["type"], expect)
        manifest = [read_entry(raw, index) for index, raw in enumerate(header["arrays"])]
        return _message(kind, {**header["body"], **_arrays(kind, manifest, parts, limits)})
    kind, header = typed
    _kind(kind.name, expect)
    arrays = _arrays(kind, header.arrays, parts, limits)
    make: Callable[..., Message] = kind.type
    message = make(**{name: getattr(header.body, name) for name in kind.plain}, **arrays)
    return _without_flaw(kind, message)


def envelope_of(parts: Sequence[Buffer], *, limits: Limits = DEFAULT_LIMITS) -> Envelope:
    """Read a frame's identity and history alone.

    A dead letter needs no more, and can be written even if the rest cannot be decoded.

    Raises
    ------
    DecodeError
        If the header cannot be read or holds no valid envelope.
    """
    body = read_header(parts, limits)["body"]
    try:
        return msgspec.convert(body, _Enveloped).envelope
    except (ValueError, RecursionError) as error:
        field, reason = explain(error, body)
        raise DecodeError(reason, part=1, field=field) from None


def _kind(name: str, expect: tuple[type[Struct], ...] | None) -> Kind:
    kind = BY_NAME.get(name)
    if expect is not None and (kind is None or kind.type not in expect):
        wanted = " or ".join(each.__name__ for each in expect)
        raise UnexpectedMessage(f"expected {wanted}, came {shown(name)}", part=1, field="type")
    if kind is None:
        raise UnexpectedMessage(f"no message is called {shown(name)}", part=1, field="type")
    return kind


def _message(kind: Kind, fields: dict[str, Any]) -> Message:
    """Convert and check: fields within their bounds, and in agreement with each other."""
    try:
        message = msgspec.convert(fields, kind.type)
    except (ValueError, RecursionError) as error:
        field, reason = explain(error, fields)
        raise DecodeError(f"{reason} (in {kind.name})", part=1, field=field) from None
    return _without_flaw(kind, message)


def _without_flaw(kind: Kind, message: Message) -> Message:
    wrong = flaw(message)
    if wrong:
        raise DecodeError(f"{wrong} (in {kind.name})")
    return message


def _arrays(
    kind: Kind, manifest: list[Entry], parts: Sequence[Buffer], limits: Limits
) -> dict[str, NDArray[Any]]:
    """Open the buffers that the manifest describes; arrays of a later minor version are left."""
    if len(manifest) != len(parts) - 2:
        raise DecodeError(
            f"the header describes {len(manifest)} arrays, {len(parts) - 2} buffers came",
            part=1,
            field="arrays",
        )
    found: dict[str, tuple[int, Entry]] = {}
    for index, entry in enumerate(manifest):
        if entry.name in found:
            raise DecodeError(f"{shown(entry.name)} came twice", part=1, field=f"arrays[{index}]")
        found[entry.name] = (index + 2, entry)
    missing = [name for name in kind.arrays if name not in found]
    if missing:
        raise DecodeError(f"{kind.name} needs the array {missing[0]!r}", part=1, field="arrays")
    arrays: dict[str, NDArray[Any]] = {}
    for name, rule in kind.arrays.items():
        part, entry = found[name]
        arrays[name] = from_wire(entry, parts[part], rule, part=part, limits=limits)
    return arrays


def _plain(name: str, value: object) -> object:
    try:
        return msgspec.to_builtins(value, enc_hook=plain_number)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from error
