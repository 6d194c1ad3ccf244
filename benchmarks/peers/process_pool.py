"""multiprocessing.Pool, of spawned processes."""

from __future__ import annotations

import multiprocessing
import platform
import time
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from benchmarks.peers import processes
from benchmarks.peers.journal import Journaled
from benchmarks.peers.peer import Finished
from benchmarks.peers.work import locate
from pipeline import Result

END_S = 5.0


class ProcessPool(Journaled):
    """A `Peer`.

    Parameters
    ----------
    folder
        For the journal.
    workers
        How many processes.
    """

    name = "multiprocessing.Pool"
    counted = (
        "measured: bytes all processes passed to write(), which is the pickled images and results "
        "in the pool's pipes; no file is written meanwhile"
    )

    def __init__(self, folder: Path, workers: int) -> None:
        super().__init__(folder)
        self.version = f"Python {platform.python_version()}"
        self.workers = f"{workers} processes, spawned"
        self._count = workers
        self._arrived: SimpleQueue[Finished] = SimpleQueue()
        self._pool: Pool | None = None

    def __enter__(self) -> Self:
        # Spawned as Dask and Ray start theirs; forking is unsafe beside the threads of this one.
        self._pool = multiprocessing.get_context("spawn").Pool(self._count)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            # It waits for ever for a lock that a killed worker held.
            ending = Thread(target=self._pool.terminate, daemon=True)
            ending.start()
            ending.join(END_S)

    def submit(self, number: int, image: NDArray[Any]) -> None:
        """Hand an image in."""
        if self._pool is None:
            raise ValueError("not entered")
        self._pool.apply_async(
            locate,
            (number, image, self._journal),
            callback=partial(self._take, number),
            error_callback=partial(self._take_error, number),
        )

    def finished(self, timeout_s: float) -> list[Finished]:
        """Return what has come."""
        try:
            found = [self._arrived.get(timeout=timeout_s)]
        except Empty:
            return []
        while not self._arrived.empty():
            found.append(self._arrived.get())
        return found

    def moved(self) -> float:
        """Return what was written into pipes."""
        return processes.written()

    def _take(self, number: int, result: Result) -> None:
        self._arrived.put(Finished(number, time.monotonic(), len(result.boxes)))

    def _take_error(self, number: int, error: BaseException) -> None:
        self._arrived.put(Finished(number, time.monotonic(), error=type(error).__name__))
