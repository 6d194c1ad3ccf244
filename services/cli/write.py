"""Tables and pictures, with a progress bar."""

from __future__ import annotations

import os
from typing import Any

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from services.account import read_account
from services.runtime import exit_codes
from services.runtime.places import Places

from .terminal import err, fail, out, stop_on_signal


def write_results(places: Places, *, pictures: int) -> None:
    """Write everything into the output folder."""
    from services.report import write_report

    account = read_account(places)
    total = account.located + account.rejected + account.failed
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with (
        # a stop is heard between two pictures: raised anywhere, an import may swallow it
        stop_on_signal() as stopped,
        Progress(*columns, console=err, transient=True) as progress,
    ):
        task = progress.add_task("writing tables and pictures", total=total)

        def tell(what: str, done: int) -> None:
            if stopped:
                raise KeyboardInterrupt
            of = total if what != "drawing pictures" else min(pictures, total)
            progress.update(task, completed=done, total=of, description=what)

        try:
            export = write_report(places, pictures=pictures, progress=tell)
        except OSError as error:
            if error.filename is not None:
                raise
            # Of what is written to an open file the system names none: a full disk, most often.
            raise OSError(error.errno, error.strerror, os.fspath(places.out)) from error
    for name, reason in export.skipped.items():
        err.print(f"{name} is not written: {reason}", markup=False)


def write_for_instrument(places: Places, *, grid: str | None, **asked: Any) -> None:  # noqa: ANN401
    """Write the boxes in an instrument's dialect, and say what could not be said in it."""
    from services.controllers.dialects import Request
    from services.instrument_files import write_instrument_files

    try:
        size = {} if grid is None else _grid(grid)
        request = msgspec.convert(asked | size, Request)
    except ValueError as error:
        fail(f"--dialect: {error}")
    written = write_instrument_files(places, request)
    refused = [batch for batch in written.batches if batch.refused is not None]
    for batch in refused:
        err.print(f"{batch.parent_id}: not written: {batch.refused}", markup=False)
    boxes = sum(batch.n_boxes for batch in written.batches if batch.refused is None)
    folder = places.out / "instrument" / request.dialect
    out.print(
        f"{boxes} boxes of {len(written.batches) - len(refused)} parent images in {folder}",
        markup=False,
        soft_wrap=True,
    )
    if refused:
        raise typer.Exit(exit_codes.SOME_FAILED)


def _grid(text: str) -> dict[str, int]:
    columns, _, rows = text.partition("x")
    if not (columns.isdecimal() and rows.isdecimal()):
        raise ValueError(f"grid {text!r:.80}; expected COLUMNSxROWS, such as 512x512")
    return {"columns": int(columns), "rows": int(rows)}
