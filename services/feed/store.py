"""The feed's file: one row a batch, who had which offer, what came late, what happened.

SQLite in write-ahead mode, beside the result store. `synchronous=FULL`: that a batch was begun is
on the disk before its controller hears `Go`, so that a power failure makes no box be acquired
twice. The feed writes, and `haadflow hold` does; each change is one transaction that begins with
what is there then.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

from services.runtime.disk import is_damage
from services.runtime.intact import DamagedFile

from .entry import Entry, State, unpack

APPLICATION_ID = 0x48464646
"""`HFFF`: a haadflow feed."""
VERSION = 1
_PATIENCE_S = 30.0
_PAGE = 256
_READ_SUMS = "SELECT state, batches, boxes, acquired, rejected, failed FROM sums"
_TABLES = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS batches (
    place INTEGER PRIMARY KEY,      -- of the outcome in the result store
    run TEXT NOT NULL,
    seq INTEGER NOT NULL,
    parent_id TEXT NOT NULL,
    state TEXT NOT NULL,
    session TEXT NOT NULL,
    journal TEXT,
    boxes INTEGER NOT NULL,
    acquired INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    entry BLOB NOT NULL,            -- services/feed/entry.py
    UNIQUE (run, seq)
);
CREATE INDEX IF NOT EXISTS by_state ON batches (state, place);
CREATE INDEX IF NOT EXISTS names ON batches (parent_id);
-- Numbers every offer, for good.
CREATE TABLE IF NOT EXISTS grants (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    place INTEGER NOT NULL,
    controller TEXT NOT NULL,
    session TEXT NOT NULL,
    journal TEXT
);
-- Receipts that differ from the one that a box has already.
CREATE TABLE IF NOT EXISTS late (
    place INTEGER NOT NULL, box_id INTEGER NOT NULL, number INTEGER NOT NULL, status TEXT NOT NULL,
    reason TEXT NOT NULL, controller TEXT NOT NULL, unix REAL NOT NULL,
    PRIMARY KEY (place, box_id, number, status)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history (place INTEGER NOT NULL, unix REAL NOT NULL, what TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS history_of ON history (place);
-- Kept with each change: counting a million rows takes seconds.
CREATE TABLE IF NOT EXISTS sums (
    state TEXT PRIMARY KEY, batches INTEGER NOT NULL, boxes INTEGER NOT NULL,
    acquired INTEGER NOT NULL, rejected INTEGER NOT NULL, failed INTEGER NOT NULL
);
INSERT INTO sums VALUES ('waiting', 0, 0, 0, 0, 0), ('offered', 0, 0, 0, 0, 0),
    ('started', 0, 0, 0, 0, 0), ('held', 0, 0, 0, 0, 0), ('done', 0, 0, 0, 0, 0);
CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON batches BEGIN
    UPDATE sums SET batches = batches + 1, boxes = boxes + NEW.boxes,
        acquired = acquired + NEW.acquired, rejected = rejected + NEW.rejected,
        failed = failed + NEW.failed WHERE state = NEW.state;
END;
CREATE TRIGGER IF NOT EXISTS changed AFTER UPDATE ON batches BEGIN
    UPDATE sums SET batches = batches - 1, boxes = boxes - OLD.boxes,
        acquired = acquired - OLD.acquired, rejected = rejected - OLD.rejected,
        failed = failed - OLD.failed WHERE state = OLD.state;
    UPDATE sums SET batches = batches + 1, boxes = boxes + NEW.boxes,
        acquired = acquired + NEW.acquired, rejected = rejected + NEW.rejected,
        failed = failed + NEW.failed WHERE state = NEW.state;
END;
PRAGMA application_id = 0x48464646;
PRAGMA user_version = 1;
COMMIT;
"""


class FeedError(DamagedFile):
    """The feed's file cannot be used: which, and why."""


class EmptyFeed(FeedError):
    """Nothing was ever written there: a feed is about to."""


class Sums(NamedTuple):
    """The batches in one state: how many, their boxes, and how many have which receipt."""

    batches: int = 0
    boxes: int = 0
    acquired: int = 0
    rejected: int = 0
    failed: int = 0


class Granted(NamedTuple):
    """To whom an offer was made."""

    place: int
    controller: str
    session: str
    journal: str | None


