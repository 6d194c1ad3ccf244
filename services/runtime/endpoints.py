"""Every socket of the chain; the only file that touches ZeroMQ.

Five kinds of end, each with one direction and one meaning:

=========== ============================ ==============================================
`Outlet`    PUSH, connects               results go on, outcomes to the sink, beats
`Inlet`     PULL, binds                  what others push here
`Dispatcher` ROUTER, binds               a stage queue to its workers, a source to detectors
`Requester` DEALER, connects             a worker to its queue, a detector to the source
`Poller`    waits for several of them
=========== ============================ ==============================================

A message is a list of buffers. Received buffers stay in ZeroMQ's own memory (zero-copy) and live
as long as anything refers to them; arrays decoded over them are read-only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import zmq

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
HANDS_FREE_COPY = 64 * 1024
"""Below this many bytes a copy is cheaper than the bookkeeping of a zero-copy send."""


BIND_PATIENCE_S = 1.0
"""An address that is in use may be one that another process is just letting go."""
BIND_AGAIN_S = 0.05


class AddressError(Exception):
    """An address cannot be listened on, or connected to; says which, and why."""


class Socket:
    """What all ends share: options that make a broken link show, and a clean close."""

    _kind: int

    def __init__(self, *, high_water_mark: int = 0, identity: bytes | None = None) -> None:
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

    def _receive(self) -> list[Any] | None:
        try:
            return [frame.buffer for frame in self._socket.recv_multipart(zmq.NOBLOCK, copy=False)]
        except zmq.Again:
            return None

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

    def __init__(self, address: str, *, high_water_mark: int = 16) -> None:
        super().__init__(high_water_mark=high_water_mark)
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


class Inlet(Socket):
    """PULL that binds."""

    _kind = zmq.PULL

    def __init__(self, address: str, *, high_water_mark: int = 64) -> None:
        super().__init__(high_water_mark=high_water_mark)
        self._leave_heartbeats_to_peers()
        self.address = self.bind(address)

    def receive(self) -> list[Any] | None:
        """Return the next message, or None when there is none now."""
        return self._receive()


class Dispatcher(Socket):
    """ROUTER that binds: answers each peer by name, and learns at once when one is gone.

    `waiting` is the number of messages taken in for each peer before it has to wait; 0 for all.
    """

    _kind = zmq.ROUTER

    def __init__(self, address: str, *, waiting: int = 0) -> None:
        super().__init__()
        self._notice_soon()
        self._socket.setsockopt(zmq.RCVHWM, waiting)
        if waiting:
            self._leave_heartbeats_to_peers()
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        # A worker that reconnects under its own name replaces its dead connection.
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self.address = self.bind(address)

    def receive(self) -> tuple[bytes, list[Any]] | None:
        """Return (peer, message), or None when there is none now."""
        parts = self._receive()
        return None if parts is None else (bytes(parts[0]), parts[1:])

    def send(self, peer: bytes, parts: Parts) -> bool:
        """Send to one peer; False when it is gone."""
        try:
            self._socket.send(peer, zmq.NOBLOCK | zmq.SNDMORE)
            self._send(parts)
        except (zmq.Again, zmq.ZMQError) as error:
            if error.errno in (zmq.EHOSTUNREACH, zmq.EAGAIN):
                return False
            raise
        return True


class Requester(Socket):
    """DEALER that connects."""

    _kind = zmq.DEALER

    def __init__(self, address: str, *, identity: bytes | None = None) -> None:
        super().__init__(identity=identity)
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


def close_context() -> None:
    """End ZeroMQ in this process, when all is closed; waits for what lingers."""
    with contextlib.suppress(zmq.ZMQError):
        zmq.Context.instance().term()
