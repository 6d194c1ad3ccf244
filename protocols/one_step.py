"""Headers in one step: read and written by msgspec, straight from and to typed fields.

What this reads and writes is what `read_header` and `write_header` do, exactly, several times as
fast (tests/contract/test_one_step.py). It takes only headers as `encode` writes them: shorter than
any bound on a single list or text, with no field more and none less, every number in its shortest
form, figures nested no deeper than a chain's own. Whatever else comes - another language's
spelling, a later minor version, garbage - is left to the slow way, which accepts it or says what
is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, reduce
from operator import or_
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, Struct, defstruct

from .arrays import Buffer, Entry
from .bounds import NESTING, Figures, ShallowFigures
from .catalogue import BY_TYPE, Kind
from .header import FIRST_PART
from .limits import Limits

Header = Any
"""One of the header types made below: `body` and `arrays`."""


def read_typed(parts: Sequence[Buffer], limits: Limits) -> tuple[Kind, Header] | None:
    """Read the header of a multipart message; None if it has to be read the slow way."""
    if not 2 <= len(parts) <= limits.parts or parts[0] != FIRST_PART:
        return None
    return _checked(parts[1], limits)


def write_typed(kind: Kind, message: Struct, arrays: list[Entry], limits: Limits) -> bytes | None:
    """Write the header of a message; None if it has to be written, or refused, the slow way."""
    make_header, make_body = _MAKERS[kind.type]
    body = make_body(*(getattr(message, name) for name in kind.plain))
    try:
        raw = _ENCODER.encode(make_header(body, arrays))
    except (ValueError, TypeError, OverflowError, RecursionError):
        return None
    # What the other end will see: fields of a message that was made here are not checked yet.
    return raw if _checked(raw, limits) is not None else None


def _checked(raw: Buffer, limits: Limits) -> tuple[Kind, Header] | None:
    # So short that no list, map or text in it can be too long.
    if len(raw) > _shortest(limits) or limits.depth < NESTING:
        return None
    try:
        header = _DECODER.decode(raw)
    except (ValueError, RecursionError):
        return None
    # Equal bytes: nothing was skipped, doubled, or spelt in another way.
    return (_KINDS[type(header)], header) if _ENCODER.encode(header) == raw else None


@cache
def _shortest(limits: Limits) -> int:
    return min(limits.header_bytes, limits.list_length, limits.map_length, limits.string_bytes)


def plain_number(value: object) -> object:
    """Let NumPy's numbers into findings and parameters as plain ones."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _types(kind: Kind) -> tuple[type[Struct], type[Struct]]:
    """Make the types of a kind's header and body.

    No defaults, so that no field may be missing; but of one whose default is to be absent.
    """
    known = {field.name: field for field in msgspec.structs.fields(kind.type)}
    types = {name: _SHALLOW.get(known[name].type, known[name].type) for name in kind.plain}
    plain: list[Any] = [
        (name, types[name], UNSET) if known[name].default is UNSET else (name, types[name])
        for name in kind.plain
    ]
    body = defstruct(f"{kind.name}Body", plain, frozen=True)
    fields = [("body", body), ("arrays", list[Entry])]
    name = f"{kind.name}Header"
    return defstruct(name, fields, frozen=True, tag_field="type", tag=kind.name), body


_SHALLOW: dict[Any, Any] = {Figures: ShallowFigures}
_MAKERS = {kind.type: _types(kind) for kind in BY_TYPE.values()}
_KINDS = {header: BY_TYPE[message] for message, (header, _) in _MAKERS.items()}
_ENCODER = msgspec.msgpack.Encoder(enc_hook=plain_number)
_DECODER = msgspec.msgpack.Decoder(reduce(or_, _KINDS))
