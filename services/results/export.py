"""All tables and the summary, in one pass over the store.

One pass, so that the files agree with each other even while the sink goes on writing; and all of
them take their names together at its end (`whole_files`). Memory does not depend on the number
of frames. The same store gives the same bytes again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from .acquisition import Acquisitions, ReceiptsCsv
from .csv_tables import BoxesCsv, FramesCsv
from .jsonl import BoxesJsonl
from .parquet import BoxesParquet, FramesParquet, why_not
from .particles import has_particles
from .statistics import Statistics
from .store import ResultStore
from .summary import Summary, summarise
from .view import View
from .whole_files import WholeFiles

SUMMARY = "summary.json"
RECEIPTS = "receipts.csv"
"""Written where there was a feed."""
_FRAMES = ("frames.csv", "frames.parquet")
_BOXES = ("boxes.csv", "boxes.parquet")


class _Table(Protocol):
    def add(self, view: View) -> None: ...

    def finish(self) -> None: ...


_TABLES: dict[str, Callable[..., _Table]] = {
    "boxes.csv": BoxesCsv,
    "frames.csv": FramesCsv,
    "boxes.jsonl": BoxesJsonl,
}
_PARQUET_TABLES: dict[str, Callable[..., _Table]] = {
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
    acquisitions: Acquisitions | None = None,
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
    acquisitions
        What became of each parent's boxes, where there was a feed; None without.
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
    makers = dict(_TABLES if problem else _TABLES | _PARQUET_TABLES)
    if acquisitions is not None:
        makers |= {n: partial(make, acquired=True) for n, make in makers.items() if n in _FRAMES}
    if has_particles(store):
        makers |= {n: partial(make, particles=True) for n, make in makers.items() if n in _BOXES}
    skipped = dict.fromkeys(_PARQUET_TABLES, problem) if problem else {}
    with WholeFiles(out) as files:
        with ExitStack() as finishing:
            tables = []
            for name, make in makers.items():
                tables.append(make(files.open(name)))
                finishing.callback(tables[-1].finish)
            receipts = ReceiptsCsv(files.open(RECEIPTS)) if acquisitions is not None else None
            for done, record in enumerate(store.records(), start=1):
                view = View(record, None if acquisitions is None else acquisitions(record))
                for table in tables:
                    table.add(view)
                if receipts is not None and view.acquisition is not None:
                    receipts.add(view.row.parent_id, view.row.source, view.acquisition)
                statistics.add(record.outcome)
                if progress:
                    progress(done)
        summary = summarise(statistics, account)
        files.open(SUMMARY).write(summary.json())
        for name in skipped:
            files.remove(name)
        if acquisitions is None:
            files.remove(RECEIPTS)
    more = () if acquisitions is None else (RECEIPTS,)
    return Export(
        files=tuple(out / name for name in (*makers, *more, SUMMARY)),
        skipped=skipped,
        statistics=statistics,
        summary=summary,
    )
