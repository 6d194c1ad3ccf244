"""The coordinate sink: commits every outcome, then acknowledges it to the source.

The frame's (run, seq) is the store's primary key, so an outcome that comes twice changes nothing,
and is acknowledged again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from protocols import DecodeError, decode, encode
from protocols.messages import Closed, Failed, Located, Outcome, Rejected, Started

from .results import ResultStore, StoreError, Writer
from .runtime.bad_input import BadInput
from .runtime.disk import AGAIN_S, is_full
from .runtime.endpoints import Inlet, Outlet, Poller
from .runtime.keyring import Keyring
from .runtime.ledger import Ledger, LedgerError
from .runtime.places import Places
from .runtime.process import Pulse, Stop
from .runtime.topology import Topology

IDLE_MS = 100
COMMIT_AT_ONCE = 256
"""Outcomes in one transaction, at most."""
GATHER_S, GATHER_MOST_S = 0.003, 0.012
"""While outcomes stream in, so long is waited for more of them: a commit costs as much as ten."""
GATHER_SHARE = 0.1
"""Between these, it is this share of how long the last of them had been on its way: where many
frames are in the chain, an answer that comes a little later costs nobody anything."""
STREAMING_S = 0.02
"""They stream when the last commit was not longer ago than this; a single one never waits."""


class CoordinateSink:
    """One chain's sink; `step` turns its loop once."""

    def __init__(
        self,
        topology: Topology,
        places: Places,
        *,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        durability = topology.sink.durability
        self.store = ResultStore(places.results, writer=Writer.this(), flushed=durability != "none")
        self._at_once = 1 if durability == "frame" else COMMIT_AT_ONCE
        self._log = structlog.get_logger()
        self._ledger = places.ledger
        self._run: str | None = None
        keyring = Keyring.of(topology)
        self._results = Inlet(topology.sink.results, curve=keyring.listen("sink.results"))
        self._bad = BadInput({"sink.results": self._results})
        self._source = Outlet(
            topology.source.closed, curve=keyring.connect("sink", "source.closed")
        )
        self._poller = Poller([self._results])
        self._pause = pause
        self._clock = clock
        self._wall_clock = wall_clock
        self._last_commit = -STREAMING_S
        self._gather_s = GATHER_S
        self._uncommitted: dict[tuple[str, int], Outcome] = {}
        self._unsaid: deque[Closed | Started] = deque()
        self._pulse = Pulse(
            "sink",
            topology.chain.beats,
            self._figures,
            curve=keyring.connect("sink", "chain.beats"),
        )
        self._unsaid.append(Started(service="sink", epoch=self._pulse.epoch))

    def step(self, timeout_ms: float = IDLE_MS) -> int:
        """Commit and acknowledge what has come; return how many outcomes that were."""
        if self._uncommitted:
            self._pause(AGAIN_S)
        elif self._poller.wait(timeout_ms) and self._streaming and self._at_once > 1:
            self._pause(self._gather_s)
        self._take_in()
        committed = self._commit()
        self._acknowledge(committed)
        while self._unsaid and self._source.send(encode(self._unsaid[0])):
            self._unsaid.popleft()
        self._pulse.beat()
        return len(committed)

    def close(self) -> None:
        """Commit what is here, then leave."""
        while self.step(0):
            continue  # on a full disk it leaves at once: what is not acknowledged comes again
        self._pulse.close()
        self._results.close()
        self._source.close()
        self.store.close()

    def _commit(self) -> list[Outcome]:
        """Commit what has come; nothing, if the disk is full: then it is tried again."""
        outcomes = list(self._uncommitted.values())
        if not outcomes:
            return []
        try:
            self.store.commit(outcomes)
        except StoreError as error:
            if not is_full(error):
                raise
            self._log.error("results.disk_full", error=str(error))
            self._say_that_it_waits()
            return []
        self._last_commit = self._clock()
        # Clocks of other hosts, or one that jumps, move it between its bounds and no further.
        on_its_way = self._wall_clock() - outcomes[-1].envelope.accepted_unix
        self._gather_s = min(max(GATHER_S, GATHER_SHARE * on_its_way), GATHER_MOST_S)
        self._uncommitted.clear()
        return outcomes

    def _say_that_it_waits(self) -> None:
        """Else the source would take the silence for a loss, and send everything again."""
        if not self._unsaid:
            runs = {run for run, _ in self._uncommitted}
            self._unsaid.extend(Closed(run=run, seqs=(), outcomes=()) for run in runs)

    @property
    def _streaming(self) -> bool:
        return self._clock() - self._last_commit < STREAMING_S

    def _take_in(self) -> None:
        """Receive outcomes; while they cannot be committed too, since an inlet is never left full.

        The source's window bounds their number; one that comes again takes the place it has.
        """
        for _ in range(COMMIT_AT_ONCE if self._uncommitted else self._at_once):
            parts = self._results.receive()
            if parts is None:
                return
            try:
                outcome = decode(parts, expect=(Located, Rejected, Failed))
            except DecodeError as error:
                self._bad.refuse("outcome.undecodable", error, where="sink.results")
            else:
                run = outcome.envelope.run
                if self._is_ours(run):
                    self._uncommitted.setdefault(outcome.envelope.key, outcome)
                else:
                    why = f"a frame of run {run!r:.80}; this chain's is {self._run!r}"
                    self._bad.refuse("outcome.of_another_run", why, where="sink.results")

    def _is_ours(self, run: str) -> bool:
        """Say whether a run is this chain's: the ledger knows, if it lies beside the results.

        It does unless the source is on another host. Without it a frame that nobody accepted would
        be kept, and the account would never close.
        """
        if self._run is None:
            with suppress(LedgerError), Ledger(self._ledger, read_only=True) as ledger:
                self._run = ledger.run
        return self._run in (None, run)

    def _acknowledge(self, outcomes: list[Outcome]) -> None:
        by_run: dict[str, list[Outcome]] = {}
        for outcome in outcomes:
            by_run.setdefault(outcome.envelope.run, []).append(outcome)
        for run, closed in by_run.items():
            # As they are kept: of a frame that ended twice, the first outcome counts.
            kept = self.store.known(run, (outcome.envelope.seq for outcome in closed))
            self._unsaid.append(Closed(run=run, seqs=tuple(kept), outcomes=tuple(kept.values())))

    def _figures(self) -> dict[str, Any]:
        counts = self.store.counts()
        return {
            "located": counts.located,
            "rejected": counts.rejected,
            "failed": counts.failed,
            **self._bad.figures(),
            "waits_for_disk": int(bool(self._uncommitted)),
        }


def run(topology: Topology, places: Places) -> None:
    """Run until told to stop."""
    stop = Stop()
    sink = CoordinateSink(topology, places)
    while not stop:
        sink.step()
    sink.close()
