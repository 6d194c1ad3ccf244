"""Compiled kernels on disk, also where the package cannot be written to.

numba reads only from a folder it can write to, and refuses to import a module if there is none.
Here each kernel is looked for in several folders, as in one baked into a container's image, and
what is compiled goes into the first that takes it. Nothing that is wrong with a folder stops the
work: then the kernel is compiled for this process alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    _Cache,
    _CacheLocator,
    _SourceFileBackedLocatorMixin,
)

from .cache_folders import CacheFolders

FOLDERS = CacheFolders(Path(__file__).resolve().parent, os.environ, os.geteuid())
"""Of this process."""
NOTES: dict[str, None] = {}
"""What was found in the way, once each, in order."""


class KernelCache(_Cache):
    """What numba asks for a kernel's machine code, and gives it to.

    Parameters
    ----------
    kernel
        The Python function.
    folders
        Where to look and keep.
    """

    def __init__(self, kernel: Callable[..., Any], folders: CacheFolders = FOLDERS) -> None:
        self._kernel = kernel
        self._folders = folders
        self._enabled = True
        self.saved = 0

    @property
    def cache_path(self) -> str | None:
        """The folder that is looked into first."""
        return next(map(str, self._folders.readable), None)

    def load_overload(self, sig: Any, target_context: Any) -> Any:  # noqa: ANN401 - numba's own
        """Return the compiled kernel for a signature; None if no folder has it."""
        for folder, layer in self._layers.items() if self._enabled else ():
            try:
                found = layer.load_overload(sig, target_context)
                if found is not None:
                    return found
                self._note_other_cpu(folder, layer, sig, target_context)
            except Exception as error:  # noqa: BLE001 - reading a damaged file can raise anything
                NOTES[f"{folder}: {self._kernel.__name__}: {type(error).__name__}: {error}"] = None
        return None

    def save_overload(self, sig: Any, data: Any) -> None:  # noqa: ANN401 - numba's own
        """Keep a compiled kernel, if there is where."""
        folder = self._folders.writable if self._enabled else None
        if folder is None:
            return
        layer = _layer(folder)(self._kernel)
        try:
            with _alone_in(folder):
                try:
                    layer.save_overload(sig, data)
                except OSError:
                    raise
                except Exception:  # noqa: BLE001 - a damaged index; begin a new one
                    layer.flush()
                    layer.save_overload(sig, data)
            self.saved += 1
        except OSError as error:
            NOTES[f"{folder}: {error.strerror}"] = None

    def enable(self) -> None:
        """Look and keep."""
        self._enabled = True

    def disable(self) -> None:
        """Neither look nor keep."""
        self._enabled = False

    def flush(self) -> None:
        """Forget what is kept in the folder that is written to."""
        folder = self._folders.writable
        if folder is not None:
            with contextlib.suppress(OSError), _alone_in(folder):
                _layer(folder)(self._kernel).flush()

    @cached_property
    def _layers(self) -> dict[Path, Any]:
        return {folder: _layer(folder)(self._kernel) for folder in self._folders.readable}

    def _note_other_cpu(self, folder: Path, layer: Any, sig: Any, target_context: Any) -> None:  # noqa: ANN401
        _, (_, here, _), _ = layer._index_key(sig, target_context.codegen())
        for kept, (_, cpu, _), _ in layer._cache_file._load_index():
            if kept == sig:
                what = f"CPU {cpu}" if cpu != here else "the same CPU with other features"
                NOTES[f"{folder} has kernels for {what}; this is {here}"] = None


@cache
def _layer(folder: Path) -> Any:  # noqa: ANN401 - a class of numba's
    """Return numba's cache of a function, held to a folder."""

    class Locator(_SourceFileBackedLocatorMixin, _CacheLocator):
        def __init__(self, function: Callable[..., Any], file: str) -> None:
            self._py_file = file
            self._lineno = function.__code__.co_firstlineno

        @classmethod
        def from_function(cls, py_func: Callable[..., Any], py_file: str) -> Locator:
            return cls(py_func, py_file)

        def get_cache_path(self) -> str:
            return str(folder)

        def ensure_cache_path(self) -> None:
            """Nothing to do: it has been made, or is only read from."""

        def get_source_stamp(self) -> bytes:
            # Earlier versions of numba take the time of change, which copying an image alters.
            return _digest(self._py_file)

    class Impl(CompileResultCacheImpl):
        def __init__(self, function: Callable[..., Any]) -> None:
            self._locator_classes = [Locator]
            super().__init__(function)  # type: ignore[no-untyped-call] # numba has few types

    class Layer(FunctionCache):
        _impl_class = Impl

    return Layer


@cache
def _digest(file: str) -> bytes:
    return hashlib.sha256(Path(file).read_bytes()).digest()


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Let one process at a time write, with files that others cannot write to.

    Two that compile at once would overwrite each other's index, and take the same name for the code
    of different signatures.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    usual = os.umask(0o077)
    os.umask(usual | 0o022)
    try:
        with contextlib.suppress(OSError):  # not every network file system can
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.umask(usual)
        os.close(handle)
