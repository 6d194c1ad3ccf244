"""Tables and pictures, with a progress bar."""

from __future__ import annotations

import os

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from services.account import read_account
from services.runtime.places import Places

from .terminal import err


def write_results(places: Places, *, pictures: int) -> None:
    """Write everything into the output folder."""
    from services.report import write_report

    account = read_account(places)
    total = account.located + account.rejected + account.failed
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("writing tables and pictures", total=total)

        def tell(done: int) -> None:
            drawing = done == total and pictures > 0
            description = "drawing pictures" if drawing else "writing tables"
            progress.update(task, completed=done, description=description)

        try:
            export = write_report(places, pictures=pictures, progress=tell)
        except OSError as error:
            if error.filename is not None:
                raise
            # Of what is written to an open file the system names none: a full disk, most often.
            raise OSError(error.errno, error.strerror, os.fspath(places.out)) from error
    for name, reason in export.skipped.items():
        err.print(f"{name} is not written: {reason}", markup=False)
