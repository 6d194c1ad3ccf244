"""What the ledger, the store and a queue's state cost as they grow, and what is below."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec
import numpy as np

from benchmarks.chain_images import LARGE, pictures
from benchmarks.scaling.found import Records
from benchmarks.scaling.samples import METADATA, located
from protocols.messages import Located
from services.results import ResultStore, Writer
from services.runtime.dispatch import Dispatch
from services.runtime.ledger import Ledger, NewFrame

LEDGER_FRAMES = 1_000_000
TOGETHER = 16
"""Frames accepted in one transaction, and closed in one: what the source does at most."""
LOOKED_AT = (10_000, 100_000, 300_000, 1_000_000)
STORE_OUTCOMES = 20_000
COMMITTED = 64
BATCHES = (1, 4, 16, 64, 256)
TRIALS = 12
QUEUE_WORKERS = (10, 100, 300, 1_000)
DISPATCHED = 2_000
SYNCS = 60
DISK_MIB = 256
MIB = 2**20
WRITER = Writer(software="benchmark", wire_version=1)

Tell = Callable[[str], None]


class _Took(NamedTuple):
    """Seconds of one piece of work."""

    wall: float
    cpu: float


def measure(folder: Path, *, ledger_frames: int = LEDGER_FRAMES, tell: Tell) -> Records:
    """Fill a ledger and a store, and time what is done last."""
    tell(f"ledger of {ledger_frames:,} frames")
    ledger_us, ledger_bytes, opens = _ledger(folder / "ledger.sqlite", ledger_frames)
    tell(f"store of {STORE_OUTCOMES:,} outcomes")
    commit_us, store_us, store_bytes = _store(folder / "results.sqlite")
    tell("disk and memory")
    return Records(
        ledger_us=ledger_us,
        ledger_bytes=ledger_bytes,
        ledger_open_s=opens,
        commit_us=commit_us,
        dispatch_us=[(workers, _dispatch(workers)) for workers in QUEUE_WORKERS],
        store_us=store_us,
        store_bytes=store_bytes,
        sync_ms=1e3 * median(_sync(folder / "sync") for _ in range(SYNCS)),
        disk_mib_s=_disk(folder / "disk"),
        copy_mib_s=_copy(),
    )


def _ledger(path: Path, frames: int) -> tuple[list[tuple[int, float]], float, float]:
    """Accept and close frames as the source does; the last hundredth of each length is timed."""
    found = []
    with Ledger(path) as ledger:
        at = 0
        for goal in [n for n in LOOKED_AT if n <= frames]:
            while at < goal - goal // 100:
                at = _accept_and_close(ledger, at)
            first, started = at, time.process_time()
            while at < goal:
                at = _accept_and_close(ledger, at)
            found.append((goal, 1e6 * (time.process_time() - started) / (at - first)))
    started = time.perf_counter()
    with Ledger(path) as ledger:
        ledger.begin_again()
        ledger.accepted()
        ledger.open_count()
    return found, path.stat().st_size / at, time.perf_counter() - started


def _accept_and_close(ledger: Ledger, at: int) -> int:
    frames = [
        NewFrame(
            f"0123456789abcdef {n}",
            msgspec.structs.replace(METADATA, parent_id=f"scaling-0123456789abcdef-{n:06d}"),
            None,
        )
        for n in range(at, at + TOGETHER)
    ]
    accepted = ledger.accept(frames)
    ledger.close_frames([(seq, "located") for seq, _ in accepted], sent_through=accepted[-1][0])
    return at + TOGETHER


def _store(
    path: Path,
) -> tuple[list[tuple[int, float, float]], list[tuple[int, float]], float]:
    """Commit batches of all sizes, then many of one."""
    samples = [located(image) for image in pictures(LARGE)]
    commits, grown = [], []
    with ResultStore(path, writer=WRITER) as store:
        at = 0
        for size in BATCHES:
            took = []
            for _ in range(TRIALS):
                took.append(_commit(store, samples, at, size))
                at += size
            commits.append(
                (
                    size,
                    1e6 * median(each.wall for each in took) / size,
                    1e6 * median(each.cpu for each in took) / size,
                )
            )
        for goal in (STORE_OUTCOMES // 4, STORE_OUTCOMES):
            cpu = []
            while at < goal:
                cpu.append(_commit(store, samples, at, COMMITTED).cpu)
                at += COMMITTED
            grown.append((at, 1e6 * median(cpu[-20:]) / COMMITTED))
    return commits, grown, path.stat().st_size / at


def _commit(store: ResultStore, samples: list[Located], first: int, count: int) -> _Took:
    outcomes = [_numbered(samples[n % len(samples)], n) for n in range(first, first + count)]
    wall, cpu = time.perf_counter(), time.process_time()
    store.commit(outcomes)
    return _Took(time.perf_counter() - wall, time.process_time() - cpu)


def _numbered(sample: Located, seq: int) -> Located:
    metadata = msgspec.structs.replace(METADATA, parent_id=f"scaling-0123456789abcdef-{seq:06d}")
    envelope = msgspec.structs.replace(sample.envelope, seq=seq, metadata=metadata)
    return msgspec.structs.replace(sample, envelope=envelope)


def _dispatch(workers: int) -> float:
    """Give frames out while every worker waits for one; return the microseconds each takes."""
    dispatch = Dispatch()
    for number in range(workers):
        dispatch.credit(f"{number:05d}".encode(), 2, (), 0.0, outstanding=2)
    started = time.process_time()
    for seq in range(DISPATCHED):
        dispatch.add(("run", seq), (), 0.0)
        leased = dispatch.assign(0.0)
        if leased is None:
            raise ValueError(f"workers: came {workers}, expected at least 1")
        dispatch.credit(leased[0], 1, (("run", seq),), 0.0, outstanding=2)
    return 1e6 * (time.process_time() - started) / DISPATCHED


def _sync(path: Path) -> float:
    with path.open("ab", buffering=0) as file:
        file.write(bytes(4096))
        started = time.perf_counter()
        os.fsync(file.fileno())
        return time.perf_counter() - started


def _disk(path: Path) -> float:
    piece = os.urandom(MIB)
    started = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(DISK_MIB):
            file.write(piece)
        os.fsync(file.fileno())
    return DISK_MIB / (time.perf_counter() - started)


def _copy() -> float:
    """Copy images of 1 MiB from and to more memory than the caches hold."""
    source, target = np.ones((2, 256, MIB), np.uint8)
    started = time.perf_counter()
    for taken, put in zip(source, target, strict=True):
        np.copyto(put, taken)
    return len(source) / (time.perf_counter() - started)
