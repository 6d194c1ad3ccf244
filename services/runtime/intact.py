"""Whether the files that a chain goes on with are whole, before anything is accepted on them.

SQLite notices a damaged page when it comes to read it, which may be hours later. So a chain that
starts has it look at each page first; a service that is started again later does not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from .disk import is_damage


class DamagedFile(Exception):
    """A ledger or store is damaged: which file, and what SQLite says."""


def check_whole(paths: Iterable[Path]) -> None:
    """Have SQLite look through these files, those that are not there left out.

    Raises
    ------
    DamagedFile
        Names the first that is damaged.
    """
    for path in paths:
        if path.exists() and (found := _damage(path)) is not None:
            raise DamagedFile(
                f"{path}: damaged: {found}; put back a copy, or choose another output folder"
            )


def _damage(path: Path) -> str | None:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            said = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        # Whatever else it is, who opens the file next meets it too, and says so.
        return str(error) if is_damage(error) else None
    return None if said == "ok" else " ".join(said.removeprefix("*** in database main ***").split())
