"""All tables and the summary, in one pass over the store.

One pass, so that the files agree with each other even while the sink goes on writing; and all of
them take their names together at its end (`whole_files`). Memory does not depend on the number
of frames. The same store gives the same bytes again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from msgspec import Struct

from .csv_tables import BoxesCsv, FramesCsv
from .jsonl import BoxesJsonl
from .parquet import BoxesParquet, FramesParquet, why_not
from .statistics import Statistics
from .store import ResultStore
from .summary import Summary, summarise
from .view import View
from .whole_files import WholeFiles

SUMMARY = "summary.json"


class _Table(Protocol):
    def add(self, view: View) -> None: ...

    def finish(self) -> None: ...


_TABLES: dict[str, Callable[[BinaryIO], _Table]] = {
    "boxes.csv": BoxesCsv,
    "frames.csv": FramesCsv,
    "boxes.jsonl": BoxesJsonl,
}
_PARQUET_TABLES: dict[str, Callable[[BinaryIO], _Table]] = {
    "boxes.parquet": BoxesParquet,
    "frames.parquet": FramesParquet,
}


class Export(Struct, frozen=True, kw_only=True):
    """What an export wrote."""

    files: tuple[Path, ...]
    skipped: dict[str, str]
    """Name of each file that was not written, and why."""
    statistics: Statistics
    summary: Summary


def export_tables(
    store: ResultStore,
    out: Path,
    *,
    account: Mapping[str, Any] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Export:
    """Write boxes and frames as CSV and Parquet, the batches as JSON Lines, and the summary.

    Parameters
    ----------
    store
        May be written by the sink meanwhile.
    out
        The folder; made if absent. Its files are replaced at the end, all together.
    account
        What summary.json says under `account`.
    progress
        Called after each frame with the number of frames done.

    Raises
    ------
    StoreError
        If the store cannot be read. `out` is then as it was.
    OSError
        If a file cannot be written. `out` is then as it was.
    """
    statistics = Statistics()
    problem = why_not()
    makers = _TABLES if problem else _TABLES | _PARQUET_TABLES
    skipped = dict.fromkeys(_PARQUET_TABLES, problem) if problem else {}
    with WholeFiles(out) as files:
        with ExitStack() as finishing:
            tables = []
            for name, make in makers.items():
                tables.append(make(files.open(name)))
                finishing.callback(tables[-1].finish)
            for done, record in enumerate(store.records(), start=1):
                view = View(record)
                for table in tables:
                    table.add(view)
                statistics.add(record.outcome)
                if progress:
                    progress(done)
        summary = summarise(statistics, account)
        files.open(SUMMARY).write(summary.json())
        for name in skipped:
            files.remove(name)
    return Export(
        files=tuple(out / name for name in (*makers, SUMMARY)),
        skipped=skipped,
        statistics=statistics,
        summary=summary,
    )
