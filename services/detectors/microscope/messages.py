"""What passes between a process that wants a microscope file and the reader that opens it.

Each message is its length (4 bytes, little-endian) and msgpack; behind an answer with a shape come
the pixels. Both ends are of the same installation.
"""

from __future__ import annotations

from typing import BinaryIO, TypeVar

import msgspec
from msgspec import Struct, field

from services.detectors.formats.image import ReadLimits

MOST_BYTES = 1 << 20


class Request(Struct, frozen=True, kw_only=True):
    """Read this."""

    path: bytes
    kind: str
    """`kinds.KINDS`, or `TIFF`: then its pixel size only."""
    limits: ReadLimits
    deadline_s: int
    index: int | None = None
    """Which image of a stack; None if it may be none."""
    count: bool = False
    """How many images it holds is all that is asked."""


class Answer(Struct, frozen=True, kw_only=True):
    """What came of it."""

    error: str | None = None
    """Why it cannot be had."""
    images: int = 1
    shape: tuple[int, int] | None = None
    dtype: str = ""
    pixel_size_nm: float | None = None
    composition: str | None = None
    notes: tuple[str, ...] = ()
    extra: dict[str, str] = field(default_factory=dict)


Message = TypeVar("Message", Request, Answer)


def write(pipe: BinaryIO, message: Request | Answer) -> None:
    """Write a message; pixels are the caller's."""
    body = msgspec.msgpack.encode(message)
    pipe.write(len(body).to_bytes(4, "little") + body)
    pipe.flush()


def read(pipe: BinaryIO, kind: type[Message]) -> Message | None:
    """Return the next message, None at the end of the pipe."""
    head = pipe.read(4)
    if len(head) < 4:
        return None
    size = int.from_bytes(head, "little")
    body = pipe.read(size) if size <= MOST_BYTES else b""
    if size > MOST_BYTES or len(body) < size:
        return None
    return msgspec.msgpack.decode(body, type=kind)
