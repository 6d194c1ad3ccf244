"""When what was written is on the disk, and outlives a power failure.

A killed process loses nothing of what it wrote: the operating system has it. Against a power
failure files have to be flushed (fsync), which costs milliseconds, so the topology says how often.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Literal

Durability = Literal["none", "batch", "frame"]
"""`none`: when the operating system gets to it, half a minute perhaps. `batch`: soon, many at once.
`frame`: before anyone is told."""

BATCH_FRAMES = 256
BATCH_S = 0.5


def flush(path: Path) -> None:
    """Return when a file, or the names in a folder, are on the disk; a file may be gone by now."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Flusher:
    """Flushes in batches, beside the loop that writes.

    A batch ends after `BATCH_FRAMES` frames or `BATCH_S` seconds; then the ledger is flushed, and
    the images of the batch before. They wait so long because most are gone by then: an image whose
    frame has ended costs nothing. Who writes faster than the disk flushes waits.

    Parameters
    ----------
    always
        Files and folders to flush at the end of each batch, behind its images.
    clock
        Seconds, monotonic.
    """

    def __init__(self, always: Iterable[Path], *, clock: Callable[[], float]) -> None:
        self.batches = 0
        self._always = tuple(always)
        self._clock = clock
        self._earlier: list[Path] = []
        self._batch: list[Path] = []
        self._frames = 0
        self._begun: float | None = None
        self._flushing: Future[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="flusher")

    def wrote(self, images: Iterable[Path], frames: int) -> None:
        """Note that so many frames were written down, some of them with an image."""
        if self._begun is None:
            self._begun = self._clock()
        self._frames += frames
        self._batch += images

    def turn(self) -> None:
        """Begin to flush if a batch has ended.

        Raises
        ------
        OSError
            What the disk said of an earlier batch: it may not be there.
        """
        if self._begun is None:
            return
        full = self._frames >= BATCH_FRAMES
        if not full and self._clock() - self._begun < BATCH_S:
            return
        before, self._flushing = self._flushing, None
        if before is not None:
            if not full and not before.done():
                self._flushing = before
                return
            before.result()
        self._flushing = self._thread.submit(_flush_all, (*self._earlier, *self._always))
        self._earlier, self._batch, self._frames = self._batch, [], 0
        self._begun = self._clock() if self._earlier else None
        self.batches += 1

    def close(self) -> None:
        """Flush the rest."""
        if self._flushing is not None:
            self._flushing.result()
        if self._begun is not None:
            _flush_all((*self._earlier, *self._batch, *self._always))
        self._begun = None
        self._thread.shutdown()


def _flush_all(paths: Iterable[Path]) -> None:
    for path in paths:
        flush(path)
