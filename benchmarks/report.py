"""What was measured, where, and how it compares: one list of figures for table, file and plot."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct, field
from rich.table import Table

PACKAGES = ("numpy", "scipy", "numba", "opencv-python-headless", "scikit-image", "scikit-learn")
CPU_INFO = Path("/proc/cpuinfo")

Better = Literal["lower", "higher"]


class Figure(Struct, frozen=True, kw_only=True):
    """One number.

    Attributes
    ----------
    key
        Names the figure from one version of the project to the next, such as `process.cpu_ms`.
    group, what, unit, note
        For the table.
    value
        In `unit`.
    better
        Which way is better.
    goal
        At most (at least, where higher is better); None where nothing is asked.
    """

    key: str
    group: str
    what: str
    value: float
    unit: str
    note: str = ""
    better: Better = "lower"
    goal: float | None = None

    @property
    def asked(self) -> str:
        """Say what is asked, and whether this is it."""
        if self.goal is None:
            return ""
        if self.better == "lower":
            sign, met = "<=", self.value <= self.goal
        else:
            sign, met = ">=", self.value >= self.goal
        return f"{sign} {self.goal:g} {'met' if met else 'missed'}"


class Machine(Struct, frozen=True, kw_only=True):
    """Where and with what it was measured."""

    processor: str
    cores: int
    system: str
    python: str
    versions: dict[str, str]
    load_before: float
    """Load average of the last minute: what else the machine had to do."""
    load_after: float
    started: str
    quick: bool

    @classmethod
    def this(cls, *, quick: bool, load_before: float, started: datetime) -> Machine:
        """Describe this machine, now that everything is measured."""
        return cls(
            processor=processor_name(),
            cores=len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
            system=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
            versions={name: version(name) for name in ("haadflow", *PACKAGES)},
            load_before=round(load_before, 2),
            load_after=round(os.getloadavg()[0], 2),
            started=started.astimezone(UTC).isoformat(timespec="seconds"),
            quick=quick,
        )

    @property
    def line(self) -> str:
        """All of it, for people."""
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return (
            f"{self.processor}, {self.cores} cores, {self.system}, Python {self.python}; "
            f"load average {self.load_before} before, {self.load_after} after; {self.started}"
            f"{' (quick: few repeats)' if self.quick else ''}\n{versions}"
        )


class Series(Struct, frozen=True, kw_only=True):
    """A line or the samples of a distribution, for the plot."""

    x: list[float] = field(default_factory=list)
    y: list[float] = field(default_factory=list)


class Report(Struct, frozen=True, kw_only=True):
    """One run of the benchmark."""

    machine: Machine
    figures: tuple[Figure, ...]
    series: dict[str, Series] = field(default_factory=dict)


class NotAReport(Exception):
    """A file is no report of this benchmark: which, and why."""


def write(report: Report, path: Path) -> None:
    """Write as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))


def read(path: Path) -> Report:
    """Read what `write` wrote; `NotAReport` for anything else."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except (OSError, msgspec.DecodeError) as error:
        raise NotAReport(f"{path}: {error}") from error


def table(figures: Iterable[Figure], title: str) -> Table:
    """Lay the figures out, a section for each group."""
    rows = Table("what", title=title, title_justify="left", min_width=100)
    for heading in ("measured", "", "asked", "note"):
        rows.add_column(heading, justify="right" if heading == "measured" else "left")
    group = ""
    for figure in figures:
        if figure.group != group:
            rows.add_section()
            rows.add_row(f"[bold]{figure.group}")
            group = figure.group
        value = significant(figure.value)
        rows.add_row(f"  {figure.what}", value, figure.unit, figure.asked, figure.note)
    return rows


def compare(now: Report, earlier: Report) -> Table:
    """Set each figure beside the same one of an earlier report."""
    title = (
        f"now / earlier ({earlier.machine.started}, {earlier.machine.processor}, "
        f"load average {earlier.machine.load_before}..{earlier.machine.load_after})"
    )
    rows = Table("what", title=title, title_justify="left", min_width=100)
    for heading in ("now", "earlier", "ratio"):
        rows.add_column(heading, justify="right")
    rows.add_column("")
    before = {figure.key: figure for figure in earlier.figures}
    for figure in now.figures:
        known = before.get(figure.key)
        if known is None or known.unit != figure.unit:
            continue
        shown = [f"{significant(value)} {figure.unit}" for value in (figure.value, known.value)]
        ratio = f"{figure.value / known.value:.2f}" if known.value else ""
        rows.add_row(f"{figure.group}: {figure.what}", *shown, ratio, verdict(figure, known))
    return rows


def verdict(now: Figure, earlier: Figure) -> str:
    """Say `better` or `worse` where they differ by more than a tenth: less is noise here."""
    low, high = sorted((now.value, earlier.value))
    if low == high or (low > 0.0 and high / low <= 1.1):
        return ""
    return "better" if (now.value < earlier.value) == (now.better == "lower") else "worse"


def significant(value: float) -> str:
    """Write a number with three digits that mean something."""
    if value == 0.0 or abs(value) >= 100.0:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def processor_name() -> str:
    """Return the processor's name as the system gives it."""
    if CPU_INFO.is_file():
        for line in CPU_INFO.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
