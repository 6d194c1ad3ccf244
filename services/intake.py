"""From the ledger to frames ready to be sent: reads files and the spool, a few frames ahead."""

from __future__ import annotations

import os
import time
import traceback
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from protocols import (
    REASON_CHARS,
    TRACEBACK_CHARS,
    Buffer,
    DecodeError,
    EncodeError,
    decode,
    encode,
    fit,
    set_back,
    with_attempt,
)
from protocols.messages import Envelope, Failed, Setback, SurveyImage

from .detectors.files import DEFAULT_READ_LIMITS, ReadLimits, UnreadableImage, read_reference
from .detectors.metadata import with_file_metadata
from .runtime.ledger import Ledger, LedgerFrame
from .runtime.process import process_name
from .runtime.spool import Spool
from .runtime.topology import SourceTable

ROWS_AT_ONCE = 256
READ_AHEAD = 8


def first_envelope(run: str, frame: LedgerFrame) -> Envelope:
    """Return the envelope with which a frame starts its way."""
    return Envelope(
        run=run,
        seq=frame.seq,
        attempt=frame.attempt,
        metadata=frame.metadata,
        accepted_unix=frame.accepted_unix,
        setbacks=frame.setbacks or UNSET,
        replay_of=frame.replay_of or UNSET,
    )


def limits_of(table: SourceTable) -> ReadLimits:
    """Return how large an image the source takes, from a file or from a detector."""
    return ReadLimits(
        pixels=table.max_pixels,
        image_bytes=table.max_image_bytes,
        file_bytes=table.max_file_bytes,
        pages=table.max_pages,
    )


class Prepared(NamedTuple):
    """A frame ready to be sent."""

    parts: list[Buffer]
    image_bytes: int
    failed: bool
    """It goes to the sink: its image could not be read."""


