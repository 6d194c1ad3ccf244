"""`hold`: batches that may have been under a beam when their controller was lost."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from services.runtime import exit_codes
from services.runtime.places import Places

from .options import Json
from .terminal import complain, fail, out, print_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from services.feed.batches import Batches
    from services.feed.entry import Entry
    from services.feed.store import FeedStore

app = typer.Typer(
    no_args_is_help=True,
    help="Batches that may have been under a beam when their controller was lost.",
)

Folder = Annotated[Path, typer.Argument(help="What a run or a chain writes, or wrote, into.")]
Which = Annotated[
    list[str] | None,
    typer.Argument(metavar="[BATCH]...", help="Their frames' numbers, or parent_ids."),
]
Every = Annotated[bool, typer.Option("--all", help="All that are held.")]


@app.command("list")
def list_all(folder: Folder, as_json: Json = False) -> None:
    """List what is held: with whom it was, why, and which boxes are in doubt."""
    with _opened(folder) as store:
        held = list(store.in_state("held"))
        rows = [_row(store, entry) for entry in held]
    if as_json:
        print_json({"held": rows})
        return
    if not held:
        out.print("nothing is held")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("batch", "parent_id", "boxes", "done", "in doubt", "since", "why"):
        table.add_column(name, justify="right" if name in {"boxes", "done", "in doubt"} else "left")
    for entry in held:
        cells = (
            str(entry.seq),
            entry.parent_id,
            str(entry.n_boxes),
            str(len(entry.receipts)),
            str(len(entry.doubtful)),
            _time(entry.since_unix),
            entry.why,
        )
        table.add_row(*(escape(cell) for cell in cells))
    out.print(table)
    out.print(
        "`haadflow hold release` offers the rest again, --repeat also what is in doubt; "
        "`haadflow hold drop` leaves it"
    )


@app.command()
def release(
    folder: Folder,
    which: Which = None,
    every: Every = False,
    repeat: Annotated[
        bool,
        typer.Option("--repeat", help="What is in doubt too: the beam may go there a second time."),
    ] = False,
) -> None:
    """Let held batches be offered again.

    Boxes in doubt get the receipt `failed`, unless --repeat is said. Of a batch that is done, the
    boxes that the feed has rejected are offered again, after a controller with a wrong grid
    perhaps; of a held one they stay rejected until it is done.
    """
    _each(folder, which, every, lambda batches, e: batches.release(e, repeat=repeat), "released")


@app.command()
def drop(folder: Folder, which: Which = None, every: Every = False) -> None:
    """Give every box that has no receipt the receipt `failed`; nothing of it is offered again."""
    _each(folder, which, every, lambda batches, entry: batches.drop(entry), "dropped")


def _each(
    folder: Path,
    which: list[str] | None,
    every: bool,
    act: Callable[[Batches, Entry], None],
    done: str,
) -> None:
    from services.feed.batches import Batches, NotNow

    if bool(which) == every:
        fail("say which batches, or --all")
    wrong = 0
    with _opened(folder, change=True) as store, store.transaction():
        chosen = list(store.in_state("held")) if every else _found(store, folder, which or [])
        for entry in chosen:
            try:
                act(Batches(store), entry)
            except NotNow as error:
                complain(f"batch {entry.seq}, {entry.parent_id}, {error}")
                wrong += 1
            else:
                left = len(entry.open)
                typer.echo(
                    f"batch {entry.seq}, {entry.parent_id}: {done}; it is {entry.state}, "
                    f"{left} of {entry.n_boxes} boxes have no receipt"
                )
    if not chosen:
        typer.echo("nothing is held")
    if wrong:
        raise typer.Exit(exit_codes.SOME_FAILED)


def _opened(folder: Path, *, change: bool = False) -> FeedStore:
    from services.feed.store import FeedError, FeedStore

    try:
        path = Places(folder).feed
        if not path.exists():
            raise FeedError(f"{path}: there was no feed here")
        return FeedStore(path, read_only=not change)
    except FeedError as error:
        fail(str(error))


def _found(store: FeedStore, folder: Path, names: list[str]) -> list[Entry]:
    found: dict[int, Entry] = {}
    for name in names:
        entries = store.named(name)
        if not entries:
            fail(f"{name}: no such batch; `haadflow hold list {folder}` names those that are held")
        found.update((entry.place, entry) for entry in entries)
    return list(found.values())


def _row(store: FeedStore, entry: Entry) -> dict[str, Any]:
    return {
        "run": entry.run,
        "seq": entry.seq,
        "parent_id": entry.parent_id,
        "controller": entry.controller,
        "grant": entry.grant,
        "why": entry.why,
        "since_unix": entry.since_unix,
        "n_boxes": entry.n_boxes,
        "receipts": entry.receipts_by_status(),
        "in_doubt": entry.doubtful,
        "history": [{"unix": unix, "what": what} for unix, what in store.history(entry.place)],
    }


def _time(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat(sep=" ", timespec="seconds")[:-6] + "Z"
