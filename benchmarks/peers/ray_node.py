"""Ray, on this machine alone."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers import tcp
from benchmarks.peers.journal import Journaled
from benchmarks.peers.peer import Finished
from benchmarks.peers.work import locate

# Ray reads both when it is imported. The second keeps its servers on 127.0.0.1: on Linux it would
# otherwise listen on every interface, whatever address `init` is given.
os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0")

import ray

PLASMA_BYTES = 512 * 2**20
IN_PLASMA_FROM = 100 * 1024
"""Ray's own limit: smaller arguments and results travel inside the message."""


class RayNode(Journaled):
    """A `Peer`.

    Parameters
    ----------
    folder
        For the journal, and for Ray's own files and sockets: its path must be short.
    workers
        How many processes.
    """

    name = "Ray"
    counted = (
        "counted: what Ray's serializer makes of each image, written once into shared memory and "
        "mapped by the worker; measured: TCP payload of the caller, which brings the results; "
        "not measurable here: what Ray's own processes say to each other"
    )

    def __init__(self, folder: Path, workers: int) -> None:
        super().__init__(folder)
        self.version = str(ray.__version__)
        self.workers = f"{workers} processes (num_cpus)"
        self._count = workers
        self._folder = folder
        self._pending: dict[Any, int] = {}
        self._locate: Any = None
        self._shared = 0
        self._sizes: dict[tuple[int, ...], int] = {}

    def __enter__(self) -> Self:
        ray.init(
            address="local",
            num_cpus=self._count,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=PLASMA_BYTES,
            _temp_dir=str(self._folder),
        )
        self._locate = ray.remote(locate)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pending.clear()
        ray.shutdown()

    def submit(self, number: int, image: NDArray[Any]) -> None:
        """Hand an image in."""
        self._pending[self._locate.remote(number, image, self._journal)] = number
        self._shared += self._in_plasma(image)

    def finished(self, timeout_s: float) -> list[Finished]:
        """Return what has come."""
        if not self._pending:
            return []
        waiting = list(self._pending)
        ready, _ = ray.wait(waiting, num_returns=1, timeout=timeout_s)
        if ready:
            # `wait` returns as many as it was asked for, though more may be there.
            ready, _ = ray.wait(waiting, num_returns=len(waiting), timeout=0)
        return [self._finished(reference) for reference in ready]

    def moved(self) -> float:
        """Return what was written into shared memory and went through TCP."""
        return self._shared + tcp.bytes_through()

    def _finished(self, reference: Any) -> Finished:  # noqa: ANN401 - a `ray.ObjectRef`
        number = self._pending.pop(reference)
        try:
            result = ray.get(reference)
        except ray.exceptions.RayError as error:
            return Finished(number, time.monotonic(), error=type(error).__name__)
        return Finished(number, time.monotonic(), len(result.boxes))

    def _in_plasma(self, image: NDArray[Any]) -> int:
        size = self._sizes.get(image.shape)
        if size is None:
            context = ray._private.worker.global_worker.get_serialization_context()
            size = int(context.serialize(np.ascontiguousarray(image)).total_bytes)
            self._sizes[image.shape] = size
        return size if size > IN_PLASMA_FROM else 0
