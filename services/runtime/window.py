"""The source's window: frames sent and not yet closed. State only; time is given, in seconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .ledger import LedgerFrame

OVERTAKEN = 4


@dataclass(slots=True)
class _Sent:
    frame: LedgerFrame
    size: int
    at: float
    closed_before: int


class Window:
    """Back-pressure and the memory of what may have to be sent again.

    Parameters
    ----------
    max_frames, max_bytes
        Limits; a single image larger than `max_bytes` still passes, alone.
    quiet_s
        Seconds. When nothing has moved for so long, all that is in flight is taken for lost. A
        single frame is, when it is in flight for so long and `OVERTAKEN` windows full of later
        frames have closed: queues are first come, first served, so load alone never does that.
    """

    def __init__(self, max_frames: int, max_bytes: int, quiet_s: float) -> None:
        self.bytes = 0
        self.sent_through = -1
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._quiet_s = quiet_s
        self._in_flight: dict[int, _Sent] = {}
        self._last_change = 0.0
        self._closed = 0

    @property
    def frames(self) -> int:
        """Frames in flight."""
        return len(self._in_flight)

    @property
    def has_room(self) -> bool:
        """Whether a frame more may be sent."""
        return len(self._in_flight) < self._max_frames and self.bytes < self._max_bytes

    def in_flight(self) -> list[int]:
        """Return the sequence numbers in flight, oldest first."""
        return list(self._in_flight)

    def oldest_age(self, now: float) -> float:
        """Seconds since the oldest frame in flight was sent; 0 when there is none."""
        first = next(iter(self._in_flight.values()), None)
        return 0.0 if first is None else now - first.at

    def sent(self, frame: LedgerFrame, size: int, now: float) -> None:
        """Note a frame as in flight."""
        self._last_change = now
        self._in_flight[frame.seq] = _Sent(frame, size, now, self._closed)
        self.bytes += size
        self.sent_through = max(self.sent_through, frame.seq)

    def close(self, seq: int, now: float) -> None:
        """Note a frame as closed; one that is not in flight changes nothing."""
        self._last_change = now
        sent = self._in_flight.pop(seq, None)
        if sent is not None:
            self.bytes -= sent.size
            self._closed += 1

    def waits(self, now: float) -> None:
        """Note that the far end says it is there, and cannot close anything now."""
        self._last_change = now

    def reopen(self, seqs: Iterable[int]) -> list[LedgerFrame]:
        """Take frames out of flight, to be sent again with an attempt more."""
        frames: list[LedgerFrame] = []
        for seq in seqs:
            sent = self._in_flight.pop(seq, None)
            if sent is not None:
                self.bytes -= sent.size
                frames.append(sent.frame._replace(attempt=sent.frame.attempt + 1))
        return frames

    def lost(self, now: float) -> list[int]:
        """Return what has to be taken for lost, oldest first; mostly nothing."""
        if not self._in_flight:
            return []
        if now - self._last_change > self._quiet_s:
            self._last_change = now
            return list(self._in_flight)
        lost: list[int] = []
        for seq, sent in self._in_flight.items():
            overtaken = self._closed - sent.closed_before > OVERTAKEN * self._max_frames
            if not overtaken or now - sent.at <= self._quiet_s:
                break
            lost.append(seq)
        return lost
