"""What it costs that a power failure loses nothing: `python -m benchmarks.durability`.

The chain for few cores with a spool, images of 1 MiB, each setting of `source.durability` and
`sink.durability` in turn, three times; the best counts. Depends on the disk more than
anything else here: run it where the chain is to write.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.chain import Chain
from benchmarks.chain_images import LARGE, pictures
from benchmarks.chain_measure import WARM_FRAMES, stream
from benchmarks.pace import answer_times
from protocols.messages import Command
from services.chain import ask
from services.detectors.client import Detector
from services.runtime.durable import Durability
from services.runtime.topology import TOGETHER

SETTINGS: tuple[tuple[Durability, Durability], ...] = (
    ("none", "none"),
    ("none", "batch"),
    ("none", "frame"),
    ("batch", "batch"),
    ("frame", "batch"),
)
"""(source, sink)."""
WINDOW = 64
ROUNDS = 3
ANSWERS = 600
PILED = 200
PACE = 150.0
"""Offers a second while answers are timed: less than any setting can take, so that nothing piles up
and most images are gone before they would be flushed."""


class Cost(NamedTuple):
    """One chain, measured."""

    rate: float
    """Frames a second, from the first offer to the last commit, offered as fast as they are
    accepted: most wait on the disk for a worker."""
    answer_ms: float
    """From an offer to its acceptance, the median at `PACE`."""
    slow_answer_ms: float
    """The same, of one in a hundred."""
    pace_cpu_ms: float
    """Processor time of all services for a frame, at `PACE`."""
    pile_rate: float
    """Offers accepted a second while no worker takes any, so that all stay on the disk."""


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.durability")
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured")
    asked = parser.parse_args()
    console = Console(width=110)
    found: dict[tuple[Durability, Durability], list[Cost]] = {}
    with tempfile.TemporaryDirectory(prefix="haadflow-bench-", dir=asked.folder) as name:
        for number in range(ROUNDS):
            for source, sink in SETTINGS if number % 2 == 0 else reversed(SETTINGS):
                folder = Path(name) / f"{source}-{sink}-{number}"
                cost = measure(folder, source, sink, asked.frames)
                found.setdefault((source, sink), []).append(cost)
    columns = (
        "source",
        "sink",
        "frames/s",
        "answer ms",
        "p99 ms",
        "CPU ms",
        "accepted/s, no worker",
    )
    table = Table(*columns, title="durability: 1 MiB frames")
    for (source, sink), costs in found.items():
        best = Cost(
            max(cost.rate for cost in costs),
            min(cost.answer_ms for cost in costs),
            min(cost.slow_answer_ms for cost in costs),
            min(cost.pace_cpu_ms for cost in costs),
            max(cost.pile_rate for cost in costs),
        )
        table.add_row(source, sink, *(f"{value:.2f}" for value in best))
    console.print(table)


def measure(folder: Path, source: Durability, sink: Durability, frames: int) -> Cost:
    """Start a chain, stream through it, time its answers, let images pile up."""
    images = pictures(LARGE)
    chain = Chain(folder, together=True)
    chain.topology = msgspec.structs.replace(
        chain.topology,
        source=msgspec.structs.replace(chain.topology.source, durability=source),
        sink=msgspec.structs.replace(chain.topology.sink, durability=sink),
    )
    with chain:
        stream(chain, images, WARM_FRAMES, window=WINDOW)
        rate = stream(chain, images, frames, window=WINDOW).rate
        before = chain.snapshot()
        answers = sorted(answer_times(chain.offers, images, frames=ANSWERS, rate=PACE))
        after = chain.snapshot()
        ask(chain.topology, Command(verb="scale", stage=TOGETHER, workers=0))
        began = time.monotonic()
        with Detector(chain.offers, name="bench", window=WINDOW) as detector:
            for image in islice(cycle(images), PILED):
                detector.send(image, n_elements=3)
        piled = PILED / (time.monotonic() - began)
    return Cost(
        rate,
        1e3 * statistics.median(answers),
        1e3 * answers[int(0.99 * len(answers)) - 1],
        1e3 * (sum(after.cpu.values()) - sum(before.cpu.values())) / ANSWERS,
        piled,
    )


if __name__ == "__main__":
    main()
