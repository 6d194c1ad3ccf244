"""`warm`: compile ahead of work, as when a container's image is built."""

from __future__ import annotations

import typer

from services.runtime import exit_codes

from .compile_first import say_and_compile
from .terminal import err


def warm() -> None:
    """Compile the kernels and keep them on disk, as when an image is built; say where they are."""
    found = say_and_compile(err)
    if found.loaded:
        typer.echo(f"{found.loaded} kernels read from {', '.join(found.read_from)}")
    if found.kept:
        typer.echo(f"{found.kept} kernels compiled and kept in {found.kept_in}")
    if found.kept < found.compiled:
        raise typer.Exit(exit_codes.BROKEN)
    for note in found.notes:
        typer.echo(note)
