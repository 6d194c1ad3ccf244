"""From the ledger to frames ready to be sent: reads files and the spool, a few frames ahead."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec

from protocols import DecodeError, decode, fit
from protocols.bounds import REASON_CHARS
from protocols.messages import Envelope, Failed, SurveyImage

from .detectors.files import UnreadableImage, read_image
from .detectors.metadata import with_file_metadata
from .runtime.ledger import Ledger, LedgerFrame
from .runtime.spool import Spool

ROWS_AT_ONCE = 256


def first_envelope(run: str, frame: LedgerFrame) -> Envelope:
    """Return the envelope with which a frame starts its way."""
    return Envelope(
        run=run,
        seq=frame.seq,
        attempt=frame.attempt,
        metadata=frame.metadata,
        accepted_unix=frame.accepted_unix,
    )


class Intake:
    """Open frames of the ledger, in order, with their images.

    Parameters
    ----------
    ledger, spool
        Where frames and images are.
    ahead
        Frames read before they are asked for. Reading runs in threads: decoding a PNG releases the
        interpreter, and on a network share the wait is the file server's.
    """

    def __init__(self, ledger: Ledger, spool: Spool, *, ahead: int) -> None:
        self._ledger = ledger
        self._spool = spool
        self._ahead = ahead
        self._rows: deque[LedgerFrame] = deque()
        self._read_through = -1
        self._reading: deque[tuple[LedgerFrame, Future[SurveyImage | Failed]]] = deque()
        self._remembered: dict[int, SurveyImage] = {}
        self._threads = ThreadPoolExecutor(
            min(ahead, os.cpu_count() or 1), thread_name_prefix="reader"
        )

    @property
    def head(self) -> Future[SurveyImage | Failed] | None:
        """What `take` would wait for; None when nothing is being read."""
        return self._reading[0][1] if self._reading else None

    def remember(self, seq: int, message: SurveyImage) -> None:
        """Keep a frame that was just accepted in memory, if it will be sent soon."""
        if len(self._remembered) < self._ahead:
            self._remembered[seq] = message

    def again(self, frames: Iterable[LedgerFrame]) -> None:
        """Put frames first in line once more."""
        self._rows.extendleft(reversed(list(frames)))

    def take(self) -> tuple[LedgerFrame, SurveyImage | Failed] | None:
        """Return the next frame if it is read, else None."""
        self._read_ahead()
        if not self._reading or not self._reading[0][1].done():
            return None
        frame, future = self._reading.popleft()
        return frame, future.result()

    def close(self) -> None:
        """Stop reading."""
        self._threads.shutdown(cancel_futures=True)

    def _read_ahead(self) -> None:
        while len(self._reading) < self._ahead:
            if not self._rows:
                self._rows.extend(self._ledger.open_frames(self._read_through, ROWS_AT_ONCE))
                if not self._rows:
                    return
                self._read_through = max(self._read_through, self._rows[-1].seq)
            frame = self._rows.popleft()
            self._reading.append((frame, self._threads.submit(self._read, frame)))

    def _read(self, frame: LedgerFrame) -> SurveyImage | Failed:
        envelope = first_envelope(self._ledger.run, frame)
        try:
            if frame.reference is None:
                return self._from_spool(frame, envelope)
            read = read_image(Path(frame.reference))
        except (UnreadableImage, DecodeError, OSError) as error:
            return Failed(envelope=envelope, stage="source", reason=fit(str(error), REASON_CHARS))
        metadata = with_file_metadata(frame.metadata, read)
        return SurveyImage(
            envelope=msgspec.structs.replace(envelope, metadata=metadata), image=read.image
        )

    def _from_spool(self, frame: LedgerFrame, envelope: Envelope) -> SurveyImage:
        remembered = self._remembered.pop(frame.seq, None)
        message: SurveyImage = remembered or decode(
            self._spool.read(frame.seq), expect=(SurveyImage,)
        )
        return msgspec.structs.replace(message, envelope=envelope)
