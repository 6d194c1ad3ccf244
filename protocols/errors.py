"""What goes wrong between bytes and messages."""

from __future__ import annotations

_SHOWN = 120
"""Characters of foreign data that an error repeats: enough to recognise it, never a frame."""


class ProtocolError(ValueError):
    """Bytes and messages do not agree."""


class EncodeError(ProtocolError):
    """A message of our own that no reader would take; nothing was sent."""


class DecodeError(ProtocolError):
    """Bytes that are not a message of this wire format.

    Parameters
    ----------
    reason : str
        What was expected and what came.
    part : int or None
        Index of the part of the multipart message, from 0.
    field : str or None
        Path of the field in the header, or the array's name.
    """

    def __init__(self, reason: str, *, part: int | None = None, field: str | None = None) -> None:
        self.reason = reason
        self.part = part
        self.field = field
        place = [] if part is None else [f"part {part}"]
        place += [] if field is None else [f"field {field}"]
        super().__init__(f"{', '.join(place)}: {reason}" if place else reason)


class UnknownVersion(DecodeError):
    """The magic is right and the version byte is one this reader does not know."""


class UnexpectedMessage(DecodeError):
    """A valid header, of a message that does not belong on this link."""


def shown(value: object) -> str:
    """Return a short repr of foreign data for an error message, whatever its size.

    Parameters
    ----------
    value : object
        A value from the wire. Long bytes and text are cut before their repr is made; a
        container is described by its type and length alone.

    Returns
    -------
    str
        At most about 120 characters.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        head = bytes(value[:24])
        return repr(head) if len(value) <= len(head) else f"{head!r}... ({len(value)} bytes)"
    if isinstance(value, str):
        cut = value[: _SHOWN // 2]
        return repr(cut) if len(value) <= len(cut) else f"{cut!r}... ({len(value)} characters)"
    if isinstance(value, (list, tuple, dict)) and len(value) > 4:
        return f"a {type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
