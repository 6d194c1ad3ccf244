"""haadflow's own chain, offered images as by a detector; a result is one that is committed."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
from numpy.typing import NDArray

from benchmarks.chain import Chain
from benchmarks.peers.chain_bytes import mean_encoded_bytes
from benchmarks.peers.peer import Again, Finished
from benchmarks.peers.work import N_ELEMENTS
from protocols.messages import Located, Outcome
from services.detectors.client import WINDOW, Detector
from services.results import ResultStore
from services.runtime.ledger import Ledger
from services.runtime.topology import STAGES

LOOK_S = 0.001
"""How often the store is looked at: the error of a latency."""
UNANSWERED = 64
"""Offers without an answer, at most, where each is answered only when its frame has ended."""


class HaadflowChain:
    """A `Peer`.

    Parameters
    ----------
    folder
        What the chain writes into.
    images
        Those that will be offered: their messages' sizes are counted.
    few_cores
        As `deploy/few-cores.toml`, without a spool: one worker hosts all stages, the source their
        queue.
    """

    def __init__(
        self, folder: Path, images: list[NDArray[Any]], *, few_cores: bool = False
    ) -> None:
        self.name = "haadflow, few cores" if few_cores else "haadflow"
        self.version = version("haadflow")
        self.workers = (
            "1 worker, all stages" if few_cores else f"{len(STAGES)} workers, one a stage"
        )
        self.counted = (
            "counted: what protocols.encode makes of the image and of what each stage makes of it, "
            f"times the hops it takes (the image {'two' if few_cores else 'three'}), through Unix "
            "sockets, credits included; acceptances, acknowledgements, beats and the files written "
            "are not in it"
        )
        self.victim = (
            "the only worker"
            if few_cores
            else "the quality gate's worker, where the images are read"
        )
        self._window = UNANSWERED if few_cores else WINDOW
        self._chain = Chain(folder / "chain", together=few_cores, spool=not few_cores)
        self._bytes = mean_encoded_bytes(images, self._chain.topology)
        self._submitted = 0
        self._journal_from = 0
        self._numbers: dict[int, int] = {}
        """By the frame's number in the ledger; those not yet committed."""
        self._seqs: dict[int, int] = {}
        """By the caller's number; all."""
        self._run = ""
        self._victim: psutil.Process | None = None
        self._detector: Detector | None = None
        self._store: ResultStore | None = None

    def __enter__(self) -> Self:
        self._chain.__enter__()
        try:
            self._detector = Detector(self._chain.offers, name="peers", window=self._window)
            self._store = ResultStore(self._chain.places.results)
            with Ledger(self._chain.places.ledger, read_only=True) as ledger:
                self._run = ledger.run
        except BaseException as error:
            self._chain.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._detector is not None:
                self._detector.__exit__(kind, error, traceback)
            if self._store is not None:
                self._store.close()
        finally:
            self._chain.__exit__(kind, error, traceback)

    def submit(self, number: int, image: NDArray[Any]) -> None:
        """Offer an image."""
        if self._detector is None:
            raise ValueError("not entered")
        # There is one detector, and the ledger counts in the order of acceptance.
        self._numbers[self._submitted] = number
        self._seqs[number] = self._submitted
        self._submitted += 1
        self._detector.send(image, parent_id=str(number), n_elements=N_ELEMENTS)

    def finished(self, timeout_s: float) -> list[Finished]:
        """Return what has been committed."""
        if self._store is None:
            raise ValueError("not entered")
        deadline = time.monotonic() + timeout_s
        while True:
            kinds = self._store.known(self._run, self._numbers)
            now = time.monotonic()
            if kinds or now > deadline:
                break
            time.sleep(LOOK_S)
        return [
            Finished(
                self._numbers.pop(seq), now, error="a dead letter" if kind == "failed" else None
            )
            for seq, kind in kinds.items()
        ]

    def moved(self) -> float:
        """Return the encoded bytes, times hops, of what was submitted."""
        return self._bytes * self._submitted

    def keep_journal(self) -> None:
        """Look at the frames from now on; the store has each one's attempts."""
        self._journal_from = self._submitted
        # Asked now: the answer takes so long that all in flight would have passed meanwhile.
        _, pids = self._chain.status()
        first = self._chain.topology.stage[0].name
        self._victim = psutil.Process(
            next(pid for name, pid in pids.items() if name.startswith(f"{first}.worker"))
        )

    def at_work(self) -> int | None:
        """Return the first stage's worker while it computes; between two frames it sleeps."""
        if self._victim is None or self._victim.status() != psutil.STATUS_RUNNING:
            return None
        return int(self._victim.pid)

    def in_hand(self, pid: int) -> bool | None:
        """Say whether the queue counted a frame as the one a dead worker died on.

        While the worker lives only the queue knows.
        """
        return None if psutil.pid_exists(pid) else bool(self.again().begun)

    def again(self) -> Again:
        """Count the frames that were given to a worker again after one had died on them.

        Whether the dead one had finished a frame it had not yet reported is not knowable.
        """
        begun = sum(
            outcome.envelope.attempt > 1
            for outcome in self._outcomes()
            if outcome.envelope.seq >= self._journal_from
        )
        return Again(begun, None)

    def boxes(self, numbers: Collection[int]) -> dict[int, int] | None:
        """Read them from the store, and that each frame is the image it is taken for."""
        wanted = set(numbers)
        found = {}
        for outcome in self._outcomes():
            number = int(outcome.envelope.metadata.parent_id)
            if number in wanted and self._seqs[number] == outcome.envelope.seq:
                found[number] = len(outcome.boxes) if isinstance(outcome, Located) else 0
        return found

    def _outcomes(self) -> Iterator[Outcome]:
        with ResultStore(self._chain.places.results) as store:
            yield from store.results()
