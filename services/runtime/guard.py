"""Who is let in: answers ZeroMQ's question about each peer's key, and logs who was turned away.

One thread a process does it (ZAP, https://rfc.zeromq.org/spec/27), so that it happens while the
process computes, too. It also follows the connections of the ends that listen: those that fail
before there is a key to ask about (no CURVE at all, another server's key, a replayed recording)
are logged from there.
"""

from __future__ import annotations

import itertools
import os
import queue
import socket
import threading
import time
from typing import Any, NamedTuple

import structlog

from .endpoints import ContextClosed, Dispatcher, Happening, Monitor, Poller, key_text
from .keys import Allowed, Entry
from .roles import MAY_CONNECT, End

ZAP = "inproc://zeromq.zap.01"
LOOK_MS = 250
"""Until an end that listens newly is followed, at most."""
LOG_AGAIN_S = 10.0
"""The same peer turned away for the same reason is logged once in so long, with the count."""
REMEMBERED = 1_000
YES, NOT_NOW = b"200", b"300"
"""Not 400, for good: libzmq would never try again, although the key may be allowed a minute
later."""


class _Tried(NamedTuple):
    logged: float
    times: int


class EndGuard:
    """The guard of one end that listens.

    Parameters
    ----------
    end
        Which one: says what roles may connect.
    allowed
        The host's list of keys.
    """

    def __init__(self, end: End, allowed: Allowed, doorkeeper: Doorkeeper) -> None:
        self.end = end
        self.allowed = allowed
        self.domain = f"{end} {next(_numbers)}"
        self._doorkeeper = doorkeeper

    def watch(self, monitor: Monitor) -> None:
        """Take over what tells of the end's connections."""
        self._doorkeeper.follow(self, monitor)

    def role_of(self, key: str, address: str) -> str | None:
        """Return the role of who sent a message, None if it is not let in any more."""
        entry = self.allowed.now(key)
        why = self.objection(entry)
        if why is None and entry is not None:
            return entry.role
        self._doorkeeper.turned_away_from(self, address, why or "", entry, key)
        return None

    def objection(self, entry: Entry | None) -> str | None:
        """Return why a key may not be used here; None if it may."""
        if entry is None:
            return "its key is not on the list"
        if not entry.allowed:
            return "its key was revoked"
        if entry.role not in MAY_CONNECT[self.end]:
            return f"a key of role {entry.role} may not connect here"
        return None


class Doorkeeper:
    """The thread; `here` gives the process's own."""

    def __init__(self) -> None:
        self.turned_away = 0
        self._log = structlog.get_logger()
        self._zap = Dispatcher(ZAP)
        self._guards: dict[str, EndGuard] = {}
        self._to_follow: queue.SimpleQueue[tuple[EndGuard, Monitor]] = queue.SimpleQueue()
        self._following: dict[Monitor, _Connections] = {}
        self._tried: dict[tuple[str, ...], _Tried] = {}
        self._counting = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="doorkeeper", daemon=True)
        self._thread.start()

    @property
    def works(self) -> bool:
        """Whether it is there; it goes with the ZeroMQ context."""
        return self._thread.is_alive()

    def guard(self, end: End, allowed: Allowed) -> EndGuard:
        """Return a guard for an end that is going to listen."""
        guard = EndGuard(end, allowed, self)
        self._guards[guard.domain] = guard
        return guard

    def follow(self, guard: EndGuard, monitor: Monitor) -> None:
        """Log which connections of an end come to nothing, from soon on."""
        self._to_follow.put((guard, monitor))

    def turned_away_from(
        self, guard: EndGuard, address: str, why: str, entry: Entry | None = None, key: str = ""
    ) -> None:
        """Count and log somebody; called from any thread."""
        now = time.monotonic()
        host = address.rsplit(":", 1)[0] if ":" in address else address
        case = (guard.domain, host, why, key)
        with self._counting:
            self.turned_away += 1
            before = self._tried.get(case, _Tried(-LOG_AGAIN_S, 0))
            quiet = now - before.logged < LOG_AGAIN_S
            if len(self._tried) >= REMEMBERED and not quiet:
                self._tried.clear()
            self._tried[case] = _Tried(before.logged, before.times + 1) if quiet else _Tried(now, 0)
        if quiet:
            return
        who: dict[str, Any] = {"key": key} if key else {}
        if entry is not None:
            who |= {"name": entry.name, "role": entry.role}
        if before.times:
            who["times_since_last_line"] = before.times
        self._log.warning("peer.turned_away", end=guard.end, address=address, why=why, **who)

    def left(self, guard: EndGuard) -> None:
        """Log that a connection that was let in has ended; ZeroMQ does not say which, nor why."""
        self._log.info("peer.left", end=guard.end, why="it left, or sent a part above the limit")

    def _run(self) -> None:
        try:
            while True:
                self._turn()
        except ContextClosed:
            for end in (self._zap, *self._following):
                end.close(0)

    def _turn(self) -> None:
        ready = Poller([self._zap, *self._following]).wait(LOOK_MS)
        while not self._to_follow.empty():
            guard, monitor = self._to_follow.get()
            self._following[monitor] = _Connections(guard, self)
        if self._zap in ready:
            self._answer()
        for monitor, connections in list(self._following.items()):
            if monitor in ready and connections.read(monitor):
                monitor.close(0)
                del self._following[monitor]
                self._guards.pop(connections.guard.domain, None)

    def _answer(self) -> None:
        while (asked := self._zap.receive()) is not None:
            who, parts = asked
            request = [bytes(part) for part in parts]
            if len(request) < 8 or request[1] != b"1.0":
                continue  # not from libzmq
            yes, key = self._decide(request)
            status = (YES, b"OK", key) if yes else (NOT_NOW, b"not let in", b"")
            self._zap.send(who, [b"", b"1.0", request[2], *status, b""])

    def _decide(self, request: list[bytes]) -> tuple[bool, bytes]:
        _, _, _, domain, address, _, mechanism, *credentials = request
        guard = self._guards.get(domain.decode(errors="replace"))
        if guard is None or mechanism != b"CURVE" or len(credentials) != 1:
            self._log.error("peer.unexpected", domain=repr(domain), mechanism=repr(mechanism))
            return False, b""
        key = key_text(credentials[0])
        entry = guard.allowed.now(key)
        why = guard.objection(entry)
        peer = address.decode(errors="replace")
        if why is not None:
            self.turned_away_from(guard, peer, why, entry, key)
            return False, b""
        name = "" if entry is None else entry.name
        self._log.info("peer.let_in", end=guard.end, address=peer, name=name)
        return True, key.encode()


