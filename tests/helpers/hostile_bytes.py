"""What may come to an open port that is no ZeroMQ, or ZeroMQ that lies."""

from __future__ import annotations

import random
from typing import NamedTuple

_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31)
"""ZMTP 3.0, no security, not as server."""


class RawVisit(NamedTuple):
    """Bytes for a port."""

    data: bytes
    stays: bool = False
    """The connection is left open, and it is the service that has to end it."""


def _ready(kind: bytes) -> bytes:
    body = b"\x05READY\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind
    return b"\x04" + bytes([len(body)]) + body


def raw_visits(kind: bytes) -> dict[str, RawVisit]:
    """Return what is sent to a port whose right peers are of a kind, PUSH or DEALER."""
    noise = random.Random(1).randbytes(4096)  # noqa: S311 - reproducible noise, no secret
    peer = _GREETING + _ready(kind)
    return {
        "HTTP": RawVisit(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
        "a long HTTP request": RawVisit(b"POST /" + b"x" * 3000 + b" HTTP/1.1\r\n\r\n"),
        "TLS": RawVisit(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise[:512]),
        "SSH": RawVisit(b"SSH-2.0-OpenSSH_9.6\r\n"),
        "noise": RawVisit(noise),
        "zeros": RawVisit(bytes(4096)),
        "ones": RawVisit(b"\xff" * 4096),
        "half a greeting": RawVisit(_GREETING[:20], stays=True),
        "a greeting and nothing more": RawVisit(_GREETING, stays=True),
        "silence": RawVisit(b"", stays=True),
        "a security nobody knows": RawVisit(_GREETING.replace(b"NULL", b"EVIL")),
        "a subscriber": RawVisit(_GREETING + _ready(b"SUB")),
        "the oldest protocol, a part of 2**62 bytes": RawVisit(
            b"\xff" + (1 << 62).to_bytes(8, "big") + b"\x00" + noise
        ),
        "a part of 2**62 bytes": RawVisit(peer + b"\x02" + (1 << 62).to_bytes(8, "big") + noise),
        "a part of 8 GiB": RawVisit(peer + b"\x02" + (1 << 33).to_bytes(8, "big") + noise),
        "a command of 2**62 bytes": RawVisit(peer + b"\x06" + (1 << 62).to_bytes(8, "big") + noise),
        "a message that never ends": RawVisit(peer + b"\x01\x03HF\x01" * 1000),
        "noise behind the handshake": RawVisit(peer + noise),
    }
