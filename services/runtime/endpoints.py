"""Every socket of the chain; the only file that touches ZeroMQ.

Six kinds of end, each with one direction and one meaning:

=========== ============================ ==============================================
`Outlet`    PUSH, connects               results go on, outcomes to the sink, beats
`Inlet`     PULL, binds                  what others push here
`Dispatcher` ROUTER, binds               a stage queue to its workers, a source to detectors
`Requester` DEALER, connects             a worker to its queue, a detector to the source
`Publisher` PUB, binds                   copies for whoever watches; drops what is not taken
`Poller`    waits for several of them
=========== ============================ ==============================================

With a `Curve` an end is encrypted, and each of its peers known by its key (docs/security.md).

A message is a list of buffers. Received buffers stay in ZeroMQ's own memory (zero-copy) and live
as long as anything refers to them; arrays decoded over them are read-only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, TypeAlias

import zmq
from zmq.utils import z85
from zmq.utils.monitor import parse_monitor_message

Parts: TypeAlias = Sequence[Any]
"""Buffers of one multipart message: bytes, memoryviews, or frames as they were received."""

LINGER_MS = 3_000
"""-1 hangs at exit when the peer is gone, 0 loses what was just sent."""
HEARTBEAT_MS = 1_000
HEARTBEAT_TIMEOUT_MS = 3_000
SOON_MS = 500
SOON_TIMEOUT_MS = 1_800
"""The same where leases bring back at once what a connection held when it was given up: a cut link
is noticed after at most both together; with the queue's next probe, within 3 s."""
KEEPALIVE_S = 5
"""Where there are no heartbeats of our own, the kernel asks a peer that is silent for so long."""
CONNECT_MS = 2_000
"""Else a connection tried while a link is broken would wait for minutes after it is mended."""
RECONNECT_MS = 100
RECONNECT_MAX_MS = 5_000
HANDSHAKE_MS = 5_000
"""Who connects and has not said by then what ZeroMQ says, nor shown a key that is allowed where
there are keys, is shown out; our own ends then try again."""
LARGEST_PART = 16 * 1024 * 1024
"""Of a message without images. The wire format's own limits are lower and name what they refuse;
here the connection ends before memory is claimed, whatever length was announced."""
MESSAGES_A_TURN = 1_000
"""Who floods an end holds up its service for no longer than these take."""
LARGEST_SUBSCRIPTION = 1_024
"""Bytes; all that a watcher ever says."""
ANSWERS_HELD = 1_000
"""For a peer that asks and does not read; one that comes to its senses asks again for the rest."""
HANDS_FREE_COPY = 64 * 1024
"""Below this many bytes a copy is cheaper than the bookkeeping of a zero-copy send."""


BIND_PATIENCE_S = 1.0
"""An address that is in use may be one that another process is just letting go."""
BIND_AGAIN_S = 0.05


UNIX_SOCKET_HOLDS = 2 * 1024 * 1024
"""Bytes on their way in a Unix socket, of which Linux makes twice as many for its own notes."""
DROPPED_AT_ONCE = 64
"""Messages of peers that are not let in any more, thrown away before others get their turn."""
KEY_CHARS, KEY_BYTES = 40, 32
"""Of a key as Z85 text, and raw."""
PEERS_REMEMBERED = 10_000
"""A dispatcher knows so many peers' keys; one it has forgotten counts as gone until it is heard."""

ContextClosed = zmq.ContextTerminated
"""Raised in a thread that waits while `close_context` ends ZeroMQ."""


class AddressError(Exception):
    """An address cannot be listened on, or connected to; says which, and why."""


class Guard(Protocol):
    """Decides who may come to an end that listens; lives in another thread (guard.py)."""

    domain: str
    """Names the end in what ZeroMQ asks about its peers (ZAP)."""

    def watch(self, monitor: Monitor) -> None:
        """Take over what tells of the end's connections."""

    def role_of(self, key: str, address: str) -> str | None:
        """Return the role of who sent a message, None if it is not let in any more."""


