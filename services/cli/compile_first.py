"""Compile the kernels before the workers start, so that it happens once and not in each of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from pipeline import Kernels

COMPILING = "compiling the kernels (once, up to a minute)"


def say_and_compile_unless_kept(console: Console) -> None:
    """Warm the kernels' cache, unless a note beside them says that all are there."""
    from pipeline.warm_note import all_are_kept

    if not all_are_kept():
        say_and_compile(console)


@contextmanager
def say_while_compiling(console: Console) -> Iterator[None]:
    """Say that what takes so long is the kernels, unless a note says that all are there."""
    from pipeline.warm_note import all_are_kept

    if all_are_kept():
        yield
        return
    with console.status(COMPILING):
        yield


def say_and_compile(console: Console) -> Kernels:
    """Warm the kernels' cache, saying so if it takes noticeable time, or helps nobody."""
    with console.status(COMPILING):
        from pipeline import warm_up

        found = warm_up(refined=True)
    if found.kept < found.compiled:
        for note in found.notes:
            console.print(note, soft_wrap=True, markup=False, highlight=False)
        lost = found.compiled - found.kept
        console.print(f"{lost} kernels could not be kept: every process compiles its own")
    else:
        from pipeline.warm_note import note_that_all_are_kept

        note_that_all_are_kept()
    return found