class Intake:
    """Open frames of the ledger, in order, with their images.

    Parameters
    ----------
    ledger, spool
        Where frames and images are.
    most_frames, most_bytes
        What may be in the chain at once. Half of these bytes, and at most `READ_AHEAD` frames, are
        read before they are asked for: as many as would fit if all were as large as the largest of
        late, but one always. Reading runs in threads: decoding a PNG releases the interpreter, and
        on a network share the wait is the file server's.
    most_spooled
        Bytes of images in the spool, at most; None for no limit.
    spooled
        Whether offered images are in the spool. If not, they are kept in memory until their frame
        has ended, and a frame whose image an earlier process had waits until it is offered again.
    limits
        The largest image that is read from a file.
    """

    def __init__(
        self,
        ledger: Ledger,
        spool: Spool,
        *,
        most_frames: int,
        most_bytes: int,
        spooled: bool,
        limits: ReadLimits = DEFAULT_READ_LIMITS,
        most_spooled: int | None = None,
    ) -> None:
        self._limits = limits
        self.kept_frames = 0
        self.kept_bytes = 0
        self._ledger = ledger
        self._spool = spool
        self._most_frames = most_frames
        self._most_bytes = most_bytes
        self._ahead = min(READ_AHEAD, most_frames)
        self._spooled = spooled
        self._most_spooled = most_spooled
        self._large = 1.0
        self._rows: deque[LedgerFrame] = deque()
        self._read_through = -1
        self._reading: deque[tuple[LedgerFrame, Future[Prepared]]] = deque()
        self._remembered: dict[int, Prepared] = {}
        self._awaited: dict[int, LedgerFrame] = {}
        self._threads = ThreadPoolExecutor(
            min(self._ahead, os.cpu_count() or 1), thread_name_prefix="reader"
        )

    @property
    def head(self) -> Future[Prepared] | None:
        """What `take` would wait for; None when nothing is being read."""
        return self._reading[0][1] if self._reading else None

    def remember(self, seq: int, prepared: Prepared) -> None:
        """Keep a frame that has been accepted in memory, if it will be sent soon."""
        self._note_size(prepared.image_bytes)
        if not self._spooled:
            self.kept_frames += 1
            self.kept_bytes += prepared.image_bytes
        elif len(self._remembered) >= self._ahead_now():
            return
        self._remembered[seq] = prepared
        if seq in self._awaited:
            self._rows.appendleft(self._awaited.pop(seq))

    def room(self, asked: int) -> int:
        """Return how many of so many offered images can be taken in now."""
        if self._spooled:
            return self._room_on_disk(asked)
        if not self.kept_frames:
            return 1
        fitting = int((self._most_bytes - self.kept_bytes) / self._large)
        return max(0, min(asked, self._most_frames - self.kept_frames, fitting))

    def _room_on_disk(self, asked: int) -> int:
        if self._most_spooled is None:
            return asked
        if not self._spool.bytes:
            return 1
        return max(0, min(asked, int((self._most_spooled - self._spool.bytes) / self._large)))

    def awaits(self, seq: int) -> bool:
        """Say whether a frame is open, and its image is nowhere here."""
        return seq in self._awaited

    def forget(self, seq: int) -> Prepared | None:
        """Let go of a frame that has ended; return it if it was in memory only."""
        self._awaited.pop(seq, None)
        kept = self._remembered.pop(seq, None)
        if kept is not None and not self._spooled:
            self.kept_frames -= 1
            self.kept_bytes -= kept.image_bytes
            return kept
        return None

    def again(self, frames: Iterable[LedgerFrame]) -> None:
        """Put frames first in line once more."""
        self._rows.extendleft(reversed(list(frames)))

    def take(self) -> tuple[LedgerFrame, Prepared] | None:
        """Return the next frame if it is read, else None."""
        self._read_ahead()
        if not self._reading or not self._reading[0][1].done():
            return None
        frame, future = self._reading.popleft()
        prepared = future.result()
        self._note_size(prepared.image_bytes)
        return frame, prepared

    def close(self) -> None:
        """Stop reading."""
        self._threads.shutdown(cancel_futures=True)

    def _note_size(self, image_bytes: int) -> None:
        self._large = max(image_bytes, 0.9 * self._large, 1.0)

    def _ahead_now(self) -> int:
        return max(1, min(self._ahead, int(self._most_bytes / 2 / self._large)))

    def _read_ahead(self) -> None:
        # Until the first image is here nobody knows how large they are.
        ahead = self._ahead_now() if self._large > 1.0 else 1
        while len(self._reading) < ahead:
            if not self._rows:
                self._rows.extend(self._ledger.open_frames(self._read_through, ROWS_AT_ONCE))
                if not self._rows:
                    return
                self._read_through = max(self._read_through, self._rows[-1].seq)
            frame = self._rows.popleft()
            reading = self._in_memory(frame)
            if reading is None and self._is_nowhere(frame):
                self._awaited[frame.seq] = frame
                continue
            self._reading.append((frame, reading or self._threads.submit(self._prepare, frame)))

    def _in_memory(self, frame: LedgerFrame) -> Future[Prepared] | None:
        take = self._remembered.pop if self._spooled else self._remembered.get
        prepared = take(frame.seq, None)
        if prepared is None:
            return None
        parts = prepared.parts
        if frame.attempt > 1:
            parts = with_attempt(parts, frame.attempt, setbacks=frame.setbacks)
        done: Future[Prepared] = Future()
        done.set_result(prepared._replace(parts=parts))
        return done

    def _is_nowhere(self, frame: LedgerFrame) -> bool:
        return not self._spooled and frame.reference is None and not self._spool.has(frame.seq)

    def _prepare(self, frame: LedgerFrame) -> Prepared:
        envelope = first_envelope(self._ledger.run, frame)
        try:
            message = self._read(frame, envelope)
            return Prepared(encode(message), message.image.nbytes, failed=False)
        except (UnreadableImage, DecodeError, EncodeError) as error:
            failed = _failed(envelope, str(error))
        except OSError as error:
            failed = _failed(envelope, error.strerror or str(error))
        except Exception as error:  # noqa: BLE001 - one bad file never stops the next good one
            failed = _failed(envelope, f"{type(error).__name__}: {error}", traceback.format_exc())
        return Prepared(encode(failed), 0, failed=True)

    def _read(self, frame: LedgerFrame, envelope: Envelope) -> SurveyImage:
        if frame.reference is None:
            return self._from_spool(frame, envelope)
        read = read_reference(frame.reference, limits=self._limits)
        metadata = with_file_metadata(frame.metadata, read)
        known = msgspec.structs.replace(envelope, metadata=metadata)
        return SurveyImage(envelope=known, image=read.image)

    def _from_spool(self, frame: LedgerFrame, envelope: Envelope) -> SurveyImage:
        try:
            message = decode(self._spool.read(frame.seq), expect=(SurveyImage,))
        except DecodeError as error:
            name = self._spool.path(frame.seq).name
            raise UnreadableImage(f"spooled image {name}: {error}") from error
        return msgspec.structs.replace(message, envelope=envelope)


def _failed(envelope: Envelope, reason: str, traced: str = "") -> Failed:
    setback = Setback(
        stage="source",
        how="could not read it",
        worker=process_name("source"),
        ended_unix=time.time(),
    )
    return Failed(
        envelope=set_back(envelope, setback),
        stage="source",
        reason=fit(reason, REASON_CHARS),
        traceback=fit(traced, TRACEBACK_CHARS),
    )