class Curve(NamedTuple):
    """Keys of one end, as Z85 text; either `server` or `guard` is given."""

    public: bytes
    secret: bytes
    server: bytes = b""
    """Public key of whom a connecting end expects there."""
    guard: Guard | None = None
    """Of an end that listens."""


class Socket:
    """What all ends share: options that make a broken link show, and a clean close."""

    _kind: int

    def __init__(
        self,
        *,
        high_water_mark: int = 0,
        identity: bytes | None = None,
        curve: Curve | None = None,
    ) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(self._kind)
        self._socket.setsockopt(zmq.LINGER, LINGER_MS)
        self._socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        self._socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        self._socket.setsockopt(zmq.CONNECT_TIMEOUT, CONNECT_MS)
        self._socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS)
        self._socket.set_hwm(high_water_mark)
        if identity is not None:
            self._socket.setsockopt(zmq.IDENTITY, identity)
        self.sender: str | None = None
        """Role of who sent the message received last; None where there are no keys."""
        self._guard: Guard | None = None
        if curve is not None:
            self._lock(curve)

    def bind(self, address: str) -> str:
        """Bind, and return the address others connect to (a wildcard port resolved)."""
        deadline = time.monotonic() + BIND_PATIENCE_S
        while True:
            try:
                _refuse_to_steal(address)
                self._socket.bind(address)
            except (OSError, zmq.ZMQError) as error:
                if error.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                    time.sleep(BIND_AGAIN_S)
                    continue
                self._socket.close(0)
                raise AddressError(
                    f"cannot listen on {address}: {error.strerror or error}"
                ) from error
            return self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def connect(self, address: str) -> None:
        """Connect now or as soon as the peer is there; returns at once."""
        try:
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self._socket.close(0)
            raise AddressError(f"cannot connect to {address!r}: {error.strerror}") from error

    def close(self, linger_ms: int = LINGER_MS) -> None:
        """Close; what is queued has `linger_ms` to leave."""
        self._socket.close(linger=linger_ms)

    def _notice_soon(self) -> None:
        self._socket.setsockopt(zmq.HEARTBEAT_IVL, SOON_MS)
        self._socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, SOON_TIMEOUT_MS)

    def _leave_heartbeats_to_peers(self) -> None:
        # libzmq 4.3.5 aborts the process when it wants to send a heartbeat to a peer that has gone
        # while its messages had to wait here, the high-water mark being reached.
        self._socket.setsockopt(zmq.HEARTBEAT_IVL, 0)
        # Else a connection whose link was cut would be kept for ever.
        self._socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        self._socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, KEEPALIVE_S)
        self._socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 1)
        self._socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)

    def _lock(self, curve: Curve) -> None:
        self._socket.setsockopt(zmq.CURVE_PUBLICKEY, curve.public)
        self._socket.setsockopt(zmq.CURVE_SECRETKEY, curve.secret)
        self._socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        if curve.guard is None:
            self._socket.setsockopt(zmq.CURVE_SERVERKEY, curve.server)
            return
        self._guard = curve.guard
        self._socket.setsockopt(zmq.CURVE_SERVER, 1)
        self._socket.setsockopt_string(zmq.ZAP_DOMAIN, curve.guard.domain)
        # Without it libzmq lets everybody in when nobody answers its question.
        self._socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        curve.guard.watch(Monitor(self._socket))

    def _receive(self) -> list[Any] | None:
        for _ in range(DROPPED_AT_ONCE):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return None
            if self._guard is None or self._is_let_in(self._guard, frames):
                return [frame.buffer for frame in frames]
        return None

    def _is_let_in(self, guard: Guard, frames: list[zmq.Frame]) -> bool:
        # libzmq cannot end a connection that is there; what it brings can be thrown away.
        key, address = str(frames[0].get("User-Id")), str(frames[0].get("Peer-Address"))
        self.sender = guard.role_of(key, address)
        return self.sender is not None

    def _send(self, parts: Parts) -> None:
        last = len(parts) - 1
        for index, part in enumerate(parts):
            flags = zmq.NOBLOCK | (zmq.SNDMORE if index < last else 0)
            size = part.nbytes if isinstance(part, memoryview) else len(part)
            if size < HANDS_FREE_COPY:
                self._socket.send(part, flags)
            else:
                self._socket.send(_as_it_came(part, size), flags, copy=False)


