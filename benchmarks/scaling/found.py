"""What was measured, as it is written to and read from JSON."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct, field

from benchmarks.report import Machine, NotAReport


class Point(Struct, frozen=True, kw_only=True):
    """A chain at work, from a full chain to the last commit.

    Attributes
    ----------
    layout
        `together`, `apart`, or of a crowd `held`, `own`: docs/scaling.md.
    side
        Of the images, in pixels; 8 bit.
    workers
        Of each stage.
    cores
        That everything ran on, the detector too.
    work_ms
        For which a worker of a crowd waits with a frame; 0 for real workers.
    window
        Frames in the chain, at most.
    rate
        Frames per second.
    others
        Cores that everything else on this machine had at work meanwhile.
    threads
        Milliseconds of processor time a frame by `service/thread`; workers of a stage added up.
    written
        Bytes a frame passed to write(), by service.
    commits
        Outcomes committed together, mean.
    """

    layout: str
    side: int
    workers: int
    cores: int
    work_ms: float
    window: int
    frames: int
    seconds: float
    rate: float
    others: float
    threads: dict[str, float]
    written: dict[str, float]
    commits: float
    worker_mib: float = 0.0

    @property
    def cpu_ms(self) -> float:
        """Processor milliseconds of a frame, everything that took part."""
        return sum(self.threads.values())


class Rest(Struct, frozen=True, kw_only=True):
    """What workers cost that have nothing to do: cores, by `service/thread`."""

    layout: str
    workers: int
    busy: dict[str, float]


class Records(Struct, frozen=True, kw_only=True):
    """What the ledger and the store cost as they grow."""

    ledger_us: list[tuple[int, float]]
    """(frames in it, processor microseconds to accept and close one more)."""
    ledger_bytes: float
    """A frame, at the end."""
    ledger_open_s: float
    """To begin with the ledger at its end."""
    commit_us: list[tuple[int, float, float]]
    """(outcomes committed together, microseconds each on the wall, and of processor time)."""
    dispatch_us: list[tuple[int, float]]
    """(workers of a queue, processor microseconds to give one frame out and take it back)."""
    store_us: list[tuple[int, float]]
    """(outcomes in it, processor microseconds to commit one more of 64)."""
    store_bytes: float
    """An outcome."""
    sync_ms: float
    """To write 4 KiB more and have them on the disk, median."""
    disk_mib_s: float
    """Written to a file and on the disk."""
    copy_mib_s: float
    """From memory to memory, one thread."""


class Wire(Struct, frozen=True, kw_only=True):
    """Bytes of a frame's messages."""

    side: int
    offer: float
    image: float
    outcome: float


class Scaling(Struct, frozen=True, kw_only=True):
    """One run of the benchmark; a part that was not asked for is empty."""

    machine: Machine
    points: list[Point] = field(default_factory=list)
    crowds: list[Point] = field(default_factory=list)
    rests: list[Rest] = field(default_factory=list)
    records: Records | None = None
    wires: list[Wire] = field(default_factory=list)


def write(found: Scaling, path: Path) -> None:
    """Write as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))


def read(path: Path) -> Scaling:
    """Read what `write` wrote; `NotAReport` for anything else."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Scaling)
    except (OSError, msgspec.DecodeError) as error:
        raise NotAReport(f"{path}: {error}") from error
