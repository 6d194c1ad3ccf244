"""What a chain has located, without the chain: a folder that a feed can offer from."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np
import psutil

from protocols.messages import BoundingBox, Envelope, Grid, Located, Metadata, Outcome, Rejected
from services.controllers.files import lines_of
from services.feed.entry import State
from services.feed.store import EmptyFeed, FeedStore, Sums
from services.results import ResultStore, Writer
from services.runtime.ledger import Ledger, NewFrame
from services.runtime.places import Places
from services.runtime.topology import one_machine

from .command import COMMAND, environment

SIDE = 64
DEADLINE_S = 60.0


def located(run: str, seq: int, boxes: int, *, side: int = SIDE, **known: Any) -> Located:  # noqa: ANN401
    """Return a parent of `side` x `side` pixels with so many boxes of 4 to 7 pixels.

    `known` is what its metadata has.
    """
    generator = np.random.default_rng(seq)
    size = generator.integers(4, 8, boxes)
    x, y = (generator.integers(0, side - size + 1) for _ in range(2))
    return Located(
        envelope=Envelope(run=run, seq=seq, metadata=_metadata(seq, **known)),
        grid=Grid(rows=64, columns=64, parent_height=side, parent_width=side),
        bounding_box=BoundingBox(x0=0, y0=0, x1=side, y1=side),
        n_peaks=1,
        k=2,
        boxes=np.stack([x, y, size], axis=1).astype(np.int32),
        regions=np.ones(boxes, np.uint8),
    )


def rejected(run: str, seq: int) -> Rejected:
    """Return an image where there is nothing to scan."""
    envelope = Envelope(run=run, seq=seq, metadata=_metadata(seq))
    return Rejected(envelope=envelope, stage="quality_gate", reason="empty: nothing")


def _metadata(seq: int, **known: Any) -> Metadata:  # noqa: ANN401
    return Metadata(parent_id=f"parent-{seq}", source="test", **known)


def fill(out: Path, make: Callable[[str], Iterable[Outcome]]) -> Places:
    """Make a folder in which these outcomes are accepted, committed and closed."""
    places = Places(out)
    places.make()
    one_machine(out, out=out, workers={}, parameters={}).save(places.topology)
    with Ledger(places.ledger) as ledger:
        outcomes = list(make(ledger.run))
        frames = [o.envelope for o in outcomes]
        ledger.accept([NewFrame(f"k{e.seq}", e.metadata, None) for e in frames])
        with ResultStore(places.results, writer=Writer.this()) as store:
            store.commit(outcomes)
            kept = store.known(ledger.run, [e.seq for e in frames])
        ledger.close_frames(list(kept.items()), sent_through=len(frames))
    return places


class Feeding:
    """A feed and controllers as processes of their own."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self._sockets = Path(tempfile.mkdtemp(prefix="hf-"))
        self.address = f"ipc://{self._sockets}/feed"
        self._log = (places.out / "processes.log").open("wb")
        self.feed: psutil.Process | None = None
        self.controllers: dict[str, psutil.Process] = {}

    def start_feed(self) -> None:
        """Start it, or start it again."""
        command = [sys.executable, "-m", "services", "feed", "--topology", self.places.topology]
        self.feed = self._start([*command, "--out", self.places.out, "--feed", self.address])

    def start(self, name: str, *options: str | Path, dwell_us: float = 0.0) -> psutil.Process:
        """Start a `files` controller with a folder and a journal of its own, or start it again."""
        return self.start_adapter(name, "files", "--set", f"dwell_us={dwell_us}", *options)

    def start_adapter(
        self,
        name: str,
        adapter: str,
        *options: str | Path,
        command: Iterable[str | Path] = COMMAND,
    ) -> psutil.Process:
        """Start any adapter so; `command` is that of the environment that it needs."""
        folder = self.folder(name)
        line = [*command, "controller", adapter, "--feed", self.address, "--as", name]
        line += ["--journal", folder / "journal", "--set", f"out={folder}", *options]
        started = self.controllers[name] = self._start(line)
        return started

    def folder(self, name: str) -> Path:
        """Return where a controller writes."""
        folder = self.places.out / name
        folder.mkdir(exist_ok=True)
        return folder

    def acquired(self) -> Counter[tuple[int, int]]:
        """Count how often the beam was at each (seq, box_id)."""
        return Counter(
            (line["seq"], line["box_id"])
            for name in self.controllers
            for line in lines_of(self.folder(name) / "acquired.jsonl")
        )

    def until_acquired(self, boxes: int) -> None:
        """Wait until the beam was at so many boxes."""
        self.until(lambda: self.acquired().total() >= boxes)

    def sums(self) -> dict[State, Sums]:
        """Return the feed's counts; empty before there are any."""
        if not self.places.feed.exists():
            return {}
        try:
            with FeedStore(self.places.feed, read_only=True) as store:
                return store.sums()
        except EmptyFeed:
            return {}

    def store(self) -> FeedStore:
        """Open the feed's file for reading."""
        return FeedStore(self.places.feed, read_only=True)

    def until(self, done: Callable[[], Any], *, deadline_s: float = DEADLINE_S) -> None:
        """Wait until something holds; fail with the logs when it does not in time."""
        deadline = time.monotonic() + deadline_s
        while not done():
            alive = [p for p in (self.feed, *self.controllers.values()) if p is not None]
            psutil.wait_procs(alive, timeout=0.01)
            assert time.monotonic() < deadline, self.said()

    def said(self) -> str:
        """Return the end of what the processes logged."""
        # Through a place of its own: the processes write where the file that they share stands.
        log = Path(self._log.name).read_bytes()
        return f"{self.sums()}\n{log.decode(errors='replace')[-6_000:]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.controllers.values(), self.feed):
            if process is not None and process.is_running():
                process.kill()
                process.wait(30)
        self._log.close()
        shutil.rmtree(self._sockets)

    def _start(self, command: list[Any]) -> psutil.Process:
        return psutil.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=environment(),
        )


def killed(process: psutil.Process) -> None:
    """Kill -9, and wait until it is gone."""
    process.kill()
    process.wait(30)
