"""What the coordinate sink keeps: one row a parent image in an SQLite file.

The sink commits a batch of outcomes, and only then tells the source that these frames are
closed. `(run, seq)` is the key; a frame that comes again, because its acknowledgement was
lost, changes nothing: the first outcome stays.

* WAL: others read (`verify`, exports, pictures) while the sink writes.
* synchronous=FULL, unless the topology wants it otherwise: a commit is on the disk before it
  is acknowledged, so that a power cut loses no frame either. Against a killed process NORMAL
  does; the difference is one fsync a batch (docs/guarantees.md has figures).
* Readers page through the rows and hold no transaction meanwhile, so that a slow reader
  never keeps the write-ahead log from being folded in.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgspec import Struct

from protocols.messages import Envelope, Outcome

from .dictionaries import Dictionaries
from .errors import StoreError
from .record import (
    Kind,
    Record,
    Writer,
    kind_of,
    pack_arrays,
    pack_header,
    unpack_envelope,
    unpack_outcome,
)
from .schema import open_for_reading, open_for_writing

_ROWS = 128
_SHORT_ROWS = 4096
"""How many rows are read at a time, with and without their boxes."""

_RUNS = (
    "INSERT OR IGNORE INTO runs (run) VALUES (?)",
    "SELECT id FROM runs WHERE run = ?",
)
_WRITERS = (
    "INSERT OR IGNORE INTO writers (software, wire_version) VALUES (?, ?)",
    "SELECT id FROM writers WHERE software = ? AND wire_version = ?",
)
_IN_ORDER_OF_FRAMES = """
SELECT outcomes.rowid, runs.id, runs.run, seq, outcome, software, wire_version, created_unix,
    header, boxes FROM outcomes
LEFT JOIN runs ON runs.id = outcomes.run LEFT JOIN writers ON writers.id = writer
WHERE (outcomes.run, seq) > (?, ?) AND outcome = ifnull(?, outcome)
ORDER BY outcomes.run, seq LIMIT ?
"""
_IN_ORDER_OF_COMMITS = """
SELECT outcomes.rowid, runs.id, runs.run, seq, outcome, software, wire_version, created_unix,
    header, boxes FROM outcomes
