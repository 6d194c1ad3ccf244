"""Begin a controller's journal, and be killed before one of the statements that make it.

    python -m tests.helpers.killed_beginner JOURNAL NUMBER

ends with status 0 if there are fewer.
"""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

from services.controllers.journal import Journal


def begin(path: Path, number: int) -> None:
    """Begin a journal at `path`; the process does not outlive its statement `number`, from 1."""
    connect = sqlite3.connect
    told = itertools.count(1)

    def die(_statement: str) -> None:
        if next(told) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(*given: Any, **named: Any) -> sqlite3.Connection:  # noqa: ANN401
        made: sqlite3.Connection = connect(*given, **named)
        made.set_trace_callback(die)
        return made

    sqlite3.connect = watched  # type: ignore[assignment] # for this process only
    Journal(path).close()


if __name__ == "__main__":
    begin(Path(sys.argv[1]), int(sys.argv[2]))
