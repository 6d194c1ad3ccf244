"""A channel of PV Access, listened to: the only file that touches p4p."""

from __future__ import annotations

import importlib.util
import queue
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

HOW_TO_GET_IT = "pip install -e '.[epics]'"
WAITING = 8
"""Updates that wait here; a channel that is faster drops some at its source, which is counted."""


class NoEpics(Exception):
    """p4p is not installed; says how to get it."""


class Lost(Exception):
    """The channel is not connected, or not any more; it will be again by itself."""


class Channel:
    """Updates of one channel, in their order.

    Parameters
    ----------
    name
        Of the channel, such as `13SIM1:Pva1:Image`. Where servers are looked for, EPICS's own
        variables say (EPICS_PVA_ADDR_LIST, ...).

    Raises
    ------
    NoEpics
        p4p is not installed.
    """

    def __init__(self, name: str) -> None:
        if importlib.util.find_spec("p4p") is None:
            raise NoEpics(f"EPICS is spoken through p4p, which is not installed: {HOW_TO_GET_IT}")
        from p4p.client.thread import Context, Disconnected

        self._updates: queue.Queue[Any] = queue.Queue(maxsize=WAITING)
        self._gone: type[Exception] = Disconnected
        self._open = True
        # nt=False: the structure as it came. Its shape and size are looked at before its pixels.
        self._context = Context("pva", nt=False)
        self._subscription = self._context.monitor(name, self._keep, notify_disconnect=True)

    def next(self, timeout_s: float) -> Any | None:  # noqa: ANN401 - p4p.Value has no types
        """Return the next update, None if none has come in time; `Lost` when the channel is."""
        try:
            update = self._updates.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(update, Exception):
            raise Lost("not connected" if isinstance(update, self._gone) else str(update))
        return update

    def close(self) -> None:
        """Stop listening."""
        self._open = False
        self._subscription.close()
        self._context.close()

    def _keep(self, update: Any) -> None:  # noqa: ANN401
        # While this waits, the subscription's own short queue fills, and then updates are dropped.
        put: Callable[..., None] = self._updates.put
        while self._open:
            try:
                put(update, timeout=0.2)
            except queue.Full:
                continue
            return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
