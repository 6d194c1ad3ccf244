"""The stage queue: holds a stage's frames and gives them to workers that ask.

Binds both of its addresses, so workers and upstream processes come and go. What is dispatched stays
here as a lease until the worker says done; a worker that is gone is noticed when it is probed, and
its frames go to another.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from protocols import DecodeError, EncodeError, decode, encode, envelope_of, peek, with_attempt
from protocols.messages import Credit, Failed, Probe, Started

from .runtime.dispatch import Dispatch, Entry
from .runtime.endpoints import Dispatcher, Inlet, Outlet, Poller, Socket
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
    clock
        Seconds, monotonic.
    """

    def __init__(
        self,
        topology: Topology,
        stage: str,
        *,
        here: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        table = topology.stage_named(stage)
        self.stage = stage
        self.dispatch = Dispatch(max_deaths=table.max_deaths, deadline_s=table.deadline_s)
        self.undecodable = 0
        self._clock = clock
        self._probed = 0.0
        self._log = structlog.get_logger(stage=stage)
        keyring = Keyring.of(topology)
        self._frames = (
            None if here else Inlet(table.frames, curve=keyring.listen(frames_end(topology, stage)))
        )
        self._work = Dispatcher(table.work, curve=keyring.listen("stage.work"))
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
        while (heard := self._work.receive()) is not None:
            peer, parts = heard
            try:
                credit = decode(parts, expect=(Credit,))
            except DecodeError as error:
                self.undecodable += 1
                self._log.warning("credit.undecodable", error=str(error))
                continue
            self.dispatch.credit(
                peer,
                credit.frames,
                credit.done,
                self._clock(),
                outstanding=credit.outstanding,
                leaving=credit.leaving,
            )

    def _take_in(self, frames: Inlet) -> None:
        while (parts := frames.receive()) is not None:
            self._add(parts)

    def _add(self, parts: Sequence[Any]) -> None:
        try:
            identity = peek(parts)
        except DecodeError as error:
            self.undecodable += 1
            self._log.warning("frame.undecodable", error=str(error))
            return
        self.dispatch.add((identity.run, identity.seq), parts, self._clock())

    def _give_out(self) -> None:
        while (leased := self.dispatch.assign(self._clock())) is not None:
            peer, entry = leased
            if not self._work.send(peer, self._parts(entry)):
                self._log.warning("worker.gone", frame=entry.key)
                self._bury(self.dispatch.undelivered(peer))

    def _parts(self, entry: Entry) -> Sequence[Any]:
        if not entry.deaths:
            return entry.parts
        return with_attempt(entry.parts, peek(entry.parts).attempt + entry.deaths)

    def _look_after_workers(self) -> None:
        now = self._clock()
        if now - self._probed < PROBE_EVERY_S:
            return
        self._probed = now
        probe = encode(Probe())
        for peer in self.dispatch.peers:
            if not self._work.send(peer, probe):
                self._log.warning("worker.lost")
                self._bury(self.dispatch.lost(peer))
        for peer in self.dispatch.overdue(now):
            self._log.warning("worker.overdue")
            self._bury(self.dispatch.suspend(peer))

    def _bury(self, dead: list[Entry]) -> None:
        for entry in dead:
            try:
                envelope = envelope_of(entry.parts)
            except DecodeError as error:
                self.undecodable += 1
                self._log.error("frame.undecodable", frame=entry.key, error=str(error))
                continue
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
            "undecodable": self.undecodable,
            "oldest_s": 0.0 if oldest is None else round(self._clock() - oldest, 3),
        }


def run(topology: Topology, stage: str) -> None:
    """Run until told to stop."""
    stop = Stop()
    queue = StageQueue(topology, stage)
    while not stop:
        queue.step()
    queue.close()
