"""Compilation of the hot loops: one place that says how, so that every kernel is built alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile `function` to machine code at its first call, and keep the code on disk.

    No fast maths and no threads: results must not depend on the machine, and worker processes
    are how the system scales. The interpreter lock is released meanwhile. A kernel calls only
    kernels of its own file, because the cache on disk notices changes in that file alone.

    Parameters
    ----------
    function : callable
        Loops over numpy arrays and numbers, in the subset of Python that numba compiles.

    Returns
    -------
    callable
        Same signature.
    """
    kernel: Callable[P, R] = njit(cache=True, nogil=True, fastmath=False)(function)
    return kernel
