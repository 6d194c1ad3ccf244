"""The figures of all peers: one table, its notes, one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.table import Table

from benchmarks.peers.figures import Column
from benchmarks.peers.kill import Killed
from benchmarks.report import Machine, significant

NOTES = (
    (
        "Every image was accepted by the chain (in its ledger; the image on disk, or for few cores "
        "with its detector until it has ended) and its outcome committed (fsync) before it counts; "
        "the others keep nothing: a result is in the caller's memory, and gone with it."
    ),
    (
        "Rate and CPU: so many in flight that nobody waits for the caller; from the first "
        "submission to the last result. CPU is that of all processes. The caller's: for the chain "
        "the detector, and looking at the store every millisecond; for the pool pickling; for Dask "
        "the scheduler too."
    ),
    (
        "Moved counts each byte once for each time it is sent; passed to write() is what went into "
        "files and pipes, sockets and shared memory not: for the chain its spool, ledger, results "
        "and logs, which are not in moved; for the pool its pipes, which are all it moves."
    ),
    (
        "Start: from starting the peer, whose library is imported already, to the first result; "
        "kernels compiled before, read from disk."
    ),
)


class PeersReport(Struct, frozen=True, kw_only=True):
    """One run."""

    machine: Machine
    cores: int
    wide_window: int
    """Images in flight where rate and processor time were measured."""
    narrow_window: int
    """Images in flight where latency was measured, and a worker killed."""
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = NOTES


def write(report: PeersReport, path: Path) -> None:
    """Write as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))


def table(report: PeersReport) -> Table:
    """Lay the figures out, a column for each peer."""
    rows = Table("what", title=report.machine.line, title_justify="left", min_width=100)
    for column in report.columns:
        rows.add_column(f"{column.name}\n{column.version}", justify="right")

    def section(heading: str) -> None:
        rows.add_section()
        rows.add_row(f"[bold]{heading}")

    def row(what: str, cells: Sequence[str]) -> None:
        rows.add_row(f"  {what}", *cells)

    columns = report.columns
    section("processes")
    row("that compute", [column.workers for column in columns])
    section(f"{report.wide_window} images in flight")
    row("images/s", [_with_range(column.rate, column.rates) for column in columns])
    row("CPU per image, ms", [significant(column.cpu_ms) for column in columns])
    row("of which the caller's process", [significant(c.caller_cpu_ms) for c in columns])
    row("moved per image, MiB", [f"{column.moved_bytes / 2**20:.2f}" for column in columns])
    row("passed to write(), MiB", [f"{column.written_bytes / 2**20:.2f}" for column in columns])
    row("cores others had, by round", [_each(column.others) for column in columns])
    section(f"{report.narrow_window} images in flight")
    row("latency, median ms", [_with_range(c.latency_ms, c.latencies_ms) for c in columns])
    row("latency, p99 ms", [significant(column.latency_p99_ms) for column in columns])
    row("images/s", [significant(column.narrow_rate) for column in columns])
    section("start")
    row("to the first result, s", [_with_range(c.start_s, c.starts_s) for c in columns])
    section("a worker killed (-9) in mid-stream")
    for what, said in _KILLED:
        row(what, ["\n".join(said(one) for one in column.killed) for column in columns])
    section("answers")
    row("other than process's", [str(column.wrong) for column in columns])
    return rows


def notes(report: PeersReport) -> list[str]:
    """Return what has to be known to read the table."""
    moved = [f"Moved, {column.name}: {column.counted}." for column in report.columns]
    return [*report.notes, *moved]


def _results(one: Killed) -> str:
    return f"{one.results} of {one.images}"


def _in_hand(one: Killed) -> str:
    return _or_unknown(one.in_hand)


def _begun(one: Killed) -> str:
    return _or_unknown(one.begun_again)


def _finished(one: Killed) -> str:
    return _or_unknown(one.finished_again)


def _silence(one: Killed) -> str:
    given_up = " (given up)" if one.missing else ""
    return f"{significant(one.longest_silence_s)}{given_up}"


def _or_unknown(value: bool | int | None) -> str:
    if value is None:
        return "not knowable"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


_KILLED = (
    ("results", _results),
    ("so they are", lambda one: one.verdict),
    ("the caller sees", lambda one: one.seen),
    ("it had an image in hand", _in_hand),
    ("longest silence, s", _silence),
    ("images begun again", _begun),
    ("computed to the end twice", _finished),
)


def _each(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)


def _with_range(middle: float, each: Sequence[float]) -> str:
    return significant(middle) if len(each) < 2 else f"{significant(middle)} ({_range(each)})"


def _range(each: Sequence[float]) -> str:
    low, high = significant(min(each)), significant(max(each))
    return low if low == high else f"{low}..{high}"