def _as_it_came(part: Any, size: int) -> Any:  # noqa: ANN401 - whatever a socket sends
    """Return the received frame that a buffer is all of, if it is one; else the buffer.

    ZeroMQ passes its own frame on by counting one user more. Of a foreign buffer it has to report
    when it is done with it, which wakes a thread of Python for each.
    """
    owner = part
    while not isinstance(owner, zmq.Frame):
        if isinstance(owner, memoryview):
            owner = owner.obj
        elif (base := getattr(owner, "base", None)) is not None:
            owner = base  # of an array, what it looks at
        else:
            return part
    return owner if len(owner) == size else part


class Outlet(Socket):
    """PUSH that connects; holds nothing for a peer that is not there (IMMEDIATE)."""

    _kind = zmq.PUSH

    def __init__(
        self, address: str, *, high_water_mark: int = 16, curve: Curve | None = None
    ) -> None:
        super().__init__(high_water_mark=high_water_mark, curve=curve)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self.connect(address)

    def send(self, parts: Parts, *, timeout_ms: int = 0) -> bool:
        """Hand a message to ZeroMQ; False when the peer takes none within `timeout_ms`.

        A message of which the first part was taken is taken whole: only the first can be refused.
        """
        if timeout_ms and not self._socket.poll(timeout_ms, zmq.POLLOUT):
            return False
        try:
            self._send(parts)
        except zmq.Again:
            return False
        return True


class Visit(Enum):
    """What a connection to a listening end did."""

    CAME = zmq.EVENT_ACCEPTED
    SPOKE = zmq.EVENT_HANDSHAKE_SUCCEEDED
    LEFT = zmq.EVENT_DISCONNECTED


