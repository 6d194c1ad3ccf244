"""A multipart message in one piece, for disks: each part behind its length.

Used for spooled frames, dead letters and the committed test vectors; a socket needs none of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct as Layout

from .arrays import Buffer
from .errors import DecodeError, EncodeError
from .limits import DEFAULT_LIMITS, Limits

_LENGTH = Layout("<I")


def join_parts(parts: Sequence[Buffer]) -> bytes:
    """Concatenate parts, each behind its length as an unsigned 32-bit little-endian number.

    Raises
    ------
    EncodeError
        If a part is 4 GiB or longer.
    """
    return b"".join(pieces(parts))


def pieces(parts: Sequence[Buffer]) -> Iterator[Buffer]:
    """Go through what `join_parts` concatenates, without copying it."""
    for part in parts:
        length = part.nbytes if isinstance(part, memoryview) else len(part)
        if length >= 1 << 32:
            raise EncodeError(f"a part of {length} bytes does not fit behind a 32-bit length")
        yield _LENGTH.pack(length)
        yield part


def split_parts(data: Buffer, *, limits: Limits = DEFAULT_LIMITS) -> list[memoryview]:
    """Undo `join_parts` without copying.

    Raises
    ------
    DecodeError
        If the data ends within a part, or holds more parts than the limit.
    """
    view = memoryview(data).cast("B")
    parts: list[memoryview] = []
    position = 0
    while position < len(view):
        if len(parts) == limits.parts:
            raise DecodeError(f"more than {limits.parts} parts")
        start = position + _LENGTH.size
        if start > len(view):
            raise DecodeError("the data ends within a length", part=len(parts))
        (length,) = _LENGTH.unpack_from(view, position)
        position = start + length
        if position > len(view):
            raise DecodeError(
                f"{length} bytes announced, {len(view) - start} left", part=len(parts)
            )
        parts.append(view[start:position])
    return parts
