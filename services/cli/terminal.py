"""What the commands say, and how they end."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from services.account import Account
from services.runtime import exit_codes
from services.runtime.status import ChainStatus

REMARKS = 5
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def complain(text: str) -> None:
    """Say what is wrong, on standard error, without markup."""
    err.print(f"haadflow: {text}", style="red", markup=False, soft_wrap=True)


def remark(texts: list[str]) -> None:
    """Say what is not used, and does not stop anything; the first few, and how many more."""
    for text in texts[:REMARKS]:
        err.print(f"haadflow: {text}", style="yellow", markup=False, soft_wrap=True)
    if len(texts) > REMARKS:
        err.print(f"and {len(texts) - REMARKS} more; `haadflow check PATH` lists them all")


def fail(text: str, status: int = exit_codes.USAGE) -> NoReturn:
    """Say what is wrong and end."""
    complain(text)
    raise typer.Exit(status)


def print_json(figures: dict[str, Any]) -> None:
    """Print one JSON document for a program to read."""
    typer.echo(json.dumps(figures, indent=2, ensure_ascii=False))


def held(batches: int) -> str:
    """Say how many batches are held."""
    return "1 batch is held" if batches == 1 else f"{batches} batches are held"


def account_line(account: Account) -> str:
    """Return the account as one equation."""
    sign = "=" if account.closes else "!="
    line = (
        f"accepted {account.accepted} {sign} located {account.located} + rejected "
        f"{account.rejected} + failed {account.failed} + in flight {account.in_flight}"
    )
    if account.lost or account.unknown:
        line += f"; lost {account.lost}, unknown {account.unknown}"
    if (boxes := account.boxes) is not None:
        sign = "=" if boxes.closes else "!="
        line += (
            f"\nboxes {boxes.boxes} {sign} acquired {boxes.acquired} + rejected {boxes.rejected} "
            f"+ failed {boxes.failed} + open {boxes.open}"
        )
        if boxes.held:
            line += f"; {held(boxes.held)}, see `haadflow hold list`"
        if boxes.lost:
            line += f"; lost {boxes.lost}"
    return line


def exit_status(account: Account) -> int:
    """Return the exit status that says how a finished run went."""
    if not account.closes or account.in_flight:
        return exit_codes.NOT_CLOSED
    return exit_codes.SOME_FAILED if account.failed else exit_codes.OK


def status_table(status: ChainStatus, wanted: dict[str, int]) -> Table:
    """Return one row a stage."""
    table = Table(box=None, pad_edge=False)
    table.add_column("stage")
    for name in ("workers", "waiting", "in hand", "frames/s", "oldest s", "redelivered", "done"):
        table.add_column(name, justify="right")
    for stage in status.stages:
        table.add_row(
            stage.stage,
            f"{stage.workers}/{wanted.get(stage.stage, 0)}",
            str(stage.waiting),
            str(stage.leased),
            f"{stage.rate:.1f}",
            f"{stage.oldest_s:.1f}",
            str(stage.redelivered),
            str(stage.done),
        )
    return table


@contextmanager
def stop_on_signal() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in a list instead of raising; a second one raises."""
    caught: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    before = {n: signal.signal(n, on_signal) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