class _Connections:
    """The connections of one end that are on their way in."""

    def __init__(self, guard: EndGuard, doorkeeper: Doorkeeper) -> None:
        self.guard = guard
        self._doorkeeper = doorkeeper
        self._coming: dict[int, str] = {}
        self._inside: set[int] = set()
        self._failed = False

    def read(self, monitor: Monitor) -> bool:
        """Take in what has happened; return whether the end is closed."""
        while (happened := monitor.receive()) is not None:
            if happened.kind == "closed":
                return True
            self._note(happened)
        return False

    def _note(self, happened: Happening) -> None:
        if happened.kind == "accepted":
            self._coming[happened.value] = _address(happened.value)
        elif happened.kind in ("let in", "refused"):
            # Its key has been asked about, which is in the log. It does not say which connection
            # it was; the newest, most probably: a handshake takes milliseconds.
            if self._coming:
                descriptor, _ = self._coming.popitem()
                if happened.kind == "let in":
                    self._inside.add(descriptor)
        elif happened.kind == "failed":
            self._failed = True
        elif happened.kind == "ended":
            address = self._coming.pop(happened.value, UNKNOWN if self._failed else None)
            if address is not None:
                why = HANDSHAKE_FAILED if self._failed else NO_ZMTP
                self._doorkeeper.turned_away_from(self.guard, address, why)
            elif happened.value in self._inside and self.guard.end not in BRIEF:
                self._doorkeeper.left(self.guard)
            self._inside.discard(happened.value)
            self._failed = False


BRIEF: frozenset[End] = frozenset({"chain.control"})
"""Where every command is a connection."""
HANDSHAKE_FAILED = "its handshake failed: no CURVE, another server's key, a replay, or silence"
NO_ZMTP = "it spoke no ZMTP 3"
UNKNOWN = "unknown: gone too soon"


def _address(descriptor: int) -> str:
    """Return the peer of a connection that libzmq has accepted, if it is there still."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            peer = connection.getpeername()
    except OSError:
        return UNKNOWN
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else "a process of this machine"


_numbers = itertools.count(1)
_starting = threading.Lock()
_of_process: list[Doorkeeper] = []


def doorkeeper() -> Doorkeeper:
    """Return this process's; started when it is needed first."""
    with _starting:
        if not _of_process or not _of_process[-1].works:
            _of_process[:] = [Doorkeeper()]
        return _of_process[-1]


def turned_away() -> int:
    """Count who was turned away from this process's ends."""
    return _of_process[-1].turned_away if _of_process else 0
