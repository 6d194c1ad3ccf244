"""Which frame is with which worker: the state of a stage queue, without sockets or clock.

A frame waits, then is leased to a worker that has credit, then is done. A worker works on the
oldest of its leases, so only that frame can have killed it: when a worker is lost, its oldest
lease counts a death, the others merely wait again. Time is given by the caller, in seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from protocols.messages import Setback

FrameKey: TypeAlias = tuple[str, int]
"""(run, seq)."""


@dataclass(slots=True)
class Entry:
    """One frame held by the queue."""

    key: FrameKey
    parts: Sequence[Any]
    arrived: float
    deaths: int = 0
    begun: float = 0.0
    """When it became the oldest lease of its worker."""
    setbacks: list[Setback] = field(default_factory=list)
    """Of its deaths here, as the caller noted them."""


@dataclass(slots=True)
class WorkerState:
    """What the queue knows of one worker."""

    credit: int = 0
    leases: deque[Entry] = field(default_factory=deque)
    filed: int | None = None
    """Under how many leases it is found when a frame is to be given out; None without credit."""


@dataclass(slots=True)
class Figures:
    """Counts since the queue started."""

    arrived: int = 0
    done: int = 0
    repeats: int = 0
    redelivered: int = 0
    workers_lost: int = 0
    overdue: int = 0
    dead_letters: int = 0


class Dispatch:
    """Waiting frames, leases and credit of one stage.

    Parameters
    ----------
    max_deaths
        Workers a frame may take down before it is a dead letter.
    deadline_s
        Seconds a worker may spend on one frame; beyond, it counts as dead.
    """

    def __init__(self, *, max_deaths: int = 3, deadline_s: float = 30.0) -> None:
        self.max_deaths = max_deaths
        self.deadline_s = deadline_s
        self.figures = Figures()
        self._waiting: deque[Entry] = deque()
        self._workers: dict[bytes, WorkerState] = {}
        # By number of leases, those with credit, who waits longest first: with a thousand workers
        # the one to be given a frame is not to be looked for.
        self._able: dict[int, dict[bytes, None]] = {}
        self._suspended: dict[bytes, set[FrameKey]] = {}
        self._held: set[FrameKey] = set()

    @property
    def waiting(self) -> int:
        """Frames no worker has yet."""
        return len(self._waiting)

    @property
    def leased(self) -> int:
        """Frames that are with a worker."""
        return len(self._held) - len(self._waiting)

    @property
    def workers(self) -> tuple[bytes, ...]:
        """Workers that have asked for work and not left."""
        return tuple(self._workers)

    @property
    def peers(self) -> tuple[bytes, ...]:
        """All workers that are there, those that are not given frames included."""
        return (*self._workers, *self._suspended)

    def oldest(self) -> float | None:
        """When the frame that is here longest arrived."""
        arrivals = [entry.arrived for entry in self._waiting]
        for worker in self._workers.values():
            arrivals += [entry.arrived for entry in worker.leases]
        return min(arrivals, default=None)

    def add(self, key: FrameKey, parts: Sequence[Any], now: float) -> bool:
        """Take a frame in; False when it is here already (the source sent it again)."""
        if key in self._held:
            self.figures.repeats += 1
            return False
        self.figures.arrived += 1
        self._held.add(key)
        self._waiting.append(Entry(key, parts, now))
        return True

    def credit(
        self,
        peer: bytes,
        frames: int,
        done: Sequence[FrameKey],
        now: float,
        *,
        outstanding: int,
        leaving: bool = False,
    ) -> None:
        """Note what a worker has done and how many more it takes.

        A worker that is not known here asked an earlier queue at this address, which took its
        requests to the grave: then all that is `outstanding` counts.
        """
        if peer in self._suspended:
            owed = self._suspended[peer]
            owed.difference_update(done)
            if owed and not leaving:
                return
            del self._suspended[peer]
        worker = self._workers.get(peer)
        if worker is None:
            worker = self._workers[peer] = WorkerState(credit=max(outstanding, frames))
        else:
            worker.credit += frames
        for key in done:
            self._finish(worker, key, now)
        in_hand = worker.credit + len(worker.leases) - outstanding
        if in_hand > 0 and worker.leases and not done:
            # It has finished the frame, and nobody takes the result: the frame is not to be blamed.
            worker.leases[0].begun = now
        self._file(peer, worker)
        if leaving:
            self._take_back(peer)

    def assign(self, now: float) -> tuple[bytes, Entry] | None:
        """Lease the frame that waits longest to the worker with the fewest leases."""
        if not self._waiting or not self._able:
            return None
        peer = next(iter(self._able[min(self._able)]))
        worker = self._workers[peer]
        entry = self._waiting.popleft()
        worker.credit -= 1
        if not worker.leases:
            entry.begun = now
        worker.leases.append(entry)
        self._file(peer, worker)
        return peer, entry

    def suspect(self, peer: bytes) -> Entry | None:
        """Return the frame that a worker has in hand: the one to blame if it dies now."""
        worker = self._workers.get(peer)
        return worker.leases[0] if worker is not None and worker.leases else None

    def lost(self, peer: bytes) -> list[Entry]:
        """Forget a dead worker; its frames wait again. Return those that became dead letters."""
        self._suspended.pop(peer, None)
        worker = self._workers.get(peer)
        if worker is None:
            return []
        self.figures.workers_lost += 1
        dead: list[Entry] = []
        if worker.leases:
            suspect = worker.leases[0]
            suspect.deaths += 1
            if suspect.deaths >= self.max_deaths:
                worker.leases.popleft()
                self._held.discard(suspect.key)
                self.figures.dead_letters += 1
                dead.append(suspect)
        self.figures.redelivered += len(worker.leases)
        self._take_back(peer)
        return dead

    def suspend(self, peer: bytes) -> list[Entry]:
        """Take a worker's frames from it as if it were dead, though it may be alive.

        What was sent to it is still in its hands. It gets no more until it has said done to all of
        that: otherwise its pile would grow, and frames that only lie in it would count as overdue.
        """
        owed = {entry.key for entry in self._workers[peer].leases}
        dead = self.lost(peer)
        self._suspended[peer] = owed
        return dead

    def undelivered(self, peer: bytes, newest: Entry) -> list[Entry]:
        """Forget a worker that was gone before its newest lease reached it."""
        worker = self._workers.get(peer)
        if worker is not None and worker.leases and worker.leases[-1] is newest:
            self._waiting.appendleft(worker.leases.pop())
        return self.lost(peer)

    def overdue(self, now: float) -> list[bytes]:
        """Return the workers that have spent more than the deadline on one frame."""
        late = [
            peer
            for peer, worker in self._workers.items()
            if worker.leases and now - worker.leases[0].begun > self.deadline_s
        ]
        self.figures.overdue += len(late)
        return late

    def _finish(self, worker: WorkerState, key: FrameKey, now: float) -> None:
        for index, entry in enumerate(worker.leases):
            if entry.key == key:
                del worker.leases[index]
                self._held.discard(key)
                self.figures.done += 1
                if index == 0 and worker.leases:
                    worker.leases[0].begun = now
                return
        # The lease was taken from it meanwhile: a late answer changes nothing.

    def _file(self, peer: bytes, worker: WorkerState) -> None:
        """Put a worker where it belongs among those that can take a frame, or nowhere."""
        number = len(worker.leases) if worker.credit > 0 else None
        if number == worker.filed:
            return
        self._unfile(peer, worker)
        if number is not None:
            self._able.setdefault(number, {})[peer] = None
        worker.filed = number

    def _unfile(self, peer: bytes, worker: WorkerState) -> None:
        if worker.filed is not None:
            fellows = self._able[worker.filed]
            del fellows[peer]
            if not fellows:
                del self._able[worker.filed]
            worker.filed = None

    def _take_back(self, peer: bytes) -> None:
        worker = self._workers.pop(peer)
        self._unfile(peer, worker)
        self._waiting.extendleft(reversed(worker.leases))
