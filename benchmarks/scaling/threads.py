"""Processor time of single threads, as Linux counts it, and on which cores they run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Set
from pathlib import Path

IO = "ZMQbg/IO"
"""How ZeroMQ calls its thread for sockets."""


def seconds(pid: int) -> dict[str, float]:
    """Return the processor seconds of a process: `main`, `io` (ZeroMQ's), and `other` threads."""
    found = {"main": 0.0, "io": 0.0, "other": 0.0}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            used = int((task / "schedstat").read_text(encoding="ascii").split()[0]) / 1e9
            name = (task / "comm").read_text(encoding="utf-8", errors="replace")
            which = "main" if task.name == str(pid) else "io" if name.startswith(IO) else "other"
            found[which] += used
    return found


def written_bytes(pid: int) -> int:
    """Return the bytes a process has passed to write()."""
    for entry in Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines():
        key, _, value = entry.partition(": ")
        if key == "wchar":
            return int(value)
    raise ValueError(f"/proc/{pid}/io: no wchar")


def hold_to(pids: Iterable[int], cores: Set[int]) -> None:
    """Let all threads of these processes run on these cores only; what they start inherits it."""
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), cores)