class FeedStore:
    """One feed's file; made when it is not there, unless it is opened for reading.

    Raises
    ------
    FeedError
        The file is something else, of a newer version, damaged or, for reading, absent.
    """

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool = False,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self.wall_clock = wall_clock
        self._seen: int | None = None
        if read_only and not path.exists():
            raise FeedError(f"{path}: there was no feed here")
        mode = "ro" if read_only else "rwc"
        try:
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True,
                isolation_level=None,
                timeout=_PATIENCE_S,
            )
            if not read_only:
                self._prepare()
            known = self._pragma("application_id"), self._pragma("user_version")
        except sqlite3.Error as error:
            raise FeedError(f"{path}: not a usable feed: {error}") from error
        if known != (APPLICATION_ID, VERSION):
            self._db.close()
            if known == (0, 0):
                raise EmptyFeed(f"{path}: is being made")
            raise FeedError(f"{path}: not a feed of version {VERSION}")

    def _prepare(self) -> None:
        if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(_TABLES)
        self._db.execute("PRAGMA synchronous = FULL")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing; what is inside sees nobody else's change."""
        with self._named():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # not so if SQLite itself rolled back: a full disk
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def still(self) -> Iterator[None]:
        """Read the file as it is now, whatever is written meanwhile."""
        with self._named():
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("ROLLBACK")

    def others_wrote(self) -> bool:
        """Say whether another connection has committed anything since this was asked last."""
        before, self._seen = self._seen, self._pragma("data_version")
        return self._seen != before

    def highest_place(self) -> int:
        """Return the place of the outcome that was taken in last; 0 before the first."""
        found = self._db.execute("SELECT ifnull(max(place), 0) FROM batches").fetchone()
        return int(found[0])

    def put(self, entry: Entry) -> None:
        """Write a batch, new or changed."""
        counts = entry.receipts_by_status()
        self._db.execute(
            "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (place) DO UPDATE SET state = excluded.state,"
            " session = excluded.session, journal = excluded.journal,"
            " acquired = excluded.acquired, rejected = excluded.rejected,"
            " failed = excluded.failed, entry = excluded.entry",
            (
                entry.place,
                entry.run,
                entry.seq,
                entry.parent_id,
                entry.state,
                entry.session,
                entry.journal,
                entry.n_boxes,
                counts["acquired"],
                counts["rejected"],
                counts["failed"],
                entry.pack(),
            ),
        )

    def of_frame(self, run: str, seq: int) -> Entry | None:
        """Return the batch of a frame."""
        return self._first("SELECT entry FROM batches WHERE run = ? AND seq = ?", run, seq)

    def named(self, name: str) -> list[Entry]:
        """Return the batches of a frame's number, or of a parent_id."""
        query = "SELECT entry FROM batches WHERE parent_id = ?"
        found = list(self._all(query, name))
        if not found and name.isdecimal() and int(name) < 2**63:
            found = list(self._all("SELECT entry FROM batches WHERE seq = ?", int(name)))
        return found

    def waiting(self, limit: int, behind: int = 0) -> list[Entry]:
        """Return the first batches behind a place that nobody has, in the order of commits."""
        query = (
            "SELECT entry FROM batches WHERE state = 'waiting' AND place > ? ORDER BY place LIMIT ?"
        )
        return list(self._all(query, behind, limit))

    def in_state(self, state: State) -> Iterator[Entry]:
        """Go through the batches of one state, in the order of commits."""
        last = 0
        query = "SELECT entry FROM batches WHERE state = ? AND place > ? ORDER BY place LIMIT ?"
        while page := list(self._all(query, state, last, _PAGE)):
            yield from page
            last = page[-1].place

    def count_with(self, session: str) -> int:
        """Count the batches that a session has and that are not done."""
        with self._named():
            found = self._db.execute(
                "SELECT count(*) FROM batches WHERE state IN ('offered', 'started')"
                " AND session = ?",
                (session,),
            )
            return int(found.fetchone()[0])

    def with_session(self, session: str) -> list[Entry]:
        """Return the batches that a session has or had last, and that are open."""
        query = (
            "SELECT entry FROM batches WHERE state IN ('offered', 'started', 'held')"
            " AND session = ? ORDER BY place"
        )
        return list(self._all(query, session))

    def with_journal(self, journal: str) -> list[Entry]:
        """Return the batches that are known to a journal, and in doubt."""
        query = (
            "SELECT entry FROM batches WHERE state IN ('offered', 'started', 'held')"
            " AND journal = ? ORDER BY place"
        )
        return list(self._all(query, journal))

    def new_grant(self, place: int, controller: str, session: str, journal: str | None) -> int:
        """Give an offer a number, for good."""
        added = self._db.execute(
            "INSERT INTO grants (place, controller, session, journal) VALUES (?, ?, ?, ?)",
            (place, controller, session, journal),
        )
        assert added.lastrowid is not None  # noqa: S101 - of an INSERT it is there
        return added.lastrowid

    def granted(self, number: int) -> Granted | None:
        """Return to whom an offer was made; None if there was none of that number."""
        query = "SELECT place, controller, session, journal FROM grants WHERE number = ?"
        row = self._db.execute(query, (number,)).fetchone()
        return None if row is None else Granted(*row)

    def came_late(self, place: int, box_id: int, number: int, said: tuple[str, str, str]) -> bool:
        """Keep (status, reason, controller) beside the receipt that a box has; False if known."""
        added = self._db.execute(
            "INSERT OR IGNORE INTO late VALUES (?, ?, ?, ?, ?, ?, ?)",
            (place, box_id, number, *said, self.wall_clock()),
        )
        return added.rowcount > 0

    def late(self) -> int:
        """Count the receipts that differ from the one that their box has already."""
        return int(self._db.execute("SELECT count(*) FROM late").fetchone()[0])

    def note(self, place: int, what: str) -> None:
        """Write down what happened to a batch."""
        self._db.execute("INSERT INTO history VALUES (?, ?, ?)", (place, self.wall_clock(), what))

    def history(self, place: int) -> list[tuple[float, str]]:
        """Return (seconds since 1970-01-01 UTC, what happened) of a batch, oldest first."""
        query = "SELECT unix, what FROM history WHERE place = ? ORDER BY rowid"
        return [(unix, what) for unix, what in self._db.execute(query, (place,))]

    def sums(self) -> dict[State, Sums]:
        """Count batches, boxes and receipts by state, in the same time however many there are."""
        with self._named():
            rows = self._db.execute(_READ_SUMS)
            return {state: Sums(*counts) for state, *counts in rows}

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _first(self, query: str, *values: str | int) -> Entry | None:
        return next(self._all(query, *values), None)

    def _all(self, query: str, *values: str | int) -> Iterator[Entry]:
        with self._named():
            rows = self._db.execute(query, values).fetchall()
        for (entry,) in rows:
            try:
                yield unpack(entry)
            except ValueError as error:
                raise FeedError(f"{self.path}: damaged: {error}") from error

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Name the file if it turns out to be damaged; all other errors are left as they are."""
        try:
            yield
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            raise FeedError(f"{self.path}: damaged: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