class Listener(Socket):
    """What binds: no part may be larger than `largest_part` bytes, and visits are told."""

    _monitor: zmq.Socket[bytes] | None = None

    def _listen(self, address: str, largest_part: int) -> str:
        self._socket.setsockopt(zmq.MAXMSGSIZE, largest_part)
        self._socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        bound = self.bind(address)
        if self._guard is not None or address.startswith("inproc:"):
            return bound  # the guard follows the visits; within a process there are none
        # ZeroMQ's own thread writes here, and would wait for a reader: there is no high-water mark,
        # and the monitor ends before its reader does.
        monitored = f"inproc://visits-{uuid.uuid4().hex}"
        self._socket.monitor(monitored, sum(visit.value for visit in Visit))
        self._monitor = zmq.Context.instance().socket(zmq.PAIR)
        self._monitor.set_hwm(0)
        self._monitor.connect(monitored)
        return bound

    def visits(self) -> Iterator[tuple[Visit, int]]:
        """Yield what connections did since the last call; SPOKE does not say which one."""
        while self._monitor is not None:
            try:
                event = parse_monitor_message(self._monitor.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                return
            if event["event"] == zmq.EVENT_ACCEPTED:
                _widen(event["value"])
            yield Visit(event["event"]), event["value"]

    def close(self, linger_ms: int = LINGER_MS) -> None:
        """Close; what is queued has `linger_ms` to leave."""
        if self._monitor is not None:
            self._socket.monitor(None, 0)
            self._monitor.close(0)
            self._monitor = None
        super().close(linger_ms)


class Inlet(Listener):
    """PULL that binds."""

    _kind = zmq.PULL

    def __init__(
        self,
        address: str,
        *,
        high_water_mark: int = 64,
        largest_part: int = LARGEST_PART,
        curve: Curve | None = None,
    ) -> None:
        super().__init__(high_water_mark=high_water_mark, curve=curve)
        self._leave_heartbeats_to_peers()
        self.address = self._listen(address, largest_part)

    def receive(self) -> list[Any] | None:
        """Return the next message, or None when there is none now."""
        return self._receive()


class Dispatcher(Listener):
    """ROUTER that binds: answers each peer by name, and learns at once when one is gone.

    `waiting` is the number of messages taken in for each peer before it has to wait; 0 for all.
    With it, a peer that reads nothing has `ANSWERS_HELD` answers waiting here, and no more.
    """

    _kind = zmq.ROUTER

    def __init__(
        self,
        address: str,
        *,
        waiting: int = 0,
        largest_part: int = LARGEST_PART,
        curve: Curve | None = None,
    ) -> None:
        super().__init__(curve=curve)
        self._keys: dict[bytes, tuple[str, str]] = {}
        self._notice_soon()
        self._socket.setsockopt(zmq.RCVHWM, waiting)
        if waiting:
            self._socket.setsockopt(zmq.SNDHWM, ANSWERS_HELD)
            self._leave_heartbeats_to_peers()
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        # A worker that reconnects under its own name replaces its dead connection.
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self.address = self._listen(address, largest_part)

    def receive(self) -> tuple[bytes, list[Any]] | None:
        """Return (peer, message), or None when there is none now."""
        parts = self._receive()
        return None if parts is None else (bytes(parts[0]), parts[1:])

    def send(self, peer: bytes, parts: Parts) -> bool:
        """Send to one peer; False when it is gone, not let in any more, or reads nothing."""
        if self._guard is not None and not self._may_hear(self._guard, peer):
            return False
        try:
            self._socket.send(peer, zmq.NOBLOCK | zmq.SNDMORE)
            self._send(parts)
        except (zmq.Again, zmq.ZMQError) as error:
            if error.errno in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                return False
            raise
        return True

    def _is_let_in(self, guard: Guard, frames: list[zmq.Frame]) -> bool:
        if not super()._is_let_in(guard, frames):
            return False
        peer = frames[0].bytes
        self._keys.pop(peer, None)  # heard last, last in the row
        self._keys[peer] = str(frames[0].get("User-Id")), str(frames[0].get("Peer-Address"))
        if len(self._keys) > PEERS_REMEMBERED:
            del self._keys[next(iter(self._keys))]
        return True

    def _may_hear(self, guard: Guard, peer: bytes) -> bool:
        known = self._keys.get(peer)
        return known is not None and guard.role_of(*known) is not None


class Publisher(Listener):
    """PUB that binds: a copy for each who watches, dropped where it is not taken in time."""

    _kind = zmq.PUB

    def __init__(
        self, address: str, *, high_water_mark: int = 1_000, curve: Curve | None = None
    ) -> None:
        super().__init__(high_water_mark=high_water_mark, curve=curve)
        self.address = self._listen(address, LARGEST_SUBSCRIPTION)

    def send(self, parts: Parts) -> None:
        """Send to whoever is there and keeps up."""
        with contextlib.suppress(zmq.Again):
            self._send(parts)


class Requester(Socket):
    """DEALER that connects."""

    _kind = zmq.DEALER

    def __init__(
        self, address: str, *, identity: bytes | None = None, curve: Curve | None = None
    ) -> None:
        super().__init__(identity=identity, curve=curve)
        self._notice_soon()
        self.connect(address)

    def send(self, parts: Parts) -> None:
        """Queue a message for the peer; kept until it is there."""
        self._send(parts)

    def receive(self, timeout_ms: int = 0) -> list[Any] | None:
        """Return the next message, or None when none comes within `timeout_ms`."""
        if timeout_ms and not self._socket.poll(timeout_ms, zmq.POLLIN):
            return None
        return self._receive()


class Happening(NamedTuple):
    """Something that happened to a connection of an end that listens."""

    kind: str
    """`accepted`, `let in`, `refused`, `failed`, `ended` or `closed`: the end itself is."""
    value: int
    """The connection's file descriptor (accepted, ended); else an error number."""


class Monitor(Socket):
    """PAIR in this process that tells what happens to a socket's connections, in order.

    Libzmq tells of a handshake that failed without saying of which connection; the next that ends
    is it, as one thread does all of them.
    """

    _kind = zmq.PAIR
    _KINDS: ClassVar = {
        zmq.EVENT_ACCEPTED: "accepted",
        zmq.EVENT_HANDSHAKE_SUCCEEDED: "let in",
        zmq.EVENT_HANDSHAKE_FAILED_AUTH: "refused",
        zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "failed",
        zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "failed",
        zmq.EVENT_DISCONNECTED: "ended",
        zmq.EVENT_MONITOR_STOPPED: "closed",
    }

    def __init__(self, watched: zmq.Socket[bytes]) -> None:
        # No high-water mark: libzmq's own thread would wait for whoever reads this.
        super().__init__()
        address = f"inproc://monitor-{uuid.uuid4().hex}"
        watched.monitor(address, sum(self._KINDS))
        self.connect(address)

    def receive(self) -> Happening | None:
        """Return what happened next, or None when nothing has."""
        parts = self._receive()
        if parts is None:
            return None
        event, value = struct.unpack("=Hi", parts[0])
        if event == zmq.EVENT_ACCEPTED:
            _widen(value)
        return Happening(self._KINDS[event], value)


class Poller:
    """Waits until one of several ends can be read, or a socket of the outlet kind written."""

    def __init__(self, ends: Iterable[Socket]) -> None:
        self._ends = {end._socket: end for end in ends}
        self._poller = zmq.Poller()
        for end in self._ends:
            self._poller.register(end, zmq.POLLIN)

    def wait(self, timeout_ms: float) -> set[Socket]:
        """Return the ends that have something to receive."""
        return {self._ends[end] for end, _ in self._poller.poll(max(0, round(timeout_ms)))}


def _widen(descriptor: int) -> None:
    """Let a Unix socket take an image in two or three goes.

    It holds 208 KiB by itself, so that both ends were woken five times for an image of 1 MiB, and
    libzmq sets the size of TCP's buffers only. Where the system allows less, it gives what it
    allows. A connection that has gone meanwhile, or is TCP, is left alone.
    """
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
        if connection.family == socket.AF_UNIX:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNIX_SOCKET_HOLDS)


