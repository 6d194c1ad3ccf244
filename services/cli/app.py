"""The command as a whole: its subcommands and how errors reach the terminal."""

from __future__ import annotations

import io
import sys
from importlib import metadata
from typing import Annotated

import typer

from services.runtime import exit_codes

from . import chain, files, library, send
from .terminal import complain

app = typer.Typer(
    name="haadflow",
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(files.run)
app.command()(files.boxes)
app.command()(library.demo)
app.command()(library.emulate)
app.command()(files.verify)
app.command()(files.export)
app.command()(chain.up)
app.command()(chain.status)
app.command()(chain.scale)
app.command()(send.send)
app.command()(chain.down)
app.command()(chain.worker)
app.command()(chain.check)


@app.callback()
def about(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Decide, image by image, where an electron microscope should look next."""
    if version:
        typer.echo(f"haadflow {metadata.version('haadflow')}")
        raise typer.Exit


def main() -> None:
    """Run the command and exit with its status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name need not be UTF-8
    try:
        app()
    except KeyboardInterrupt:
        complain("interrupted")
        sys.exit(exit_codes.INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output, `head` perhaps, has seen enough.
        sys.stderr.close()
        sys.exit(exit_codes.OK)
