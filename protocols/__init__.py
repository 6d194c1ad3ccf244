"""What crosses a process: message types, their bounds, and the codec of the wire format."""

from .arrays import Buffer
from .bounds import REASON_CHARS, TRACEBACK_CHARS, fit
from .codec import decode, encode, envelope_of
from .errors import DecodeError, EncodeError, ProtocolError, UnexpectedMessage, UnknownVersion
from .header import FIRST_PART, VERSION
from .identity import (
    SETBACKS_KEPT,
    FrameIdentity,
    offer_number,
    peek,
    set_back,
    with_attempt,
)
from .limits import DEFAULT_LIMITS, Limits
from .parts import join_parts, pieces, split_parts

__all__ = [
    "DEFAULT_LIMITS",
    "FIRST_PART",
    "REASON_CHARS",
    "SETBACKS_KEPT",
    "TRACEBACK_CHARS",
    "VERSION",
    "Buffer",
    "DecodeError",
    "EncodeError",
    "FrameIdentity",
    "Limits",
    "ProtocolError",
    "UnexpectedMessage",
    "UnknownVersion",
    "decode",
    "encode",
    "envelope_of",
    "fit",
    "join_parts",
    "offer_number",
    "peek",
    "pieces",
    "set_back",
    "split_parts",
    "with_attempt",
]
