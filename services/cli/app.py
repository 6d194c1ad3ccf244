"""The command as a whole: its subcommands and how errors reach the terminal."""

from __future__ import annotations

import io
import signal
import sqlite3
import sys
from importlib import metadata
from typing import Annotated

import typer

from services.account import NoAccount
from services.results import StoreError
from services.runtime import exit_codes
from services.runtime.endpoints import AddressError
from services.runtime.intact import DamagedFile
from services.runtime.keys import KeysError
from services.runtime.ledger import LedgerError

from . import (
    bench,
    chain,
    controller,
    deadletter,
    evaluate,
    files,
    hold,
    keys,
    library,
    pva,
    send,
    simulating,
    warm,
    watching,
)
from .terminal import complain

app = typer.Typer(
    name="haadflow",
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(files.run)
app.command()(watching.watch)
app.command()(files.boxes)
app.command()(library.demo)
app.command()(library.emulate)
app.command()(evaluate.evaluate)
app.command()(files.verify)
app.command()(files.export)
app.add_typer(deadletter.app, name="deadletter")
app.command()(chain.up)
app.command()(chain.status)
app.command()(chain.scale)
app.command()(send.send)
app.command()(pva.pva)
app.command()(chain.down)
app.command()(chain.worker)
app.command()(chain.check)
app.command()(warm.warm)
app.command()(simulating.simulate)
app.command()(bench.bench)
app.command()(controller.controller)
app.command()(controller.feed)
app.add_typer(hold.app, name="hold")
app.add_typer(keys.app, name="keys")


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
    # As Ctrl-C: what is being written is cleaned up, and the exit status says so.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app()
    except KeyboardInterrupt:
        complain("interrupted")
        sys.exit(exit_codes.INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output, `head` perhaps, has seen enough.
        sys.stderr.close()
        sys.exit(exit_codes.OK)
    except (AddressError, KeysError) as error:
        complain(str(error))
        sys.exit(exit_codes.USAGE)
    except (DamagedFile, LedgerError, NoAccount, StoreError, sqlite3.Error) as error:
        complain(str(error))
        sys.exit(exit_codes.BROKEN)
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        sys.exit(exit_codes.BROKEN)
