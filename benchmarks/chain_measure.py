"""What is measured on a chain: start, latency of a single frame, throughput, memory, rest.

A frame counts when its outcome is committed: when another process can read it in the sink's store.
"""

from __future__ import annotations

import time
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import psutil
from numpy.typing import NDArray

from benchmarks.chain import Chain, Snapshot
from benchmarks.chain_images import LARGE, SMALL, accepted_files, pictures
from benchmarks.kernels import Advance
from protocols.messages import Located, Outcome
from services.detectors.client import WINDOW, Detector
from services.results import ResultStore
from services.runtime.places import Places

SEED = 2025

WARM_FRAMES = 64
LOOK_S = 0.0005
"""How often the store is looked at where a single frame is timed: the error of a latency."""
PAUSE_S = (0.03, 0.09)
"""Between single frames: irregular, so that they do not fall in step with any loop's idling."""
REST_S = 3.0
EDGE = 0.1
"""Share of the frames left out at either end where a running chain is measured."""


class Streamed(NamedTuple):
    """A stream of frames through the chain."""

    frames: int
    seconds: float
    cpu: dict[str, float]
    """Processor seconds by service."""
    sender_cpu: float
    """Of this process: encoding, sending, and looking on."""
    stage_ms: dict[str, float]
    """Median of what each stage's worker noted in the record, on the wall."""
    others: float
    """Cores that everything else on this machine had at work meanwhile."""

    @property
    def rate(self) -> float:
        """Frames per second."""
        return self.frames / self.seconds

    @property
    def cpu_ms(self) -> float:
        """Processor milliseconds per frame, of all services together."""
        return 1e3 * sum(self.cpu.values()) / self.frames


class Single(NamedTuple):
    """One frame alone in the chain, seconds."""

    accepted: float
    """From the offer to its acceptance."""
    committed: float
    """From the acceptance to its outcome in the store."""


class ChainFound(NamedTuple):
    """Everything measured on one chain."""

    start_s: dict[str, float]
    """By stage: from starting the supervisor until its worker asked for work."""
    extra_worker_s: float
    singles: list[Single]
    small: Streamed
    large: Streamed
    rest_cpu: float
    """Processor seconds per second while nothing happens."""
    before: Snapshot
    after: Snapshot
    resident: list[tuple[float, float]]
    """(seconds, MiB of all processes), through the streams."""


