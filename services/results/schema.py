"""The store's file: how it is made, recognised and opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from .errors import EmptyStore, StoreError

APPLICATION_ID = 0x48464652
"""`HFFR`, in the file's header: this is a haadflow result store."""

SCHEMA_VERSION = 2

_PATIENCE_S = 10.0
"""How long one connection waits for another's lock."""

_TABLES = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS runs (id INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS writers (
    id INTEGER PRIMARY KEY,
    software TEXT NOT NULL,
    wire_version INTEGER NOT NULL,
    UNIQUE (software, wire_version)
);
-- The first header of each kind, which the later ones are deflated against.
CREATE TABLE IF NOT EXISTS dictionaries (outcome TEXT PRIMARY KEY, header BLOB NOT NULL);
-- Kept in the same transaction as the outcomes: counting a million rows takes seconds.
CREATE TABLE IF NOT EXISTS counts (outcome TEXT PRIMARY KEY, frames INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS outcomes (
    run INTEGER NOT NULL REFERENCES runs (id),
    seq INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    writer INTEGER NOT NULL REFERENCES writers (id),
    created_unix REAL NOT NULL,
    header BLOB NOT NULL,
    boxes BLOB,
    PRIMARY KEY (run, seq)
);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""


def open_for_writing(path: Path, *, flushed: bool) -> sqlite3.Connection:
    """Open the store, making it if it is not there; what is `flushed` outlives a power failure.

    Raises
    ------
    StoreError
        If the file is not a store that this version can write.
    sqlite3.Error
        If SQLite cannot open it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None)
    try:
        if _is_new(db):
            # Before the tables: a page size holds from the first page on. A row is about
            # a kilobyte, of which the usual 4096-byte page would leave a quarter unused.
            db.execute("PRAGMA page_size = 8192")
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(_TABLES)
        _check(db, path)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {'FULL' if flushed else 'NORMAL'}")
    except BaseException:
        db.close()
        raise
    return db


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open an existing store without the right to change it.

    Raises
    ------
    StoreError
        If there is no store, or none that this version can read.
    sqlite3.Error
        If SQLite cannot open it.
    """
    if not path.is_file():
        raise StoreError(path, "there is no result store here")
    address = path.absolute().as_uri()
    try:
        return _open_checked(path, f"{address}?mode=ro")
    except sqlite3.OperationalError:
        # In WAL mode even reading needs files beside the store, which a folder without write
        # permission refuses. A store that was closed in order needs none of them.
        if path.with_name(path.name + "-wal").exists():
            raise
        return _open_checked(path, f"{address}?immutable=1")


def _open_checked(path: Path, address: str) -> sqlite3.Connection:
    db = sqlite3.connect(address, uri=True, timeout=_PATIENCE_S, isolation_level=None)
    try:
        if _is_new(db):
            raise EmptyStore(path, "is empty: nothing was ever stored here")
        _check(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _is_new(db: sqlite3.Connection) -> bool:
    """Tell whether nothing was written yet: a fresh file, or one whose making was killed."""
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    return tables == 0 and _pragma(db, "application_id") == 0


def _check(db: sqlite3.Connection, path: Path) -> None:
    if _pragma(db, "application_id") != APPLICATION_ID:
        raise StoreError(path, "is an SQLite file, but not a haadflow result store")
    version = _pragma(db, "user_version")
    if version != SCHEMA_VERSION:
        raise StoreError(
            path,
            f"has schema version {version}, this haadflow reads version {SCHEMA_VERSION};"
            " use the version of haadflow that wrote it",
        )


def _pragma(db: sqlite3.Connection, name: str) -> int:
    value: int = db.execute(f"PRAGMA {name}").fetchone()[0]
    return value
