"""The source's ledger: every frame that was accepted, and which of them are closed.

SQLite in write-ahead mode. A frame is here before anyone is told that it was accepted; it is closed
when the coordinate sink says that its outcome is committed. What is open after a crash is sent
again. Transactions survive the death of the process. A power failure may take the last few with it
(synchronous=NORMAL) unless they are flushed: each (`flushed`, synchronous=FULL), or in batches, by
flushing `log` (services/runtime/durable.py).
"""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

import msgspec

from protocols.messages import Metadata, Setback

from .disk import is_damage

SCHEMA_VERSION = 4
_ADDED = {2: "replay_of INTEGER", 3: "image_checksum INTEGER"}
"""What the version behind each of these added to the table of frames."""
_BEFORE_REPLAYS = 2
LONGEST_NAME = 512
"""Characters of a parent_id, `protocols.bounds.ParentId`."""
_SCHEMA = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE frames (
    seq INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,       -- its name outside: a repeated offer changes nothing
    parent_id TEXT NOT NULL UNIQUE,
    metadata BLOB NOT NULL,         -- msgpack of protocols.messages.Metadata
    reference BLOB,                 -- a file to read again; NULL: it is in the spool
    accepted_unix REAL NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 1,
    outcome TEXT,                   -- NULL while open
    replay_of INTEGER,              -- the dead letter that this is another try at
    image_checksum INTEGER          -- NULL when not known
);
-- How often a parent_id was sent: the second one becomes `name#2`.
CREATE TABLE repeats (parent_id TEXT PRIMARY KEY, times INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX open_frames ON frames (seq) WHERE outcome IS NULL;
"""


class LedgerError(Exception):
    """The ledger cannot be used: which file, and why."""


class LedgerFrame(NamedTuple):
    """An accepted frame."""

    seq: int
    metadata: Metadata
    reference: str | None
    accepted_unix: float
    attempt: int
    setbacks: tuple[Setback, ...] = ()
    """What is known of the attempts before."""
    replay_of: str | None = None
    """The parent_id of the dead letter that this is another try at."""


class NewFrame(NamedTuple):
    """A frame to be accepted."""

    key: str
    metadata: Metadata
    reference: str | None
    replay_of: int | None = None
    """The dead letter that this is another try at."""
    image_checksum: int | None = None
    """Tells a repeated offer from another image under its number."""


class Ended(NamedTuple):
    """A frame as it is known where outcomes are kept."""

    seq: int
    metadata: Metadata
    accepted_unix: float
    attempt: int
    outcome: str


class Ledger:
    """One ledger file; made when it is not there.

    With `flushed`, what is accepted is on the disk. That a frame is closed need not be: it would
    be sent again, and the sink knows it.

    Raises
    ------
    LedgerError
        The file is not a ledger, or of a newer version.
    """

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool = False,
        flushed: bool = False,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self.log = path.with_name(f"{path.name}-wal")
        """Where SQLite appends transactions. Only this file may be opened beside SQLite: closing
        the other would drop the locks that this process has on it."""
        self._flushed = flushed
        self._wall_clock = wall_clock
        self._seen = 0
        if read_only and not path.exists():
            raise LedgerError(f"{path}: there is no ledger here")
        try:
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}",
                uri=True,
                isolation_level=None,
                timeout=30,
            )
            if not read_only:
                self._prepare()
            self._version = version = int(self.about("version") or 0)
            self.run = self.about("run") or ""
        except (sqlite3.Error, ValueError) as error:
            raise LedgerError(f"{path}: not a usable ledger: {error}") from error
        if version != SCHEMA_VERSION and not (read_only and version in _ADDED):
            raise LedgerError(
                f"{path}: ledger version {version}; this program reads {SCHEMA_VERSION}"
            )

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        if self._db.execute("SELECT 1 FROM sqlite_master WHERE name='frames'").fetchone():
            version = int(self.about("version") or 0)
            if version in _ADDED:
                self._db.execute("BEGIN IMMEDIATE")
                for before in range(version, SCHEMA_VERSION):
                    self._db.execute(f"ALTER TABLE frames ADD COLUMN {_ADDED[before]}")
                self._set("version", str(SCHEMA_VERSION))
                self._db.execute("COMMIT")
            return
        self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA}")
        self._set("version", str(SCHEMA_VERSION))
        self._set("run", uuid.uuid4().hex[:12])
        self._db.execute("COMMIT")

    def about(self, key: str) -> str | None:
        """Return a note kept with the ledger."""
        row = self._db.execute("SELECT value FROM about WHERE key=?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def note(self, key: str, value: str) -> None:
        """Keep a note with the ledger."""
        self._set(key, value)

    def forget_epochs(self) -> None:
        """Start a chain anew: the first epoch of each service is not a restart."""
        self._db.execute("DELETE FROM about WHERE key LIKE 'epoch of %'")

    def _set(self, key: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (key, value))

    def accept(
        self,
        frames: Iterable[NewFrame],
        *,
        keep_image: Callable[[str, LedgerFrame], None] | None = None,
        kept_images: Callable[[], None] = lambda: None,
    ) -> list[tuple[int, bool]]:
        """Write frames down in one transaction; return (seq, is new) of each.

        A key that is known keeps its frame and its sequence number. A parent_id that another frame
        has gets a number behind it, `name#2`. `keep_image(key, frame)` is called for each new
        frame, and then `kept_images()`, before anything is committed: when one raises, nothing was
        accepted.
        """
        answers: list[tuple[int, bool]] = []
        now = self._wall_clock()
        with self._on_disk(), self._transaction():
            next_seq = self.highest() + 1
            for key, metadata, reference, replay_of, image_checksum in frames:
                known = self._db.execute("SELECT seq FROM frames WHERE key=?", (key,)).fetchone()
                if known is not None:
                    answers.append((known[0], False))
                    continue
                known_as = self._told_apart(metadata)
                encoded = msgspec.msgpack.encode(known_as)
                self._db.execute(
                    "INSERT INTO frames (seq, key, parent_id, metadata, reference, accepted_unix,"
                    " replay_of, image_checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        next_seq,
                        key,
                        known_as.parent_id,
                        encoded,
                        _as_bytes(reference),
                        now,
                        replay_of,
                        image_checksum,
                    ),
                )
                if keep_image is not None:
                    keep_image(key, LedgerFrame(next_seq, known_as, reference, now, 1))
                answers.append((next_seq, True))
                next_seq += 1
            kept_images()
        return answers

    def _told_apart(self, metadata: Metadata) -> Metadata:
        name = metadata.parent_id
        while self._db.execute("SELECT 1 FROM frames WHERE parent_id=?", (name,)).fetchone():
            ((times,),) = self._db.execute(
                "INSERT INTO repeats VALUES (?, 2)"
                " ON CONFLICT (parent_id) DO UPDATE SET times = times + 1 RETURNING times",
                (metadata.parent_id,),
            )
            name = f"{metadata.parent_id[: LONGEST_NAME - 12]}#{times}"
        return msgspec.structs.replace(metadata, parent_id=name)

    def adopt(self, ended: Iterable[Ended]) -> int:
        """Write down frames that had been accepted, and have ended, and are not here any more.

        A power failure took the transactions in which they were; the sink's are there. Without this
        their numbers would be given to other frames. Return how many there were.
        """
        adopted = 0
        with self._transaction():
            for frame in ended:
                known_as = self._told_apart(frame.metadata)
                self._db.execute(
                    "INSERT INTO frames (seq, key, parent_id, metadata, accepted_unix, attempt,"
                    " outcome) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        frame.seq,
                        f"adopted:{frame.seq}",
                        known_as.parent_id,
                        msgspec.msgpack.encode(known_as),
                        frame.accepted_unix,
                        frame.attempt,
                        frame.outcome,
                    ),
                )
                adopted += 1
        return adopted

    def open_frames(self, after: int, limit: int) -> list[LedgerFrame]:
        """Return the next open frames behind a sequence number, in order."""
        with self._named():
            rows = self._db.execute(
                "SELECT seq, metadata, reference, accepted_unix, attempt, (SELECT parent_id"
                " FROM frames AS dead WHERE dead.seq = frames.replay_of) FROM frames"
                " WHERE outcome IS NULL AND seq > ? ORDER BY seq LIMIT ?",
                (after, limit),
            ).fetchall()
        return [
            LedgerFrame(
                seq,
                msgspec.msgpack.decode(meta, type=Metadata),
                _as_path(reference),
                unix,
                attempt,
                _of_earlier_sources(attempt - 1),
                replay_of,
            )
            for seq, meta, reference, unix, attempt, replay_of in rows
        ]

    def replays(self) -> dict[int, tuple[int, str | None]]:
        """Return of each dead letter that was replayed: (seq, outcome or None) of its replay."""
        if self._version <= _BEFORE_REPLAYS:
            return {}
        rows = self._db.execute(
            "SELECT replay_of, seq, outcome FROM frames WHERE replay_of IS NOT NULL ORDER BY seq"
        )
        return {replay_of: (seq, outcome) for replay_of, seq, outcome in rows}

    def last_of(self, path: str) -> tuple[str, int, str | None] | None:
        """Return (key, seq, outcome or None) of the last frame whose key is a path and a space on.

        That is how files are named: path, size, time of the last change.
        """
        with self._named():
            row = self._db.execute(
                "SELECT key, seq, outcome FROM frames WHERE key > ? AND key < ?"
                " ORDER BY seq DESC LIMIT 1",
                (f"{path} ", f"{path}!"),
            ).fetchone()
        return None if row is None else (str(row[0]), int(row[1]), row[2])

    def others_wrote(self) -> bool:
        """Say whether another connection has committed anything since this was asked last."""
        before = self._seen
        self._seen = int(self._db.execute("PRAGMA data_version").fetchone()[0])
        return self._seen != before

    def reference(self, seq: int) -> str | None:
        """Return the file that a frame was read from, if it came from one."""
        row = self._db.execute("SELECT reference FROM frames WHERE seq=?", (seq,)).fetchone()
        return None if row is None else _as_path(row[0])

    def metadata(self, seq: int) -> Metadata | None:
        """Return what a frame was accepted with; None if it is unknown."""
        row = self._db.execute("SELECT metadata FROM frames WHERE seq=?", (seq,)).fetchone()
        return None if row is None else msgspec.msgpack.decode(row[0], type=Metadata)

    def image_checksum(self, seq: int) -> int | None:
        """Return that of the image a frame was accepted with; None if it is not known."""
        row = self._db.execute("SELECT image_checksum FROM frames WHERE seq=?", (seq,)).fetchone()
        return None if row is None else row[0]

    def outcome(self, seq: int) -> str | None:
        """Return how a frame was closed; None while it is open, or unknown."""
        row = self._db.execute("SELECT outcome FROM frames WHERE seq=?", (seq,)).fetchone()
        return None if row is None else row[0]

    def close_frames(self, outcomes: Sequence[tuple[int, str]], *, sent_through: int) -> int:
        """Mark frames closed, and how far frames have been sent; return how many were open."""
        with self._transaction():
            closed = self._db.executemany(
                "UPDATE frames SET outcome=? WHERE seq=? AND outcome IS NULL",
                [(outcome, seq) for seq, outcome in outcomes],
            )
            self._set("sent_through", str(sent_through))
        return closed.rowcount

    def begin_again(self) -> None:
        """Count an attempt more for what an earlier source sent and did not see closed."""
        with self._named():
            self._db.execute(
                "UPDATE frames SET attempt = attempt + 1 WHERE outcome IS NULL AND seq <= ?",
                (int(self.about("sent_through") or -1),),
            )

    def accepted(self) -> int:
        """Count all frames ever accepted."""
        return self._number("SELECT count(*) FROM frames")

    def open_count(self) -> int:
        """Count the frames that are not closed."""
        return self._number("SELECT count(*) FROM frames WHERE outcome IS NULL")

    def oldest_open_unix(self) -> float | None:
        """Return when the open frame with the lowest number was accepted; None if none is open."""
        query = "SELECT accepted_unix FROM frames WHERE outcome IS NULL ORDER BY seq LIMIT 1"
        row = self._db.execute(query).fetchone()
        return None if row is None else float(row[0])

    def highest(self) -> int:
        """Return the highest sequence number; -1 when there is none."""
        return self._number("SELECT ifnull(max(seq), -1) FROM frames")

    def outcomes(self) -> Generator[tuple[int, str | None], None, None]:
        """Stream (seq, outcome or None) in order: the ledger's half of the account."""
        with self._named():
            yield from self._db.execute("SELECT seq, outcome FROM frames ORDER BY seq")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        """Flush the transaction within, if that is wanted."""
        if not self._flushed:
            yield
            return
        self._db.execute("PRAGMA synchronous=FULL")
        try:
            yield
        finally:
            self._db.execute("PRAGMA synchronous=NORMAL")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of it or nothing."""
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
    def _named(self) -> Iterator[None]:
        """Name the file if it turns out to be damaged; all other errors are left as they are."""
        try:
            yield
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            raise LedgerError(f"{self.path}: damaged: {error}") from error

    def _number(self, query: str) -> int:
        with self._named():
            return int(self._db.execute(query).fetchone()[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _of_earlier_sources(attempts: int) -> tuple[Setback, ...]:
    if not attempts:
        return ()
    how = "sent again: the source was started again"
    return (Setback(stage="source", how=how if attempts == 1 else f"{how} ({attempts} times)"),)


def _as_bytes(reference: str | None) -> bytes | None:
    # A file's name is bytes, and need not be UTF-8.
    return None if reference is None else os.fsencode(reference)


def _as_path(reference: bytes | None) -> str | None:
    return None if reference is None else os.fsdecode(reference)
