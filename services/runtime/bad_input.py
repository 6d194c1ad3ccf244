"""What comes to a service's listening ends and is no message: counted, named, and nothing more.

Whatever it was, the next good message is handled as if nothing had happened. A flood of it fills
neither memory nor the disk: of a kind at most `LINES_A_SECOND` are written to the log for an
end, the rest is counted.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

import structlog

from .endpoints import HANDSHAKE_MS, Listener, Visit

LINES_A_SECOND = 20
SHOWN_CHARS = 1_000
PATIENCE_S = HANDSHAKE_MS / 1e3 + 2.0
"""A visitor who has not spoken by then never does; old ZeroMQ protocols know no deadline."""


class BadInput:
    """One service's account of what it could not use.

    Parameters
    ----------
    ends
        Its listening ends, by their keys in the topology, such as `source.offers`.
    clock
        Seconds, monotonic.
    """

    def __init__(
        self, ends: Mapping[str, Listener], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.undecodable = 0
        self.strangers = 0
        self._ends: dict[str, Listener] = {}
        self._clock = clock
        self._log = structlog.get_logger()
        self._pending: dict[str, dict[int, float]] = {}
        self._brief: set[str] = set()
        self._second = 0
        self._lines: Counter[tuple[str, str]] = Counter()
        self._unwritten = 0
        for where, end in ends.items():
            self.watch(where, end)

    def watch(self, where: str, end: Listener, *, brief: bool = False) -> None:
        """Count the visits to one end more; `brief` ones end all the time, and nobody is told."""
        if brief:
            self._brief.add(where)
        self._ends[where] = end
        self._pending[where] = {}

    def refuse(self, event: str, error: object, *, where: str) -> None:
        """Count a message that could not be used, and say why."""
        self.count()
        self.note(event, error, where=where)

    def count(self) -> None:
        """Count a message that could not be used; `note` says why."""
        self.undecodable += 1

    def note(self, event: str, error: object, *, where: str) -> None:
        """Say why something was not taken, if so much has not been said in this second."""
        self._say(event, where, str(error)[:SHOWN_CHARS])

    def figures(self) -> dict[str, int]:
        """Look who came, and return the counts for a beat."""
        for where, end in self._ends.items():
            self._look(where, end, self._pending[where])
        return {"undecodable": self.undecodable, "strangers": self.strangers}

    def _look(self, where: str, end: Listener, pending: dict[int, float]) -> None:
        now = self._clock()
        for visit, descriptor in end.visits():
            if visit is Visit.CAME:
                pending[descriptor] = now
            elif visit is Visit.SPOKE:
                # It is not said which: the first that came. The count comes out the same.
                pending.pop(next(iter(pending), -1), None)
            elif pending.pop(descriptor, None) is not None:
                self._stranger(where)
            elif where not in self._brief:
                # Most often a peer that has done its work.
                self._say(
                    "connection.ended", where, "the peer left, or sent a part above the limit"
                )
        for descriptor in [d for d, came in pending.items() if now - came > PATIENCE_S]:
            del pending[descriptor]
            self._stranger(where)

    def _stranger(self, where: str) -> None:
        self.strangers += 1
        self._say(
            "connection.refused", where, "who connected did not speak ZeroMQ's protocol (ZMTP 3)"
        )

    def _say(self, event: str, where: str, error: str) -> None:
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._lines.clear()
        if self._lines[event, where] >= LINES_A_SECOND:
            self._unwritten += 1
            return
        self._lines[event, where] += 1
        more = {"not_written_before": self._unwritten} if self._unwritten else {}
        self._unwritten = 0
        self._log.warning(event, where=where, error=error, **more)
