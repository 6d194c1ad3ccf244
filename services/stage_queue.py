"""The stage queue: holds a stage's frames and gives them to workers that ask.

Binds both of its addresses, so workers and upstream processes come and go. What is dispatched stays
here as a lease until the worker says done; a worker that is gone is noticed when it is probed, and
its frames go to another.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import structlog
from msgspec import UNSET
from msgspec.structs import replace

from protocols import (
    DEFAULT_LIMITS,
    DecodeError,
    EncodeError,
    decode,
    encode,
    envelope_of,
    peek,
    set_back,
    with_attempt,
)
from protocols.messages import Credit, Failed, Probe, Setback, Started

from .runtime.bad_input import BadInput
from .runtime.dispatch import Dispatch, Entry
from .runtime.endpoints import MESSAGES_A_TURN, Dispatcher, Inlet, Listener, Outlet, Poller, Socket
from .runtime.keyring import Keyring, frames_end
from .runtime.process import Pulse, Stop
from .runtime.topology import Topology

PROBE_EVERY_S = 0.4
"""Each worker is probed so often: a send to one that is gone fails at once."""
IDLE_MS = 100
HELD_FOR_SENDER = 16


class StageQueue:
    """One stage's queue; `step` turns its loop once.

    Parameters
    ----------
    topology, stage
        Addresses, and which stage's they are.
    here
        Frames come by `send` from the same process, and no socket is bound for them.
    clock, wall_clock
        Seconds: monotonic, and since 1970-01-01 UTC for the history of frames.
    """

    def __init__(
        self,
        topology: Topology,
        stage: str,
        *,
        here: bool = False,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        table = topology.stage_named(stage)
        self.stage = stage
        self.dispatch = Dispatch(max_deaths=table.max_deaths, deadline_s=table.deadline_s)
        self._clock = clock
        self._wall_clock = wall_clock
        self._names: dict[bytes, str] = {}
        self._probed = 0.0
        self._log = structlog.get_logger(stage=stage)
        keyring = Keyring.of(topology)
        self._frames = (
            None
            if here
            else Inlet(
                table.frames,
                largest_part=DEFAULT_LIMITS.array_bytes,
                curve=keyring.listen(frames_end(topology, stage)),
            )
        )
        self._work = Dispatcher(table.work, curve=keyring.listen("stage.work"))
        ends: dict[str, Listener] = {f"stage {stage}.work": self._work}
        if self._frames is not None:
            ends[f"stage {stage}.frames"] = self._frames
        self._bad = BadInput(ends)
        self._sink = Outlet(topology.sink.results, curve=keyring.connect("queue", "sink.results"))
        self._acknowledge = Outlet(
            topology.source.closed, curve=keyring.connect("queue", "source.closed")
        )
        self.ends: tuple[Socket, ...] = (
            (self._work,) if self._frames is None else (self._frames, self._work)
        )
        self._poller = Poller(self.ends)
        self._unsaid: deque[tuple[Outlet, Any]] = deque()
        self._pulse = Pulse(
            f"{stage}.queue",
            topology.chain.beats,
            self._figures,
            curve=keyring.connect("queue", "chain.beats"),
        )
        started = Started(service=f"{stage}.queue", epoch=self._pulse.epoch)
        self._unsaid.append((self._acknowledge, started))

    def step(self, timeout_ms: float = IDLE_MS) -> None:
        """Wait for what comes, and do what can be done."""
        self.turn(self._poller.wait(timeout_ms))

    def turn(self, ready: set[Socket]) -> None:
        """Take in what has come to the ends that are ready, give out what can go."""
        if self._work in ready:
            self._hear_workers()
        if self._frames is not None and self._frames in ready:
            self._take_in(self._frames)
        self._give_out()
        self._look_after_workers()
        self._say()
        self._pulse.beat()

    def send(self, parts: Sequence[Any], *, timeout_ms: int = 0) -> bool:  # noqa: ARG002 - as an outlet's
        """Take a frame from this process; False when as many wait as an outlet would hold."""
        if self.dispatch.waiting >= HELD_FOR_SENDER:
            return False
        self._add(parts)
        return True

    def close(self) -> None:
        """Leave; frames held here are sent again by the source when a new epoch starts."""
        self._pulse.close()
        for end in (*self.ends, self._sink, self._acknowledge):
            end.close()

    def _hear_workers(self) -> None:
        for peer, parts in islice(iter(self._work.receive, None), MESSAGES_A_TURN):
            try:
                credit = decode(parts, expect=(Credit,))
            except DecodeError as error:
                self._bad.refuse("credit.undecodable", error, where=f"stage {self.stage}.work")
                continue
            if credit.worker is not UNSET:
                self._names[peer] = credit.worker
            self.dispatch.credit(
                peer,
                credit.frames,
                credit.done,
                self._clock(),
                outstanding=credit.outstanding,
                leaving=credit.leaving,
            )
            if credit.leaving:
                self._names.pop(peer, None)

    def _take_in(self, frames: Inlet) -> None:
        for parts in islice(iter(frames.receive, None), MESSAGES_A_TURN):
            self._add(parts)

    def _add(self, parts: Sequence[Any]) -> None:
        try:
            identity = peek(parts)
        except DecodeError as error:
            self._bad.refuse("frame.undecodable", error, where=f"stage {self.stage}.frames")
            return
        self.dispatch.add((identity.run, identity.seq), parts, self._clock())

    def _give_out(self) -> None:
        while (leased := self.dispatch.assign(self._clock())) is not None:
            peer, entry = leased
            if not self._work.send(peer, self._parts(entry)) and self._is_dead(peer):
                self._log.warning("worker.gone", worker=self._names.get(peer), frame=entry.key)
                if self.dispatch.suspect(peer) is not entry:
                    self._blame(peer, "died")
                self._names.pop(peer, None)
                self._bury(self.dispatch.undelivered(peer, entry))

    def _parts(self, entry: Entry) -> Sequence[Any]:
        if not entry.deaths:
            return entry.parts
        attempt = peek(entry.parts).attempt + entry.deaths
        return with_attempt(entry.parts, attempt, setbacks=entry.setbacks)

    def _look_after_workers(self) -> None:
        now = self._clock()
        if now - self._probed < PROBE_EVERY_S:
            return
        self._probed = now
        probe = encode(Probe())
        for peer in self.dispatch.peers:
            if not self._work.send(peer, probe) and self._is_dead(peer):
                self._log.warning("worker.lost", worker=self._names.get(peer))
                self._blame(peer, "died")
                self._names.pop(peer, None)
                self._bury(self.dispatch.lost(peer))
        for peer in self.dispatch.overdue(now):
            self._log.warning("worker.overdue", worker=self._names.get(peer))
            self._blame(peer, f"overran its deadline of {self.dispatch.deadline_s:g} s")
            self._bury(self.dispatch.suspend(peer))

    def _blame(self, peer: bytes, how: str) -> None:
        """Note in the history of the frame that a lost worker had in hand how that ended."""
        entry = self.dispatch.suspect(peer)
        if entry is None:
            return
        now = self._wall_clock()
        entry.setbacks.append(
            Setback(
                stage=self.stage,
                how=how,
                worker=self._names.get(peer),
                begun_unix=now - (self._clock() - entry.begun),
                ended_unix=now,
            )
        )

    def _is_dead(self, peer: bytes) -> bool:
        """Say of a worker that is gone whether it left without a word: its last may lie unread."""
        self._hear_workers()
        return peer in self.dispatch.peers

    def _bury(self, dead: list[Entry]) -> None:
        for entry in dead:
            try:
                envelope = envelope_of(entry.parts)
            except DecodeError as error:
                self._bad.refuse("frame.undecodable", error, where=f"stage {self.stage}.frames")
                continue
            envelope = set_back(
                replace(envelope, attempt=envelope.attempt + entry.deaths - 1), *entry.setbacks
            )
            reason = f"{entry.deaths} workers of {self.stage} died or overran their deadline on it"
            self._log.error("frame.dead_letter", frame=entry.key, reason=reason)
            failed = Failed(envelope=envelope, stage=self.stage, reason=reason)
            self._unsaid.append((self._sink, failed))

    def _say(self) -> None:
        while self._unsaid:
            outlet, message = self._unsaid[0]
            try:
                parts = encode(message)
            except EncodeError as error:
                self._log.error("message.unencodable", error=str(error))
            else:
                if not outlet.send(parts):
                    return
            self._unsaid.popleft()

    def _figures(self) -> dict[str, Any]:
        counted = self.dispatch.figures
        oldest = self.dispatch.oldest()
        return {
            "waiting": self.dispatch.waiting,
            "leased": self.dispatch.leased,
            "workers": len(self.dispatch.workers),
            "arrived": counted.arrived,
            "done": counted.done,
            "repeats": counted.repeats,
            "redelivered": counted.redelivered,
            "workers_lost": counted.workers_lost,
            "overdue": counted.overdue,
            "dead_letters": counted.dead_letters,
            **self._bad.figures(),
            "oldest_s": 0.0 if oldest is None else round(self._clock() - oldest, 3),
        }


def run(topology: Topology, stage: str) -> None:
    """Run until told to stop."""
    stop = Stop()
    queue = StageQueue(topology, stage)
    while not stop:
        queue.step()
    queue.close()
