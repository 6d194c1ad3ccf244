"""Compilation of the hot loops: one place that says how, so that every kernel is built alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numba import njit
from numba.extending import intrinsic
from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")
Number = TypeVar("Number", bound=np.generic)


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
    kernel: Callable[P, R] = njit(cache=True, nogil=True, fastmath=False)(function)
    return kernel


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