LEFT JOIN runs ON runs.id = outcomes.run LEFT JOIN writers ON writers.id = writer
WHERE outcomes.rowid > ? ORDER BY outcomes.rowid LIMIT ?
"""
_LOCATED_HEADERS = """
SELECT outcomes.rowid, runs.run, seq, header FROM outcomes
LEFT JOIN runs ON runs.id = outcomes.run
WHERE outcomes.rowid > ? AND outcome = 'located' ORDER BY outcomes.rowid LIMIT ?
"""


class Counts(Struct, frozen=True, kw_only=True):
    """How many frames ended how."""

    located: int = 0
    rejected: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        """All frames in the store."""
        return self.located + self.rejected + self.failed


class ResultStore:
    """The outcomes of all frames, in one file.

    Parameters
    ----------
    path
        The file; made if absent, unless `read_only`.
    writer
        The software that commits, kept beside each outcome. None opens the store for reading.
    flushed
        What was committed is on the disk.
    clock
        Seconds since 1970-01-01 UTC; the time of each commit is kept.

    Raises
    ------
    StoreError
        If the file is something else, of a newer schema, unreadable or, for reading, absent.
        Every method raises it too when the file turns out to be damaged, locked or full.
    """

    def __init__(
        self,
        path: Path,
        *,
        writer: Writer | None = None,
        flushed: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self._writer = writer
        self._clock = clock
        self._seen: int | None = None
        with self._explained():
            self._db = (
                open_for_reading(path)
                if writer is None
                else open_for_writing(path, flushed=flushed)
            )
        self._dictionaries = Dictionaries(self._db)

    def commit(self, outcomes: Sequence[Outcome]) -> int:
        """Keep these outcomes: all of them or, on an error, none.

        Parameters
        ----------
        outcomes
            In any order; those whose (run, seq) is already kept are ignored.

        Returns
        -------
        int
            How many were new.
        """
        if self._writer is None:
            raise StoreError(self.path, "was opened for reading only")
        added: Counter[Kind] = Counter()
        with self._explained(), self._transaction():
            created = self._clock()
            writer = self._number(_WRITERS, (self._writer.software, self._writer.wire_version))
            for outcome in outcomes:
                run = self._number(_RUNS, (outcome.envelope.run,))
                if not self._has(run, outcome.envelope.seq):
                    self._insert(run, outcome, created, writer)
                    added[kind_of(outcome)] += 1
            self._db.executemany(
                "INSERT INTO counts VALUES (?, ?)"
                " ON CONFLICT (outcome) DO UPDATE SET frames = frames + excluded.frames",
                added.items(),
            )
        return added.total()

    def counts(self) -> Counts:
        """Say how many frames ended how; takes the same time however many there are."""
        with self._explained():
            return Counts(**dict(self._db.execute("SELECT outcome, frames FROM counts")))

    def known(self, run: str, seqs: Iterable[int]) -> dict[int, Kind]:
        """Return the kept outcome of each of these frames of a run that has one."""
        with self._explained():
            found = self._db.execute(
                "SELECT seq, outcome FROM outcomes JOIN runs ON runs.id = outcomes.run"
                " WHERE runs.run = ? AND seq IN (SELECT value FROM json_each(?))",
                (run, json.dumps(list(seqs))),
            )
            return dict(found)

    def kinds(self, run: str) -> Iterator[tuple[int, Kind]]:
        """Go through the outcomes of a run by seq, and say of each only how it ended."""
        last = -1
        while True:
            with self._explained():
                page = self._db.execute(
                    "SELECT seq, outcome FROM outcomes"
                    " WHERE run = (SELECT id FROM runs WHERE run = ?) AND seq > ?"
                    " ORDER BY seq LIMIT ?",
                    (run, last, _SHORT_ROWS),
                ).fetchall()
            if not page:
                return
            yield from page
            last = page[-1][0]

    def of_other_runs(self, run: str) -> int:
        """Count the outcomes of frames of any other run."""
        with self._explained():
            found = self._db.execute(
                "SELECT count(*) FROM outcomes JOIN runs ON runs.id = outcomes.run"
                " WHERE runs.run <> ?",
                (run,),
            ).fetchone()
            return int(found[0])

    def records(self, kind: Kind | None = None) -> Iterator[Record]:
        """Go through all outcomes, or those of one kind: runs as they came, frames by seq.

        The memory used does not depend on their number. What is committed meanwhile is seen
        if it belongs behind the place already reached.
        """
        return self._records((-1, 0), kind)

    def _records(self, place: tuple[int, int], kind: Kind | None) -> Iterator[Record]:
        while page := self._rows(_IN_ORDER_OF_FRAMES, (*place, kind, _ROWS)):
            for row in page:
                place = (row[1], row[3])
                yield self._record(row)

    def records_behind(self, run: str, seq: int) -> Iterator[Record]:
        """Go through the outcomes of the frames of a run behind this one."""
        with self._explained():
            found = self._db.execute("SELECT id FROM runs WHERE run = ?", (run,)).fetchone()
        if found is not None:
            for record in self._records((found[0], seq), None):
                if record.outcome.envelope.run != run:
                    return
                yield record

    def envelopes_naming(self, word: str) -> Iterator[Envelope]:
        """Go through the envelopes of the located frames in whose header a word stands.

        Reads no boxes, and decodes no other header: quick where the word is rare.
        """
        place = 0
        while True:
            with self._explained():
                page = self._db.execute(_LOCATED_HEADERS, (place, _SHORT_ROWS)).fetchall()
            if not page:
                return
            place = page[-1][0]
            for _, run, seq, header in page:
                try:
                    whole = self._dictionaries.inflate("located", header)
                    if word.encode() in whole:
                        yield unpack_envelope(whole)
                except (ValueError, TypeError, sqlite3.Error) as error:
                    raise StoreError(self.path, f"frame {run}/{seq} is damaged: {error}") from error

    def committed_behind(self, place: int, limit: int) -> list[tuple[int, Record]]:
        """Return the next outcomes behind a place in the order in which they were committed.

        Parameters
        ----------
        place
            That of the last one seen, 0 for the first; it stays an outcome's own.
        limit
            How many, at most.
        """
        rows = self._rows(_IN_ORDER_OF_COMMITS, (place, limit))
        return [(row[0], self._record(row)) for row in rows]

    def record_at(self, place: int) -> Record:
        """Return the outcome of a place that `committed_behind` gave.

        Raises
        ------
        StoreError
            There is none.
        """
        for row in self._rows(_IN_ORDER_OF_COMMITS, (place - 1, 1)):
            if row[0] == place:
                return self._record(row)
        raise StoreError(self.path, f"has no outcome at place {place} any more")

    def count_up_to(self, place: int) -> int:
        """Count the outcomes that were committed up to a place of `committed_behind`."""
        with self._explained():
            found = self._db.execute("SELECT count(*) FROM outcomes WHERE rowid <= ?", (place,))
            return int(found.fetchone()[0])

    def others_wrote(self) -> bool:
        """Say whether another connection has committed anything since this was asked last."""
        with self._explained():
            before, self._seen = self._seen, self._db.execute("PRAGMA data_version").fetchone()[0]
        return bool(self._seen != before)

    def results(self) -> Iterator[Outcome]:
        """Go through all outcomes as `records` does, without the store's own notes."""
        return (record.outcome for record in self.records())

    def close(self) -> None:
        """Close the file; as the last to close it, fold the write-ahead log in."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _rows(self, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._explained():
            return self._db.execute(query, values).fetchall()

    def _record(self, row: tuple[Any, ...]) -> Record:
        """Make an outcome of a row of one of the queries below."""
        _, _, run, seq, ended, software, wire, created, header, arrays = row
        try:
            whole = self._dictionaries.inflate(ended, header)
            return Record(
                outcome=unpack_outcome(ended, whole, arrays),
                created_unix=created,
                writer=Writer(software=software, wire_version=wire),
            )
        except (ValueError, TypeError, sqlite3.Error) as error:
            raise StoreError(self.path, f"frame {run}/{seq} is damaged: {error}") from error

    def _insert(self, run: int, outcome: Outcome, created: float, writer: int) -> None:
        kind = kind_of(outcome)
        self._db.execute(
            "INSERT INTO outcomes (run, seq, outcome, writer, created_unix, header, boxes)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                run,
                outcome.envelope.seq,
                kind,
                writer,
                created,
                self._dictionaries.deflate(kind, pack_header(outcome)),
                pack_arrays(outcome),
            ),
        )

    def _has(self, run: int, seq: int) -> bool:
        found = self._db.execute("SELECT 1 FROM outcomes WHERE run = ? AND seq = ?", (run, seq))
        return found.fetchone() is not None

    def _number(self, names: tuple[str, str], values: tuple[str | int, ...]) -> int:
        """Return the number that stands for a run or a writer in the rows; new ones get one."""
        add, find = names
        self._db.execute(add, values)
        number: int = self._db.execute(find, values).fetchone()[0]
        return number

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # A dictionary remembered but not written would make later rows unreadable.
            self._dictionaries.forget()
            if self._db.in_transaction:  # not so if SQLite itself rolled back, as on a full disk
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn SQLite's errors into one that names the file."""
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(self.path, str(error)) from error
