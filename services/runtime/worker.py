"""The worker: one loop for every stage.

A worker asks its stage queue for frames (credit), takes one through its stage, or through several
that follow each other, hands the result on, and only then says done. Killed at any point, the frame
is still somewhere: with the queue as a lease, or behind both in the source's ledger.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec
import structlog
from msgspec import UNSET

from protocols import (
    REASON_CHARS,
    TRACEBACK_CHARS,
    DecodeError,
    EncodeError,
    decode,
    encode,
    envelope_of,
    fit,
    peek,
    set_back,
)
from protocols.messages import (
    Credit,
    Envelope,
    Failed,
    Metadata,
    Probe,
    Rejected,
    Setback,
    StageRecord,
)

from .stage import Frame, Stage

PREFETCH = 4
"""Frames a worker holds: one in hand, the others on their way or here.

A queue may be busy for two or three frames long, with a batch of offers for example; with one
frame in reserve the worker waited for it meanwhile (docs/performance.md).
"""
SEND_SLICE_MS = 100
HOW_CHARS = 100
WAITING_S = 0.4
"""So often a worker whose result nobody takes says that its frame is not to be blamed."""
SILENCE_S = 1.0
"""A queue that knows this worker probes it more often; after so long it is a new one, or none."""


class Inbox(Protocol):
    """Where frames come from and credit goes."""

    def receive(self, timeout_ms: int = 0) -> Sequence[Any] | None:
        """Return the next message, or None."""

    def send(self, parts: Sequence[Any]) -> None:
        """Send to the queue."""


class Outbox(Protocol):
    """Where results go."""

    def send(self, parts: Sequence[Any], *, timeout_ms: int = 0) -> bool:
        """Hand on a message; False when the peer takes none now."""


class Worker:
    """Takes frames through its stages, one frame a `step`.

    Parameters
    ----------
    stages
        What to do with a frame, one after the other; mostly it is one stage.
    inbox, onward, sink
        The queue of the first stage, the queue of what comes behind the last one, and the
        coordinate sink. Behind the chain's last stage `onward` is the sink.
    give_up
        Asked while nobody takes a result: whether to drop it.
    name
        Process and host, for the history of frames that die here.
    clock, wall_clock
        Seconds: monotonic, for the compute time in the frame's record, and since 1970-01-01 UTC.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        inbox: Inbox,
        onward: Outbox,
        sink: Outbox,
        *,
        give_up: Callable[[], bool] = lambda: False,
        name: str | None = None,
        clock: Callable[[], float] = time.perf_counter,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.stages = stages
        self.name = name
        self.handled = 0
        self.failed = 0
        self.busy_seconds = 0.0
        self._outstanding = 0
        self._heard = clock()
        self._inbox = inbox
        self._onward = onward
        self._sink = sink
        self._give_up = give_up
        self._clock = clock
        self._wall_clock = wall_clock
        self._log = structlog.get_logger(stage=stages[0].name)

    def ask(self) -> None:
        """Ask for the first frames; call once, when the stage is warm."""
        self._say(frames=PREFETCH)

    def leave(self) -> None:
        """Give back what has not been begun."""
        self._say(frames=0, leaving=True)

    def step(self, timeout_ms: int) -> bool:
        """Handle one frame; False when none came within `timeout_ms`."""
        parts = self._inbox.receive(timeout_ms)
        if parts is None:
            if self._clock() - self._heard > SILENCE_S:
                self._say(frames=0)
            return False
        self._heard = self._clock()
        message = self._decoded(parts)
        if isinstance(message, Probe):
            return True
        self._outstanding -= 1
        started = self._clock()
        result = self._through_stages(message)
        self.busy_seconds += self._clock() - started
        self.handled += 1
        if self._hand_on(result, message.envelope):
            self._say(frames=1, done=(message.envelope.key,))
        return True

    def _say(
        self, *, frames: int, done: tuple[tuple[str, int], ...] = (), leaving: bool = False
    ) -> None:
        self._outstanding += frames
        self._heard = self._clock()
        credit = Credit(
            frames=frames,
            outstanding=self._outstanding,
            done=done,
            leaving=leaving,
            worker=self.name or UNSET,
        )
        self._inbox.send(encode(credit))

    def _decoded(self, parts: Sequence[Any]) -> Frame:
        try:
            return decode(parts, expect=(self.stages[0].accepts, Probe))
        except DecodeError as error:
            self.failed += 1
            self._log.warning("frame.undecodable", error=str(error))
            setback = self._setback(self.stages[0], "could not decode it", self._clock())
            return Failed(
                envelope=set_back(_envelope_all_the_same(parts), setback),
                stage=self.stages[0].name,
                reason=fit(f"undecodable frame: {error}", REASON_CHARS),
            )

    def _through_stages(self, message: Frame) -> Frame:
        for stage in self.stages:
            if isinstance(message, Failed | Rejected):
                break
            message = self._handle(stage, message)
        return message

    def _handle(self, stage: Stage, frame: Frame) -> Frame:
        started = self._clock()
        envelope: Envelope = frame.envelope
        try:
            message, findings = stage.handle(frame)
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends as this frame's dead letter
            self.failed += 1
            message = self._failure(stage, envelope, error, started)
            envelope = message.envelope
            findings = {}
        record = StageRecord(
            stage=stage.name,
            milliseconds=(self._clock() - started) * 1e3,
            parameters=stage.parameters,
            findings=findings,
        )
        signed = msgspec.structs.replace(envelope, stages=(*envelope.stages, record))
        return msgspec.structs.replace(message, envelope=signed)

    def _hand_on(self, result: Frame, before: Envelope) -> bool:
        started = self._clock()
        try:
            parts = encode(result)
        except EncodeError as error:
            # What the stage made is no message: the frame's fault or the stage's, not the loop's.
            self.failed += 1
            # With the envelope as it came: what cannot be encoded may be in a stage's record.
            result = self._failure(self.stages[-1], before, error, started)
            parts = encode(result)
        ends_here = isinstance(result, Failed | Rejected)
        outbox = self._sink if ends_here else self._onward
        # The frame in hand is finished even when a stop was asked for, if anybody still takes it;
        # if not, it is not said to be done, and its lease brings it to another worker.
        while not outbox.send(parts, timeout_ms=SEND_SLICE_MS):
            if self._give_up():
                return False
            if self._clock() - self._heard > WAITING_S:
                self._say(frames=0)  # the frame is not to be blamed for a next stage that hangs
        return True

    def _failure(
        self, stage: Stage, envelope: Envelope, error: Exception, started: float
    ) -> Failed:
        """Make the dead letter; call it while the error is being handled."""
        self._log.warning("frame.failed", frame=envelope.key, error=repr(error))
        kind = type(error).__name__
        how = f"raised {fit(kind, HOW_CHARS) if kind.isprintable() else 'an exception'}"
        return Failed(
            envelope=set_back(envelope, self._setback(stage, how, started)),
            stage=stage.name,
            reason=fit(_sentence(error), REASON_CHARS),
            traceback=fit(traceback.format_exc(), TRACEBACK_CHARS),
        )

    def _setback(self, stage: Stage, how: str, started: float) -> Setback:
        now = self._wall_clock()
        return Setback(
            stage=stage.name,
            how=how,
            worker=self.name,
            begun_unix=now - (self._clock() - started),
            ended_unix=now,
        )


def _sentence(error: Exception) -> str:
    """Return what went wrong; a ValueError of this project says it all by itself."""
    return str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"


def _envelope_all_the_same(parts: Sequence[Any]) -> Envelope:
    """Return a broken frame's envelope, or what of it the queue could peek at."""
    try:
        return envelope_of(parts)
    except DecodeError:
        run, seq, attempt = peek(parts)[1:]
        metadata = Metadata(parent_id=f"{run}/{seq}", source="undecodable frame")
        return Envelope(run=run, seq=seq, attempt=attempt, metadata=metadata)
