"""What the chain is doing, from the beats of its services: the figures behind `status`."""

from __future__ import annotations

from collections import deque
from math import isfinite
from typing import Any

from msgspec import Struct

from protocols.messages import Beat

from .guard import turned_away
from .topology import Topology

STALE_S = 3.0
RATE_OVER_S = 5.0
MOST_PROCESSES = 8192
"""Of which the newest beat is kept; whoever invents process ids fills no memory."""
OF_THE_FEED = (
    *("controllers", "waiting", "offered", "started", "held", "done"),
    *("boxes", "acquired", "refused", "box_failed", "late"),
)
"""Its figures: controllers, batches by state, boxes in all and by receipt, late receipts."""
MOST_HEARD = 1024
"""Beats of one service within `RATE_OVER_S`: a hundred processes report under one name."""


class StageStatus(Struct, frozen=True, kw_only=True):
    """One stage, seen from its queue."""

    stage: str
    workers: int
    waiting: int
    leased: int
    rate: float
    """Frames done per second, over the last five."""
    oldest_s: float
    """Age of the frame that is here longest."""
    redelivered: int
    done: int


class ChainStatus(Struct, frozen=True, kw_only=True):
    """The whole chain."""

    accepted: int
    open: int
    in_flight: int
    located: int
    rejected: int
    failed: int
    rate: float
    """Outcomes committed per second, over the last five."""
    bad_input: dict[str, int] = {}
    """By service: messages that were none, and connections that spoke something else."""
    waits_for_disk: bool = False
    """Whether source or sink has something to write that the disk does not take."""
    lag_s: float = 0.0
    """Age of the frame that was accepted first of those that are open."""
    spool_mib: float = 0.0
    """Images of open frames on the source's disk."""
    detectors_wait: bool = False
    """Whether as many images are in the chain, or in the spool, as may be."""
    turned_away: int = 0
    """Times that a peer without a key for it came to an end of the processes that run now."""
    feed: dict[str, int] = {}
    """What has become of batches and boxes; empty without a feed."""
    stages: tuple[StageStatus, ...]
    memory_mib: dict[str, float]
    """Resident memory of each process, `service (process id)`."""


class Status:
    """Keeps the newest beat of each process and enough history for rates."""

    def __init__(self, topology: Topology) -> None:
        self._stages = [table.name for table in topology.stage]
        self._services = {"source", "sink", "feed"} | {
            f"{stage}.{role}" for stage in self._stages for role in ("queue", "worker")
        }
        self._newest: dict[int, tuple[Beat, float]] = {}
        self._figures: dict[str, dict[str, Any]] = {}
        self._history: dict[str, deque[tuple[float, int]]] = {}

    def hear(self, beat: Beat, now: float) -> None:
        """Take a beat in; `ValueError` names a stranger, or a figure that is no finite number."""
        if beat.service not in self._services:
            raise ValueError(f"{beat.service!r:.80} is no service of this chain")
        for name, value in beat.figures.items():
            if not isinstance(value, int | float) or not isfinite(value):
                raise ValueError(f"{beat.service}: {name}: came {value!r:.80}, expected a number")
        self._newest[beat.pid] = (beat, now)
        if len(self._newest) > MOST_PROCESSES:
            del self._newest[min(self._newest, key=lambda pid: self._newest[pid][1])]
        self._figures[beat.service] = beat.figures
        done = beat.figures.get("done")
        if beat.service == "sink":
            done = sum(int(beat.figures.get(o, 0)) for o in ("located", "rejected", "failed"))
        if done is not None:
            history = self._history.setdefault(beat.service, deque(maxlen=MOST_HEARD))
            history.append((now, int(done)))
            while now - history[0][0] > RATE_OVER_S:
                history.popleft()

    def heard(self, pid: int) -> float | None:
        """Return when a process was heard last; None if it never was."""
        return self._newest[pid][1] if pid in self._newest else None

    def progress(self, stage: str) -> int:
        """Count the frames that a stage's queue has seen through, one way or the other."""
        figures = self.figures_of(f"{stage}.queue")
        return int(figures.get("done", 0)) + int(figures.get("dead_letters", 0))

    def forget(self, pid: int) -> None:
        """Drop a process that has ended."""
        self._newest.pop(pid, None)

    def figures_of(self, service: str) -> dict[str, Any]:
        """Return the newest figures of a service, a dead one's until its successor is heard."""
        return self._figures.get(service, {})

    def current(self, now: float) -> ChainStatus:
        """Return the chain's figures as of the newest beats."""
        source, sink = self.figures_of("source"), self.figures_of("sink")
        feed = self.figures_of("feed")
        ended = sum(int(sink.get(outcome, 0)) for outcome in ("located", "rejected", "failed"))
        return ChainStatus(
            # Each reports in its own time: the sink may be ahead.
            accepted=max(ended, int(source.get("accepted", 0))),
            open=int(source.get("open", 0)),
            in_flight=int(source.get("in_flight", 0)),
            located=int(sink.get("located", 0)),
            rejected=int(sink.get("rejected", 0)),
            failed=int(sink.get("failed", 0)),
            rate=self._rate("sink"),
            bad_input={
                service: count
                for service, figures in sorted(self._figures.items())
                if (count := int(figures.get("undecodable", 0)) + int(figures.get("strangers", 0)))
            },
            waits_for_disk=any(f.get("waits_for_disk", 0) for f in (source, sink, feed)),
            feed={name: int(feed[name]) for name in OF_THE_FEED if name in feed},
            lag_s=float(source.get("lag_s", 0.0)),
            spool_mib=round(float(source.get("spool_bytes", 0)) / 2**20, 1),
            detectors_wait=bool(source.get("detectors_wait", 0)),
            turned_away=turned_away()
            + sum(int(beat.figures.get("turned_away", 0)) for beat, _ in self._newest.values()),
            stages=tuple(self._stage(name) for name in self._stages),
            memory_mib={
                f"{beat.service} ({beat.pid})": float(beat.figures.get("memory_mib", 0.0))
                for beat, heard in self._newest.values()
                if now - heard < STALE_S
            },
        )

    def _stage(self, name: str) -> StageStatus:
        figures = self.figures_of(f"{name}.queue")
        return StageStatus(
            stage=name,
            workers=int(figures.get("workers", 0)),
            waiting=int(figures.get("waiting", 0)),
            leased=int(figures.get("leased", 0)),
            rate=self._rate(f"{name}.queue"),
            oldest_s=float(figures.get("oldest_s", 0.0)),
            redelivered=int(figures.get("redelivered", 0)),
            done=int(figures.get("done", 0)),
        )

    def _rate(self, service: str) -> float:
        history = self._history.get(service, deque())
        if len(history) < 2:
            return 0.0
        (first_at, first), (last_at, last) = history[0], history[-1]
        return round(max(0, last - first) / max(1e-3, last_at - first_at), 1)
