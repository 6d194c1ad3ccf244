"""Headers, deflated against what they have in common.

The headers of a run are nearly equal: the same keys, the same parameters of the same stages.
The first header of each kind is therefore kept as the dictionary of the later ones, and a
million parents do not keep their parameters a million times: 100 bytes a header instead of 900.
"""

from __future__ import annotations

import sqlite3
import zlib

from .record import Kind

_LONGEST = 16_384
"""At most this much of a header serves as dictionary; deflate looks back 32 KiB."""


class Dictionaries:
    """The dictionaries of one store, each read once.

    Parameters
    ----------
    db
        The store. Its errors, `sqlite3.Error`, are not caught here.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[str, bytes] = {}

    def deflate(self, kind: Kind, header: bytes) -> bytes:
        """Shorten a header; the first of its kind becomes the dictionary."""
        dictionary = self._find(kind)
        if dictionary is None:
            dictionary = self._known[kind] = header[:_LONGEST]
            self._db.execute("INSERT INTO dictionaries VALUES (?, ?)", (kind, dictionary))
        # Raw deflate would save six bytes, but this stream carries a checksum.
        stream = zlib.compressobj(level=1, zdict=dictionary)
        return stream.compress(header) + stream.flush()

    def inflate(self, kind: Kind, blob: bytes) -> bytes:
        """Turn the bytes of `deflate` back.

        Raises
        ------
        ValueError
            If they are not such bytes, or their dictionary is missing.
        """
        dictionary = self._find(kind)
        if dictionary is None:
            raise ValueError(f"the dictionary of what was {kind} is missing")
        stream = zlib.decompressobj(zdict=dictionary)
        try:
            header = stream.decompress(blob)
        except zlib.error as error:
            raise ValueError(f"not a header: {error}") from error
        if not stream.eof:
            raise ValueError("not a header: cut short")
        return header

    def forget(self) -> None:
        """Read again from the store: a transaction that may have set one was undone."""
        self._known.clear()

    def _find(self, kind: Kind) -> bytes | None:
        if kind not in self._known:
            found = self._db.execute(
                "SELECT header FROM dictionaries WHERE outcome = ?", (kind,)
            ).fetchone()
            if found is None:
                return None
            self._known[kind] = found[0]
        return self._known[kind]
