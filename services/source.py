"""The source: where frames enter the chain, and where their end is noted.

It sends what its ledger holds open, within a window, and sends again what was lost. Frames come
into the ledger in two ways: `haadflow run` writes references to files before the source starts, and
detectors offer images while it runs (services/reception.py).
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from itertools import islice
from typing import Any, Protocol

import structlog

from protocols import SETBACKS_KEPT, DecodeError, decode, fit
from protocols.messages import Closed, Setback, Started

from .adoption import adopt_ended
from .intake import Intake, Prepared, limits_of
from .reception import OFFERS_A_TURN, Reception
from .runtime.bad_input import BadInput
from .runtime.disk import is_full
from .runtime.durable import Flusher
from .runtime.endpoints import MESSAGES_A_TURN, Inlet, Outlet, Poller, Socket
from .runtime.keyring import Keyring
from .runtime.ledger import Ledger, LedgerFrame
from .runtime.places import Places
from .runtime.process import Pulse, Stop
from .runtime.spool import Spool
from .runtime.topology import Topology
from .runtime.window import Window

IDLE_MS = 50
REFUSED_MS = 5
"""Until a queue that took no more is tried again."""
READING_MS = 5
RECOUNT_S = 0.5
"""Another process may write into the ledger: `haadflow deadletter replay`."""
WHY_CHARS = 100


class QueueHere(Protocol):
    """The first stage's queue, when it runs in the source's process."""

    ends: tuple[Socket, ...]

    def send(self, parts: Sequence[Any], *, timeout_ms: int = 0) -> bool:
        """Take a frame; False when it takes none now."""

    def turn(self, ready: set[Socket]) -> None:
        """Do what can be done, some of its ends being ready."""

    def close(self) -> None:
        """Leave."""


class Source:
    """One chain's source; `step` turns its loop once.

    Parameters
    ----------
    topology, places
        Addresses, and where ledger and spool are.
    queue
        The first stage's, if it runs in this process: an image then crosses a socket less.
    clock
        Seconds, monotonic.
    """

    def __init__(
        self,
        topology: Topology,
        places: Places,
        *,
        queue: QueueHere | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        table = topology.source
        frame = table.durability == "frame"
        self.ledger = Ledger(places.ledger, flushed=frame)
        adopt_ended(self.ledger, places)
        self.ledger.begin_again()
        self.accepted = self.ledger.accepted()
        self.open = self.ledger.open_count()
        self.window = Window(table.window_frames, table.window_bytes, table.quiet_s)
        self.resent = 0
        self._recount_at = 0.0
        self._clock = clock
        self._log = structlog.get_logger()
        self._spool = Spool(
            places.spool,
            places.dead_letters,
            places.keepsakes,
            keep_first=table.keep_first,
            flushed=frame,
        )
        self._sweep_spool()
        limits = limits_of(table)
        self._bad = BadInput({})
        self._intake = Intake(
            self.ledger,
            self._spool,
            most_frames=table.window_frames,
            most_bytes=table.window_bytes,
            spooled=table.spool,
            limits=limits,
            most_spooled=table.spool_bytes,
        )
        self._flusher = (
            Flusher((places.spool, self.ledger.log), clock=clock)
            if table.durability == "batch"
            else None
        )
        keyring = Keyring.of(topology)
        self._reception = (
            Reception(
                table.offers,
                self.ledger,
                self._intake,
                self._spool if table.spool else None,
                self._flusher,
                bad=self._bad,
                limits=limits,
                curve=keyring.listen("source.offers"),
            )
            if table.offers
            else None
        )
        self._closed = Inlet(table.closed, curve=keyring.listen("source.closed"))
        self._bad.watch("source.closed", self._closed)
        self._tell_epochs = {"sink", *(f"{table.name}.queue" for table in topology.stage)}
        self._queue = queue
        self._chain = queue or Outlet(
            topology.stage[0].frames, curve=keyring.connect("source", "first_stage.frames")
        )
        self._sink = Outlet(topology.sink.results, curve=keyring.connect("source", "sink.results"))
        ends = [self._closed, *(queue.ends if queue is not None else ())]
        self._poller = Poller(ends)
        if self._reception is not None:
            self._poller_of_all = Poller([*ends, self._reception.end])
        self._ready: tuple[LedgerFrame, Prepared] | None = None
        self._ended: dict[int, str] = {}
        self._detectors_wait = False
        self._pulse = Pulse(
            "source",
            topology.chain.beats,
            self._figures,
            curve=keyring.connect("source", "chain.beats"),
        )

    @property
    def drained(self) -> bool:
        """Whether every accepted frame is closed."""
        # Who is about to leave asks the ledger: a dead letter may just have been replayed.
        return self.open == 0 and self.ledger.open_count() == 0

    def step(self) -> None:
        """Note what has closed, accept what is offered, send what fits into the window."""
        reading = self._intake.head
        timeout_ms = IDLE_MS
        if self._ready is not None:
            timeout_ms = REFUSED_MS
        elif reading is not None and self.window.has_room:
            wait([reading], timeout=READING_MS / 1e3)
            timeout_ms = 0
        room = self._intake.room(OFFERS_A_TURN)
        reception = self._reception if room else None
        self._detectors_wait = not room
        poller = self._poller if reception is None else self._poller_of_all
        ready = poller.wait(timeout_ms)
        if self._closed in ready:
            self._hear_sink()
        if self._ended:
            self._close_frames()
        if reception is not None and reception.end in ready:
            new = reception.hear(room)
            self.accepted += new
            self.open += new
        self._send_again(self.window.lost(self._clock()), "no answer")
        self._recount()
        self._flush()
        self._send()
        if self._queue is not None:
            self._queue.turn(ready)
        self._pulse.beat()

    def close(self) -> None:
        """Leave; what is open stays open in the ledger."""
        self._pulse.close()
        self._intake.close()
        if self._reception is not None:
            self._reception.close()
        for end in (self._closed, self._chain, self._sink):
            end.close()
        if self._flusher is not None:
            self._flusher.close()
        self.ledger.close()

    def _hear_sink(self) -> None:
        for parts in islice(iter(self._closed.receive, None), MESSAGES_A_TURN):
            try:
                message = decode(parts, expect=(Closed, Started))
            except DecodeError as error:
                self._bad.refuse("acknowledgement.undecodable", error, where="source.closed")
                continue
            if isinstance(message, Started):
                self._hear_start(message)
            elif self._closed.sender not in (None, "sink"):
                self._log.warning("acknowledgement.not_the_sinks", sender=self._closed.sender)
            elif message.run == self.ledger.run:
                self._ended.update(zip(message.seqs, message.outcomes, strict=True))
                if not message.seqs:
                    self.window.waits(self._clock())

    def _close_frames(self) -> None:
        """Note what has ended; on a full disk it is kept for the next turn."""
        outcomes = list(self._ended.items())
        try:
            closed = self.ledger.close_frames(outcomes, sent_through=self.window.sent_through)
        except sqlite3.Error as error:
            if not is_full(error):
                raise
            self._log.error("ledger.disk_full", error=str(error))
            self.window.waits(self._clock())
            return
        now = self._clock()
        self.open -= closed
        self._ended.clear()
        for seq, outcome in outcomes:
            self.window.close(seq, now)
            kept = self._intake.forget(seq)
            if self._reception is not None:
                self._reception.frame_closed(seq)
            try:
                if kept is not None and outcome == "failed":
                    self._spool.bury(seq, kept.parts)
                self._spool.close(seq, failed=outcome == "failed")
            except OSError as error:
                # It is closed all the same; the next start finds it in the spool.
                self._log.error("spool.not_cleared", seq=seq, error=str(error))

    def _hear_start(self, started: Started) -> None:
        if started.service not in self._tell_epochs:
            error = f"{started.service!r:.80} is no queue of this chain, nor its sink"
            self._bad.refuse("epoch.odd", error, where="source.closed")
            return
        note = f"epoch of {started.service}"
        known = self.ledger.about(note)
        try:
            self.ledger.note(note, started.epoch)
        except sqlite3.Error as error:
            if not is_full(error):
                raise
            # The epoch noted before stays: it will bring everything again once more than needed.
            self._log.error("ledger.disk_full", error=str(error))
        if known is not None and known != started.epoch:
            self._send_again(self.window.in_flight(), f"{started.service} started again")

    def _send_again(self, seqs: list[int], why: str) -> None:
        if not seqs:
            return
        self._log.warning("frames.sent_again", count=len(seqs), first=seqs[0], why=why)
        self.resent += len(seqs)
        setback = Setback(
            stage="source", how=fit(f"sent again: {why}", WHY_CHARS), ended_unix=time.time()
        )
        self._intake.again(
            frame._replace(setbacks=(*frame.setbacks, setback)[-SETBACKS_KEPT:])
            for frame in self.window.reopen(seqs)
        )

    def _send(self) -> None:
        while self.window.has_room:
            self._ready = self._ready or self._intake.take()
            if self._ready is None:
                return
            frame, prepared = self._ready
            if not (self._sink if prepared.failed else self._chain).send(prepared.parts):
                return
            self._ready = None
            self.window.sent(frame, prepared.image_bytes, self._clock())

    def _flush(self) -> None:
        if self._flusher is None:
            return
        try:
            self._flusher.turn()
        except OSError as error:
            if not is_full(error):
                raise
            # That image may be cut short after a power failure, and be a dead letter then.
            self._log.error("spool.disk_full", error=str(error))

    def _recount(self) -> None:
        """Count anew when another process has written into the ledger."""
        now = self._clock()
        if now < self._recount_at:
            return
        self._recount_at = now + RECOUNT_S
        if self.ledger.others_wrote():
            self.accepted = self.ledger.accepted()
            self.open = self.ledger.open_count()

    def _sweep_spool(self) -> None:
        """Close in the spool what the ledger closed just before an earlier source was killed."""
        for seq in self._spool.seqs():
            outcome = self.ledger.outcome(seq)
            if outcome is not None:
                self._spool.close(seq, failed=outcome == "failed")

    def _figures(self) -> dict[str, Any]:
        now = self._clock()
        oldest = self.ledger.oldest_open_unix()
        return {
            "accepted": self.accepted,
            "open": self.open,
            "in_flight": self.window.frames,
            "in_flight_bytes": self.window.bytes,
            "oldest_s": round(self.window.oldest_age(now), 3),
            # By the wall clock, perhaps of an earlier process: people see it, nothing hangs on it.
            "lag_s": 0.0 if oldest is None else round(max(0.0, time.time() - oldest), 1),
            "spool_bytes": self._spool.bytes,
            "detectors_wait": int(self._detectors_wait),
            "refused": 0 if self._reception is None else self._reception.refused,
            "resent": self.resent,
            **self._bad.figures(),
            "waits_for_disk": int(bool(self._ended)),
        }


def run(
    topology: Topology, places: Places, *, until_drained: bool, queue: QueueHere | None = None
) -> bool:
    """Run until told to stop, or until every accepted frame is closed; say whether all are."""
    stop = Stop()
    source = Source(topology, places, queue=queue)
    while not stop and not (until_drained and source.drained):
        source.step()
    drained = source.drained
    source.close()
    return drained
