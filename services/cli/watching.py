"""`watch`: a folder that fills, as a microscope's program writes into it."""

from __future__ import annotations

import queue
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import msgspec
import typer

from services.account import Account, read_account
from services.runtime import exit_codes
from services.runtime.lock import ChainBusy, sole_writer
from services.runtime.places import Places
from services.runtime.process import log_into
from services.runtime.supervisor import ChainBroken

from . import compile_first
from .chain import parse_workers
from .options import Composition, Elements, Json, MaxPixels, Pictures, Stack, seconds
from .terminal import (
    account_line,
    complain,
    err,
    exit_status,
    fail,
    out,
    print_json,
    stop_on_signal,
)
from .wishes import Algorithm
from .write import write_results

if TYPE_CHECKING:
    from rich.status import Status

    from services.detectors.stacks import StackRule
    from services.files_run import FilesRun
    from services.folder_watch import FolderWatch
    from services.runtime.supervisor import Supervisor

SETTLE_S = 2.0
PATIENCE_S = 30.0


def watch(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR", help="Folders that fill.")],
    out_dir: Annotated[Path, typer.Option("--out", help="Where everything is written.")],
    settle: Annotated[
        float,
        typer.Option(
            help="Seconds without a change before a file is taken for whole.",
            callback=seconds,
            min=0,
        ),
    ] = SETTLE_S,
    patience: Annotated[
        float,
        typer.Option(
            help="Seconds without a change before a file that cannot be read has failed.",
            callback=seconds,
            min=0,
        ),
    ] = PATIENCE_S,
    poll: Annotated[
        int | None,
        typer.Option(
            help="For network shares, which do not tell of changes: ask every so many ms.",
            min=10,
            max=3_600_000,
        ),
    ] = None,
    workers: Annotated[
        list[str] | None,
        typer.Option("--workers", metavar="STAGE=N", help="Workers of a stage; may be repeated."),
    ] = None,
    together: Annotated[
        bool,
        typer.Option(
            "--together", help="Each worker takes an image through all stages: for few cores."
        ),
    ] = False,
    composition: Composition = None,
    n_elements: Elements = None,
    algorithm: Algorithm = None,
    recursive: Annotated[bool, typer.Option(help="Folders inside folders too.")] = False,
    max_pixels: MaxPixels = None,
    stack: Stack = "refuse",
    metadata: Annotated[Path | None, typer.Option(help="Table, as for run.")] = None,
    pictures: Pictures = 100,
    as_json: Json = False,
) -> None:
    """Take images from folders as they arrive, until Ctrl-C; then write where to scan.

    Each file is taken once, when it is whole, also after a restart. One that cannot be read is
    told, and tried again when it changes. `haadflow export OUT` writes the tables meanwhile.
    """
    for folder in folders:
        if not folder.is_dir():
            fail(
                f"{folder}: "
                + ("a file; `haadflow run` takes it" if folder.exists() else "no such folder")
            )
    from services.files_run import ALGORITHM, FilesRun

    asked = FilesRun(
        paths=folders,
        out=out_dir,
        recursive=recursive,
        metadata=metadata,
        composition=composition,
        n_elements=n_elements,
        algorithm=algorithm or ALGORITHM,
        workers=parse_workers(workers or []),
        together=together,
        max_pixels=max_pixels,
        stack=cast("StackRule", stack),
    )
    account = _carry_out(asked, pictures, settle_s=settle, patience_s=patience, poll_ms=poll)
    if as_json:
        print_json(msgspec.to_builtins(account) | {"closes": account.closes})
    else:
        out.print(account_line(account), soft_wrap=True)
        out.print(f"boxes.csv, frames.csv, summary.json and pictures are in {out_dir}")
    raise typer.Exit(exit_status(account))


def _carry_out(
    asked: FilesRun, pictures: int, *, settle_s: float, patience_s: float, poll_ms: int | None
) -> Account:
    from services.files_run import OtherRun, check_out
    from services.folder_watch import FolderWatch, open_ledger

    places = Places(asked.out)
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    try:
        check_out(asked)
        with sole_writer(places), log_into(places.supervisor_log, "watch"):
            open_ledger(asked, places)
            compile_first.say_and_compile(err)
            watcher = FolderWatch(
                asked,
                places,
                told.put,
                settle_s=settle_s,
                patience_s=patience_s,
                poll_ms=poll_ms,
            )
            _run(asked, places, watcher, told)
            write_results(places, pictures=pictures)
    except (OtherRun, ChainBusy, ValueError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or asked.out}: {error.strerror}", exit_codes.BROKEN)
    except ChainBroken as error:
        fail(str(error), exit_codes.BROKEN)
    return read_account(places)


def _run(
    asked: FilesRun, places: Places, watcher: FolderWatch, told: queue.SimpleQueue[str]
) -> None:
    """Watch until a signal, then finish what was taken; a second signal leaves it for later."""
    from services.files_run import chain_for
    from services.folder_watch import frames_open

    names = ", ".join(map(str, asked.paths))
    with (
        stop_on_signal() as stopped,
        chain_for(asked, places, until_drained=False) as supervisor,
        err.status(f"watching {names}") as line,
    ):
        with watcher.watching():
            while not stopped:
                if watcher.failure is not None:
                    raise watcher.failure
                _turn(supervisor, told, line, f"watching {names}")
        while left := frames_open(places):
            _turn(supervisor, told, line, f"finishing {left} images; Ctrl-C leaves them for later")


def _turn(supervisor: Supervisor, told: queue.SimpleQueue[str], line: Status, doing: str) -> None:
    supervisor.step(100)
    while not told.empty():
        complain(told.get())
    now = supervisor.status.current(time.monotonic())
    said = f"{doing}: located {now.located}, rejected {now.rejected}, failed {now.failed}"
    line.update(said + (", waiting: the disk is full" if now.waits_for_disk else ""))
