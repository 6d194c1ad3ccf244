"""Files of lines that a kill, a full disk or a power failure leaves readable."""

from __future__ import annotations

import errno
import os
from pathlib import Path

BLOCK = 65536


def append_line(path: Path, line: bytes) -> None:
    """Append a line in one call, so that a kill leaves all of it or nothing.

    It is on the disk when this returns. What stands behind the last line feed is the beginning of a
    line that was never whole: it is cut off first, or it would be glued to this one, both lost.

    Raises
    ------
    OSError
        It cannot be written; nothing of it is left.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        end = _whole_end(file)
        if end < os.fstat(file).st_size:
            os.ftruncate(file, end)
        data = line + b"\n"
        if os.write(file, data) != len(data):
            os.ftruncate(file, end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(file)
    finally:
        os.close(file)


def end_of(path: Path) -> int:
    """Return where the next line will begin, in bytes from the start."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return _whole_end(file.fileno())


def whole_lines(path: Path) -> list[bytes]:
    """Return the lines that were written to their end; none if there is no file."""
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def _whole_end(file: int) -> int:
    """Return where the last whole line ends."""
    end = os.fstat(file).st_size
    while end:
        start = max(0, end - BLOCK)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
