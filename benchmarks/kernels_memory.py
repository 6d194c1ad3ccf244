"""Memory of `pipeline.process`, in a process of its own.

Run as `python -m benchmarks.kernels_memory CALLS`; it answers in JSON.

Two views of one call. tracemalloc sees what Python and NumPy allocate, to the byte. The resident
high-water mark (Linux) also sees the buffers of OpenCV and of the compiled kernels, in pages.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tracemalloc
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import psutil
from msgspec import Struct
from numpy.typing import NDArray

from benchmarks.kernels import of_size
from benchmarks.report import Figure, Series
from pipeline import process, warm_up
from pipeline.emulation import emulate
from services.runtime.process import ONE_THREAD, hold_to_one_thread

SIDES = (512, 1024, 4096)
MIXED = (256, 256, 256, 256, 256, 512, 512, 1024)
"""Sides of the pictures of the long run, pixels, each once with 8 and once with 16 bit. Most are
small, so that a hundred thousand take a minute: what leaks, leaks by call."""
SAMPLES = 100
MIB = 2**20

CLEAR_REFS = Path("/proc/self/clear_refs")
RESET_HIGH_WATER = "5"
"""See proc(5)."""
STATUS = Path("/proc/self/status")


class Call(Struct, frozen=True, kw_only=True):
    """Bytes of one call."""

    parent: int
    traced: int
    resident: int | None
    """None where the system does not tell."""


class Memory(Struct, frozen=True, kw_only=True):
    """What the process found out about itself."""

    calls: dict[int, Call]
    """By side of the parent, pixels; 16 bit."""
    done: list[int]
    resident: list[float]
    """MiB, after so many calls."""

    @property
    def growth_kib(self) -> float:
        """Middle of the last quarter less that of the first, KiB."""
        quarter = max(len(self.resident) // 4, 1)
        return 1024 * (median(self.resident[-quarter:]) - median(self.resident[:quarter]))


def measure(calls: int) -> Memory:
    """Run the measurement in a fresh process, with a worker's environment."""
    command = [sys.executable, "-m", "benchmarks.kernels_memory", str(calls)]
    answer = subprocess.run(
        command, env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, check=True
    )
    return msgspec.json.decode(answer.stdout, type=Memory)


def figures(memory: Memory) -> list[Figure]:
    """Sum it up."""
    group = "memory of process"
    found = []
    for side, call in memory.calls.items():
        resident = ""
        if call.resident is not None:
            resident = f"resident high water +{call.resident / MIB:.3g} MiB"
        found.append(
            Figure(
                key=f"memory.peak.{side}",
                group=group,
                what=f"peak of a call, {side} px, 16 bit",
                value=call.traced / call.parent,
                unit="x parent",
                note=f"{call.traced / MIB:.3g} of {call.parent / MIB:.3g} MiB; {resident}",
            )
        )
    found.append(
        Figure(
            key="memory.growth_kib",
            group=group,
            what=f"resident, {memory.done[-1]:,} calls",
            value=memory.growth_kib,
            unit="KiB more",
            note=f"in the last quarter than in the first; {memory.resident[0]:.1f} MiB after "
            f"{memory.done[0]:,}, {memory.resident[-1]:.1f} MiB at the end; {_mixed()}",
        )
    )
    return found


def series(memory: Memory) -> dict[str, Series]:
    """Return what the plot shows."""
    return {"memory": Series(x=[float(done) for done in memory.done], y=memory.resident)}


def look_at_oneself(calls: int) -> Memory:
    """Measure in this process."""
    hold_to_one_thread()
    warm_up()
    by_side: dict[int, Call] = {}
    for side in SIDES:
        image = of_size(side, bit_depth=16)
        # The resident one first: later calls find memory that the allocator has kept.
        resident = _resident_peak(image)
        by_side[side] = Call(parent=image.nbytes, traced=_traced_peak(image), resident=resident)
    images = [
        emulate(number, 1, size=side, bit_depth=bits).image
        for number, (side, bits) in enumerate(product(MIXED, (8, 16)))
    ]
    own = psutil.Process()
    done: list[int] = []
    resident_mib: list[float] = []
    for sample in range(SAMPLES):
        for call in range(calls // SAMPLES):
            process(images[(sample + call) % len(images)])
        done.append((sample + 1) * (calls // SAMPLES))
        resident_mib.append(own.memory_info().rss / MIB)
    return Memory(calls=by_side, done=done, resident=resident_mib)


def _mixed() -> str:
    """Say which pictures there are."""
    each = (f"{2 * MIXED.count(side)} of {side}" for side in sorted(set(MIXED)))
    return f"{', '.join(each)} px, half of them 16 bit"


def _traced_peak(image: NDArray[Any]) -> int:
    tracemalloc.start()
    try:
        process(image)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _resident_peak(image: NDArray[Any]) -> int | None:
    if not CLEAR_REFS.exists():
        return None
    _give_back()
    CLEAR_REFS.write_text(RESET_HIGH_WATER, encoding="ascii")
    before = _high_water()
    process(image)
    return _high_water() - before


def _give_back() -> None:
    """Return freed memory to the system where the C library can, so that using it again shows."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def _high_water() -> int:
    """Bytes."""
    for line in STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(look_at_oneself(int(sys.argv[1]))))
