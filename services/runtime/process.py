"""What every process of the chain does alike: stop by signal, log, report, one compute thread."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, TextIO, cast

import psutil
import structlog

from protocols import encode, fit
from protocols.messages import Beat

from .disk import LossyLog
from .endpoints import Curve, Outlet
from .guard import turned_away

PARENT = "HAADFLOW_PARENT"
"""Process id of the supervisor; a service whose supervisor is gone ends itself."""
NAME_CHARS = 128
BEAT_SECONDS = 0.5
LEAVE_S = 5.0
ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "OPENCV_FOR_THREADS_NUM",
    ),
    "1",
)
"""Environment of every worker: workers are how the chain scales, not threads inside them."""


class Stop:
    """Set by SIGTERM, SIGINT, or the death of the supervisor; asked between two frames."""

    def __init__(self) -> None:
        self._asked = False
        self._noticed: float | None = None
        self._parent = int(os.environ.get(PARENT, "0"))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        # Nothing else: a handler runs between two bytecodes, and must not log or take a lock.
        self._asked = True

    def __bool__(self) -> bool:
        return self._asked or (self._parent != 0 and os.getppid() != self._parent)

    def overdue(self) -> bool:
        """Say whether it was asked `LEAVE_S` ago: what is not finished by now is left to others."""
        if self and self._noticed is None:
            self._noticed = time.monotonic()
        return self._noticed is not None and time.monotonic() - self._noticed > LEAVE_S


def allow_open_files() -> None:
    """Let this process open as many files as its user may at all.

    Each connection is one, and libzmq ends the process when it may open no more.
    """
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now != most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Pulse:
    """Sends a `Beat` to the supervisor every half second.

    Parameters
    ----------
    service
        Its name in `status`, such as `preprocessing.queue` or `preprocessing.worker`.
    address
        The supervisor's address for beats.
    figures
        Called when a beat is due.
    curve
        For the connection, if there are keys.
    """

    def __init__(
        self,
        service: str,
        address: str,
        figures: Callable[[], dict[str, Any]],
        *,
        curve: Curve | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.service = service
        self.epoch = uuid.uuid4().hex[:12]
        self._outlet = Outlet(address, curve=curve)
        self._figures = figures
        self._clock = clock
        self._due = 0.0
        self._process = psutil.Process()

    def beat(self, *, now: bool = False, wait_ms: int = 0) -> None:
        """Send a beat if one is due. One that cannot leave is dropped: the next is newer.

        A connection that was begun just now takes none yet; `wait_ms` is how long to wait for it.
        """
        if not now and self._clock() < self._due:
            return
        self._due = self._clock() + BEAT_SECONDS
        beat = Beat(
            service=self.service,
            pid=os.getpid(),
            epoch=self.epoch,
            unix=time.time(),
            figures={
                **self._figures(),
                "memory_mib": self._memory_mib(),
                "turned_away": turned_away(),
            },
        )
        self._outlet.send(encode(beat), timeout_ms=wait_ms)

    def _memory_mib(self) -> float:
        return round(float(self._process.memory_info().rss) / 2**20, 1)

    def close(self) -> None:
        """Send a last beat and close."""
        self.beat(now=True)
        self._outlet.close(linger_ms=200)


def process_name(service: str) -> str:
    """Name this process for people: `boxing.worker 4242 on microscope-pc`."""
    return fit(f"{service} {os.getpid()} on {socket.gethostname()}", NAME_CHARS)


def start_log(service: str, file: TextIO | None = None) -> None:
    """Log JSON lines to a file; to standard error if none is given."""
    lossy = cast("TextIO", LossyLog(file or sys.stderr))
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=lossy),
    )
    structlog.contextvars.bind_contextvars(service=service, pid=os.getpid())


@contextlib.contextmanager
def log_into(path: Path, service: str) -> Iterator[None]:
    """Log JSON lines to the end of a file."""
    with path.open("a", encoding="utf-8") as file:
        start_log(service, file)
        try:
            yield
        finally:
            structlog.reset_defaults()


def hold_to_one_thread() -> None:
    """Keep OpenCV to this thread, where it is loaded; the environment has told the others."""
    with contextlib.suppress(ImportError):
        import cv2  # noqa: PLC0415 - queues and the sink never need it

        cv2.setNumThreads(1)
