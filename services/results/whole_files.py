"""Files that appear whole or not at all, several of them together."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

_SUFFIX = ".partial"


class WholeFiles:
    """A set of files in one folder: all take their names together, at the end.

    Until then each is written under a hidden name beside its place, on the same file system, so
    that taking the name is one step of the operating system. If anything fails, the folder
    stays as it was. What a killed process left behind is removed by the next one.

    Parameters
    ----------
    folder
        Where the files go; made if absent.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, BinaryIO] = {}
        self._gone: list[Path] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(self._folder)
        return self

    def open(self, name: str) -> BinaryIO:
        """Begin the file that will be called `name`."""
        file = self._partial(name).open("wb", buffering=1 << 20)
        self._files[self._folder / name] = self._stack.enter_context(file)
        return file

    def remove(self, name: str) -> None:
        """Let no file of this name be left at the end: an older one would not fit the others."""
        self._gone.append(self._folder / name)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                for file in self._files.values():
                    file.flush()
                    os.fsync(file.fileno())
                self._stack.close()
                for path in self._files:
                    self._partial(path.name).replace(path)
                for path in self._gone:
                    path.unlink(missing_ok=True)
        finally:
            with suppress(OSError):  # flushing what is thrown away may fail as the writing did
                self._stack.close()
            for path in self._files:
                self._partial(path.name).unlink(missing_ok=True)

    def _partial(self, name: str) -> Path:
        return self._folder / f".{name}.{os.getpid()}{_SUFFIX}"


def write_whole(path: Path, content: bytes) -> None:
    """Write one file, whole or not at all."""
    with WholeFiles(path.parent) as files:
        files.open(path.name).write(content)


def _remove_leftovers(folder: Path) -> None:
    for path in folder.glob(f".*{_SUFFIX}"):
        writer = path.name.removesuffix(_SUFFIX).rpartition(".")[2]
        if writer.isdecimal() and not _is_alive(int(writer)):
            path.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