def _refuse_to_steal(address: str) -> None:
    """Raise EADDRINUSE if a Unix socket is listened on: ZeroMQ would put its own in that place."""
    if not address.startswith("ipc://"):
        return
    path = Path(address.removeprefix("ipc://"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            if path.is_socket():
                return  # what a process that is gone has left
            raise OSError(errno.EEXIST, "there is a file, and it is no socket") from None
        except BlockingIOError:
            pass  # so many want to connect that somebody must be listening
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def make_certificate(folder: Path, name: str) -> None:
    """Draw a key pair; write NAME.key and NAME.key_secret, as czmq's zcert has them."""
    from zmq.auth.certs import create_certificates  # noqa: PLC0415 - few processes need it

    create_certificates(folder, name)


def read_certificate(path: Path) -> tuple[bytes, bytes]:
    """Return (public, secret) of a certificate, as Z85 text; ValueError if they are not there."""
    from zmq.auth.certs import load_certificate  # noqa: PLC0415 - few processes need it

    public, secret = load_certificate(path)
    if secret is None or not all(is_key(key.decode(errors="replace")) for key in (public, secret)):
        raise ValueError("expected public-key and secret-key of 40 characters each")
    if zmq.curve_public(secret) != public:
        raise ValueError("its secret-key does not belong to its public-key")
    return public, secret


def read_public(path: Path) -> str:
    """Return the public key of a certificate, as Z85 text; ValueError if it is not there."""
    from zmq.auth.certs import load_certificate  # noqa: PLC0415 - few processes need it

    public = load_certificate(path)[0].decode(errors="replace")
    if not is_key(public):
        raise ValueError("expected a public-key of 40 characters")
    return public


def is_key(text: str) -> bool:
    """Say whether a text is a key: 40 characters of Z85."""
    try:
        return len(text) == KEY_CHARS and len(z85.decode(text)) == KEY_BYTES
    except (KeyError, ValueError, struct.error):
        return False


def key_text(key: bytes) -> str:
    """Return a key of 32 bytes as Z85 text."""
    return z85.encode(key).decode("ascii")


def close_context() -> None:
    """End ZeroMQ in this process, when all is closed; waits for what lingers."""
    with contextlib.suppress(zmq.ZMQError):
        zmq.Context.instance().term()
