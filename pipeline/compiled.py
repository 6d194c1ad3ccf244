"""Compilation of the hot loops: one place that says how, so that every kernel is built alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numba import njit
from numba.extending import intrinsic
from numpy.typing import NDArray

from .kernel_cache import FOLDERS, NOTES, KernelCache

P = ParamSpec("P")
R = TypeVar("R")
Number = TypeVar("Number", bound=np.generic)
_KERNELS: list[Any] = []


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """Where this process has its compiled kernels from.

    Attributes
    ----------
    loaded, compiled
        How many were read from disk and how many had to be compiled, each for one combination of
        argument types.
    kept
        How many of the compiled ones are on disk now.
    read_from
        Folders that were looked into.
    kept_in
        Folder that takes what is compiled; None if nothing was, or if there is no such folder.
    notes
        Why a folder was not used, or did not help.
    """

    loaded: int
    compiled: int
    kept: int
    read_from: tuple[str, ...]
    kept_in: str | None
    notes: tuple[str, ...]


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` to machine code at its first call, and keep the code on disk.

    No fast maths and no threads: results must not depend on the machine, and worker processes
    are how the system scales. The interpreter lock is released meanwhile. A kernel calls only
    kernels of its own file and reads no constant of another, because the cache on disk notices
    changes in that file alone.

    Parameters
    ----------
    function : callable
        Loops over numpy arrays and numbers, in the subset of Python that numba compiles.

    Returns
    -------
    callable
        Same signature.
    """
    kernel: Any = njit(nogil=True, fastmath=False)(function)
    kernel._cache = KernelCache(function)
    _KERNELS.append(kernel)
    dispatcher: Callable[P, R] = kernel
    return dispatcher


def kernels() -> Kernels:
    """Say where the kernels that were called so far came from."""
    compiled_here = sum(sum(kernel.stats.cache_misses.values()) for kernel in _KERNELS)
    kept_in = FOLDERS.writable if compiled_here else None
    refused = [f"{folder} is not used: {reason}" for folder, reason in FOLDERS.refused.items()]
    return Kernels(
        loaded=sum(sum(kernel.stats.cache_hits.values()) for kernel in _KERNELS),
        compiled=compiled_here,
        kept=sum(kernel._cache.saved for kernel in _KERNELS),
        read_from=tuple(map(str, FOLDERS.readable)),
        kept_in=None if kept_in is None else str(kept_in),
        notes=(*refused, *NOTES),
    )


def emitted(define: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that kernels can call, whose LLVM code is written out by hand.

    Parameters
    ----------
    define : callable
        Takes numba's typing context and the arguments' types; returns the signature, and the
        function that emits the code.

    Returns
    -------
    callable
        Takes what the signature says; for kernels of the same file only.
    """
    function: Callable[..., Any] = intrinsic(define)
    return function


def read_only(array: NDArray[Number]) -> NDArray[Number]:
    """Return a C-contiguous, read-only view (a copy only where the layout needs one).

    Numba compiles a kernel anew for each layout and for arrays that may not be written to. What
    comes from a caller passes here first, so that one version serves all.
    """
    view = np.ascontiguousarray(array).view()
    view.setflags(write=False)
    return view
