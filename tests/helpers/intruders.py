"""Those who should not get in, with sockets of their own (not the project's ends)."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import zmq

from services.runtime.keys import KeyFolder
from services.runtime.roles import Role


class Intruder:
    """A ZeroMQ client that says the same again and again.

    Parameters
    ----------
    address
        Where it knocks.
    parts
        What it says when it is let in.
    public, secret, server
        Its CURVE keys and the one it expects there; none for a plain client.
    kind
        Type of its socket.
    """

    def __init__(
        self,
        address: str,
        parts: list[bytes],
        *,
        public: bytes = b"",
        secret: bytes = b"",
        server: bytes = b"",
        kind: int = zmq.DEALER,
    ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(kind)
        self._socket.setsockopt(zmq.LINGER, 0)
        if public:
            self._socket.setsockopt(zmq.CURVE_PUBLICKEY, public)
            self._socket.setsockopt(zmq.CURVE_SECRETKEY, secret)
            self._socket.setsockopt(zmq.CURVE_SERVERKEY, server)
        self._parts = parts
        self._socket.connect(address)

    def knock(self) -> None:
        """Say it once more, if ZeroMQ takes it."""
        try:
            self._socket.send_multipart(self._parts, zmq.NOBLOCK)
        except zmq.Again:
            return

    def hears(self) -> bool:
        """Say whether anything came back."""
        return bool(self._socket.poll(0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._context.destroy(0)


def with_key_of(
    folder: KeyFolder,
    role: Role,
    server: Role,
    address: str,
    parts: list[bytes],
    *,
    kind: int = zmq.DEALER,
) -> Intruder:
    """Return one who has stolen a role's key, and knows the server's public one."""
    public, secret = folder.own(role)
    return Intruder(
        address, parts, public=public, secret=secret, server=folder.own(server)[0], kind=kind
    )


def with_any_key(
    folder: KeyFolder, server: Role, address: str, parts: list[bytes], *, kind: int = zmq.DEALER
) -> Intruder:
    """Return one who knows the server's public key, and has drawn a key for himself."""
    public, secret = zmq.curve_keypair()
    return Intruder(
        address, parts, public=public, secret=secret, server=folder.own(server)[0], kind=kind
    )


def with_wrong_server_key(
    folder: KeyFolder, role: Role, address: str, parts: list[bytes], *, kind: int = zmq.DEALER
) -> Intruder:
    """Return one with an allowed key who takes another's public key for the server's."""
    public, secret = folder.own(role)
    return Intruder(
        address, parts, public=public, secret=secret, server=zmq.curve_keypair()[0], kind=kind
    )
