"""A full disk ends nothing: what cannot be written yet is kept and tried again."""

from __future__ import annotations

import errno
import sqlite3
from typing import TextIO

AGAIN_S = 0.5
"""Between two tries to write what the disk did not take."""
DAMAGED_SQLITE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_ROOM_SQLITE = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})


def is_full(error: BaseException) -> bool:
    """Say whether a disk, or a quota, that takes no more is the cause of an error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _NO_ROOM:
            return True
        if isinstance(cause, sqlite3.Error):
            return getattr(cause, "sqlite_errorcode", None) in _NO_ROOM_SQLITE
        cause = cause.__cause__
    return False


def is_damage(error: BaseException) -> bool:
    """Say whether an SQLite file that is damaged, or is none, is the cause of an error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, sqlite3.Error):
            return getattr(cause, "sqlite_errorcode", 0) & 0xFF in DAMAGED_SQLITE
        cause = cause.__cause__
    return False


class LossyLog:
    """A text file for log lines; what a full disk does not take is dropped."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Write, or not."""
        try:
            self._file.write(text)
        except OSError as error:
            if not is_full(error):
                raise

    def flush(self) -> None:
        """Flush, or not."""
        try:
            self._file.flush()
        except OSError as error:
            if not is_full(error):
                raise
