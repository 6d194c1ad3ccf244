"""Dask distributed: a LocalCluster of processes with one thread each."""

from __future__ import annotations

import logging
import time
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self

import distributed
from numpy.typing import NDArray

from benchmarks.peers import tcp
from benchmarks.peers.journal import Journaled
from benchmarks.peers.peer import Finished
from benchmarks.peers.work import locate

Future = Any
"""`distributed.Future`; the package may not be there when types are checked."""


class DaskCluster(Journaled):
    """A `Peer`.

    Parameters
    ----------
    folder
        For the journal, and what Dask writes.
    workers
        How many processes.
    """

    name = "Dask distributed"
    counted = (
        "measured: TCP payload of the process that holds client and scheduler, through which every "
        "image and result passes: client to scheduler to worker, and back"
    )

    def __init__(self, folder: Path, workers: int) -> None:
        super().__init__(folder)
        self.version = distributed.__version__
        self.workers = f"{workers} processes, 1 thread each"
        self._count = workers
        self._folder = folder
        self._done: SimpleQueue[tuple[int, Future]] = SimpleQueue()
        self._pending: dict[int, Future] = {}
        self._cluster: Any = None
        self._client: Any = None

    def __enter__(self) -> Self:
        self._cluster = distributed.LocalCluster(
            n_workers=self._count,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            worker_dashboard_address=None,
            memory_limit=None,
            local_directory=str(self._folder),
            # A worker that dies is the point, and no news.
            silence_logs=logging.CRITICAL,
        )
        self._client = distributed.Client(self._cluster)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pending.clear()
        for opened in (self._client, self._cluster):
            if opened is not None:
                opened.close()

    def submit(self, number: int, image: NDArray[Any]) -> None:
        """Hand an image in."""
        # Not pure: otherwise Dask hashes the image, and computes the same one once.
        future = self._client.submit(locate, number, image, self._journal, pure=False)
        self._pending[number] = future
        future.add_done_callback(partial(self._note, number))

    def finished(self, timeout_s: float) -> list[Finished]:
        """Return what has come."""
        try:
            done = [self._done.get(timeout=timeout_s)]
        except Empty:
            return []
        while not self._done.empty():
            done.append(self._done.get())
        found = [
            Finished(number, time.monotonic(), error=_error(future))
            for number, future in done
            if future.status in {"error", "cancelled"}
        ]
        well = [(number, future) for number, future in done if number not in {f[0] for f in found}]
        results = self._client.gather([future for _, future in well])
        now = time.monotonic()
        found += [
            Finished(number, now, len(result.boxes))
            for (number, _), result in zip(well, results, strict=True)
        ]
        for number, _ in done:
            del self._pending[number]
        return found

    def moved(self) -> float:
        """Return what went through TCP."""
        return tcp.bytes_through()

    def _note(self, number: int, future: Future) -> None:
        self._done.put((number, future))


def _error(future: Future) -> str:
    return "CancelledError" if future.status == "cancelled" else type(future.exception()).__name__
