"""Direct Electron's FreeScan through the vendor's client: a list of scan positions an acquisition.

`set_xy_array` takes whole positions of a grid, x right, y down, (0, 0) at the upper left, before
the scan starts; nothing can be added while it runs. Source: deapi 5.3.1, `client.py`.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import deapi
import numpy as np
from numpy.typing import NDArray

from .controller import ScanStopped

ARRAY_TYPE = "XY File"
RESULT = "virtual_image0"
LOOK_S = 0.02
STOP_S = 5.0
"""So long an answer to a stop is waited for: the client asks by UDP, and waits for ever."""


class FreeScanFailed(RuntimeError):
    """The camera did not do what it was asked; says what it was."""


class FreeScan:
    """One camera, connected; disconnects on leaving."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        patience_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._patience_s = patience_s
        self._clock = clock
        self._pause = pause
        self._stopped = threading.Event()
        self._client = deapi.Client()
        self._client.usingMmf = False  # shared memory is for Windows only
        self._client.connect(host, port)
        self._client["Scan - Enable"] = "On"
        self._client["Scan - Camera Frames Per Point"] = 1

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of positions over the whole field."""
        return int(self._client["Scan - Size Y"]), int(self._client["Scan - Size X"])

    def scan(self, positions: NDArray[np.int32]) -> NDArray[np.float32]:
        """Scan positions (N, 2): x, y; return what the first detector saw, by row and column.

        Raises
        ------
        FreeScanFailed
            If the list was not taken, or the scan does not end.
        ScanStopped
            If `abort` was called.
        """
        rows, columns = self.grid
        taken = self._client.set_xy_array(positions, width=columns, height=rows)
        if not taken or self._client["Scan - Type"] != ARRAY_TYPE:
            raise FreeScanFailed(f"the camera did not take a list of {len(positions)} positions")
        self._go_on(positions)
        self._client.start_acquisition(1)
        if self._stopped.is_set():
            # An `abort` that came just before it has stopped nothing: there was nothing yet.
            self._stop()
        deadline = self._clock() + self._patience_s
        while self._client.acquiring:
            if self._clock() > deadline:
                self._stop()
                raise FreeScanFailed(
                    f"a scan of {len(positions)} positions has not ended in {self._patience_s:g} s"
                )
            self._pause(LOOK_S)
        self._go_on(positions)
        seen, *_ = self._client.get_result(RESULT, "FLOAT32")
        return np.asarray(seen, np.float32)

    def abort(self) -> None:
        """Stop what is being scanned; what is scanned after it counts as stopped, too."""
        self._stopped.set()
        self._stop()

    def _go_on(self, positions: NDArray[np.int32]) -> None:
        if self._stopped.is_set():
            raise ScanStopped(f"a scan of {len(positions)} positions was stopped")

    def _stop(self) -> None:
        with _sockets_wait(STOP_S):
            self._client.stop_acquisition()

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def _sockets_wait(seconds: float) -> Iterator[None]:
    """Let sockets that are made in here give up after so long."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
