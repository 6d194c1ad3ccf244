"""A controller's own memory: what it was offered, where the beam went, what became of it.

It is written to the disk before the beam goes anywhere, so that after a restart the truth about
every box can be told, and no operator need be asked. One process at a time has a journal.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
from msgspec import Struct

from protocols.messages import Batch, Receipt

from .controller import Box, Parent

APPLICATION_ID = 0x4846464A
"""`HFFJ`: the journal of a haadflow controller."""
_TABLES = """
BEGIN IMMEDIATE;
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE offers (
    number INTEGER PRIMARY KEY,     -- its grant
    run TEXT NOT NULL,
    seq INTEGER NOT NULL,
    begun INTEGER NOT NULL,         -- whether `Go` has come
    offer BLOB NOT NULL
);
-- Of each box the last that is known; it stays when the offer is over, so that none goes twice.
CREATE TABLE boxes (
    run TEXT NOT NULL,
    seq INTEGER NOT NULL,
    box_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    receipt BLOB,                   -- NULL from before the beam goes there until it is known
    PRIMARY KEY (run, seq, box_id)
) WITHOUT ROWID;
INSERT INTO about VALUES ('name', lower(hex(randomblob(16))));
PRAGMA application_id = 0x4846464a;
PRAGMA user_version = 1;
COMMIT;
"""


class JournalError(Exception):
    """A journal cannot be used: which file, and why."""


class Offer(Struct, frozen=True, kw_only=True):
    """What a batch says, as the adapter sees it."""

    grant: int
    parent: Parent
    boxes: tuple[Box, ...]
    """In the order of acquisition."""


class Before(NamedTuple):
    """What is known of a box from before."""

    grant: int
    receipt: Receipt | None
    """None: the beam may have been there, and nothing else is known."""


def offer_of(batch: Batch) -> Offer:
    """Take a batch in as parent and boxes."""
    rows = zip(
        batch.box_id.tolist(),
        batch.x_px.tolist(),
        batch.y_px.tolist(),
        batch.size_px.tolist(),
        batch.region.tolist(),
        batch.may_repeat.tolist(),
        strict=True,
    )
    return Offer(
        grant=batch.grant,
        parent=Parent(
            run=batch.run,
            seq=batch.seq,
            parent_id=batch.parent_id,
            source=batch.source,
            height=batch.parent_height or 0,
            width=batch.parent_width or 0,
            pixel_size_nm=batch.pixel_size_nm,
            scan_rotation_deg=batch.scan_rotation_deg,
        ),
        boxes=tuple(
            Box(box_id, x, y, size, region, may_repeat=bool(repeat))
            for box_id, x, y, size, region, repeat in rows
        ),
    )


class Journal:
    """One controller's journal; made when it is not there.

    Raises
    ------
    JournalError
        It is something else, or another process has it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = path.with_name(f"{path.name}.lock").open("ab")
        except OSError as error:
            raise JournalError(f"{path}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise JournalError(f"{path}: another controller has this journal") from error
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.executescript(_TABLES)
            self._db.execute("PRAGMA synchronous = FULL")
            kind = self._db.execute("PRAGMA application_id").fetchone()[0]
            if kind != APPLICATION_ID:
                raise JournalError(f"{path}: is an SQLite file, but no controller's journal")
            row = self._db.execute("SELECT value FROM about WHERE key = 'name'").fetchone()
        except (sqlite3.Error, JournalError) as error:
            self._lock.close()
            if isinstance(error, JournalError):
                raise
            raise JournalError(f"{path}: not a usable journal: {error}") from error
        self.name = str(row[0])
        """Drawn when it was begun."""

    def offered(self, offer: Offer) -> None:
        """Write an offer down; before it is asked for, so that none that is begun is unknown."""
        self._db.execute(
            "INSERT OR REPLACE INTO offers VALUES (?, ?, ?, 0, ?)",
            (offer.grant, offer.parent.run, offer.parent.seq, msgspec.msgpack.encode(offer)),
        )

    def begun(self, grant: int) -> None:
        """`Go` has come."""
        self._db.execute("UPDATE offers SET begun = 1 WHERE number = ?", (grant,))

    def over(self, grant: int) -> None:
        """Forget an offer of which the feed has noted everything, or that was withdrawn."""
        self._db.execute("DELETE FROM offers WHERE number = ?", (grant,))

    def find(self, grant: int) -> tuple[Offer, bool] | None:
        """Return an offer, and whether it had `Go`; None if it is unknown."""
        query = "SELECT offer, begun FROM offers WHERE number = ?"
        row = self._db.execute(query, (grant,)).fetchone()
        return None if row is None else (msgspec.msgpack.decode(row[0], type=Offer), bool(row[1]))

    def before(self, parent: Parent) -> dict[int, Before]:
        """Return by box_id what is known of a parent's boxes."""
        rows = self._db.execute(
            "SELECT box_id, number, receipt FROM boxes WHERE run = ? AND seq = ?",
            (parent.run, parent.seq),
        )
        return {
            box_id: Before(number, None if receipt is None else _receipts.decode(receipt))
            for box_id, number, receipt in rows
        }

    def aim(self, offer: Offer, boxes: Iterable[Box]) -> None:
        """Write down that the beam is about to go to these boxes."""
        self._db.executemany(
            "INSERT OR REPLACE INTO boxes VALUES (?, ?, ?, ?, NULL)",
            [(offer.parent.run, offer.parent.seq, box.box_id, offer.grant) for box in boxes],
        )

    def settle(self, offer: Offer, receipts: Sequence[Receipt]) -> None:
        """Write down what became of boxes."""
        self._db.executemany(
            "INSERT OR REPLACE INTO boxes VALUES (?, ?, ?, ?, ?)",
            [
                (offer.parent.run, offer.parent.seq, r.box_id, offer.grant, _encoder.encode(r))
                for r in receipts
            ],
        )

    def untouched(self, offer: Offer, box_ids: Iterable[int]) -> None:
        """Write down that the beam was not at these boxes after all."""
        self._db.executemany(
            "DELETE FROM boxes WHERE run = ? AND seq = ? AND box_id = ?",
            [(offer.parent.run, offer.parent.seq, box_id) for box_id in box_ids],
        )

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """All of it is on the disk together, and is waited for once."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close it, for another process to have."""
        self._db.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_encoder = msgspec.msgpack.Encoder()
_receipts = msgspec.msgpack.Decoder(Receipt)