def measure_offers(
    folder: Path, *, singles: int, small: int, large: int, advance: Advance
) -> ChainFound:
    """Offer images to a running chain, as a detector does."""
    small_images, large_images = pictures(SMALL), pictures(LARGE)
    with Chain(folder) as chain:
        start_s = {
            stage.name: chain.ready_unix(stage.name)[0] - chain.started_unix
            for stage in chain.topology.stage
        }
        advance(0.2)
        stream(chain, large_images, WARM_FRAMES)
        rest_cpu = _rest(chain)
        advance(0.3)
        found_singles = _singles(chain, large_images, singles)
        advance(0.5)
        before = chain.snapshot()
        resident = [_resident(before, before)]
        through_small = stream(chain, small_images, small)
        resident.append(_resident(before, chain.snapshot()))
        advance(0.7)
        parts = []
        for _ in range(4):
            parts.append(stream(chain, large_images, large // 4))
            resident.append(_resident(before, chain.snapshot()))
        after = chain.snapshot()
        advance(0.9)
        extra = chain.scale("quality_gate", 2)
        advance(1.0)
    return ChainFound(
        start_s,
        extra,
        found_singles,
        through_small,
        _together(parts),
        rest_cpu,
        before,
        after,
        resident,
    )


def measure_files(folder: Path, *, frames: int, advance: Advance) -> Streamed:
    """Run files through a chain, as `haadflow run` does: they are in the ledger when it starts.

    The chain is measured while it runs: the first and the last tenth of the frames are left out.
    """
    places = accepted_files(folder, pictures(LARGE), frames)
    advance(0.2)
    with Chain(places.out) as chain:
        chain.wait_for(round(frames * EDGE), look_every_s=0.01)
        before, own = chain.snapshot(), _own_cpu()
        advance(0.4)
        chain.wait_for(round(frames * (1 - EDGE)), look_every_s=0.01)
        after = chain.snapshot()
        sender_cpu = _own_cpu() - own
        chain.wait_for(frames, look_every_s=0.05)
    advance(1.0)
    return _streamed(before, after, sender_cpu, _stage_ms(places, before.committed))


def _singles(chain: Chain, images: list[NDArray[Any]], count: int) -> list[Single]:
    """Send one frame at a time, each when the one before it has long ended."""
    pause = Random(SEED)  # noqa: S311 - pauses, not secrets
    found = []
    with Detector(chain.offers, name="bench") as detector:
        for image in islice(cycle(images), count):
            time.sleep(pause.uniform(*PAUSE_S))
            goal = chain.committed() + 1
            offered = time.monotonic()
            detector.send(image, n_elements=3)
            detector.flush()
            accepted = time.monotonic()
            committed = chain.wait_for(goal, look_every_s=LOOK_S)
            found.append(Single(accepted - offered, max(0.0, committed - accepted)))
    return found


def stream(
    chain: Chain, images: list[NDArray[Any]], frames: int, *, window: int = WINDOW
) -> Streamed:
    """Send as fast as the source accepts; from the first offer to the last commit.

    `window` is the number of offers without an answer.
    """
    before, own = chain.snapshot(), _own_cpu()
    with Detector(chain.offers, name="bench", window=window, keys=chain.keys) as detector:
        for image in islice(cycle(images), frames):
            detector.send(image, n_elements=3)
    end = chain.wait_for(before.committed + frames, look_every_s=0.005)
    after = chain.snapshot()._replace(at=end)
    sender_cpu = _own_cpu() - own
    return _streamed(before, after, sender_cpu, _stage_ms(chain.places, before.committed))


def _streamed(
    before: Snapshot, after: Snapshot, sender_cpu: float, stage_ms: dict[str, float]
) -> Streamed:
    used = {name: after.cpu[name] - before.cpu[name] for name in after.cpu}
    frames, seconds = after.committed - before.committed, after.at - before.at
    machine = after.machine_cpu - before.machine_cpu
    others = max(0.0, machine - sum(used.values()) - sender_cpu) / seconds
    return Streamed(frames, seconds, used, sender_cpu, stage_ms, others)


def _together(parts: list[Streamed]) -> Streamed:
    cpu = {name: sum(part.cpu[name] for part in parts) for name in parts[0].cpu}
    seconds = sum(part.seconds for part in parts)
    return Streamed(
        sum(part.frames for part in parts),
        seconds,
        cpu,
        sum(part.sender_cpu for part in parts),
        parts[-1].stage_ms,
        sum(part.others * part.seconds for part in parts) / seconds,
    )


def _rest(chain: Chain) -> float:
    before = chain.snapshot()
    time.sleep(REST_S)
    after = chain.snapshot()
    used = sum(after.cpu.values()) - sum(before.cpu.values())
    return used / (after.at - before.at)


def _stage_ms(places: Places, after_frame: int) -> dict[str, float]:
    """Read from the store what each stage's worker noted for the frames from `after_frame` on."""
    by_stage: dict[str, list[float]] = {}
    with ResultStore(places.results) as store:
        for outcome in islice(store.results(), after_frame, None):
            _collect(outcome, by_stage)
    return {stage: float(np.median(each)) for stage, each in by_stage.items()}


def _collect(outcome: Outcome, by_stage: dict[str, list[float]]) -> None:
    if isinstance(outcome, Located):
        for record in outcome.envelope.stages:
            by_stage.setdefault(record.stage, []).append(record.milliseconds)


def _resident(start: Snapshot, now: Snapshot) -> tuple[float, float]:
    return now.at - start.at, sum(now.resident.values())


def _own_cpu() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)
