"""`deadletter`: the frames that failed, what is known of each, and another try at them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.table import Table

from services.runtime import exit_codes
from services.runtime.lock import ChainBusy, is_held, sole_writer
from services.runtime.places import Places

from .options import Json
from .terminal import complain, fail, out, print_json

if TYPE_CHECKING:
    from protocols.messages import Setback
    from services.dead_letters import DeadLetter, DeadLetters, Replayed

app = typer.Typer(no_args_is_help=True, help="The frames that failed, and another try at them.")

Folder = Annotated[Path, typer.Argument(help="What a run or a chain writes, or wrote, into.")]
Frame = Annotated[str, typer.Argument(metavar="FRAME", help="Its number, or its parent_id.")]


@app.command("list")
def list_all(folder: Folder, as_json: Json = False) -> None:
    """List the frames that failed: where, why, how often tried, and what became of a replay."""
    with _opened(folder) as letters:
        found = list(letters.all())
    if as_json:
        print_json({"dead_letters": [_row(letter) for letter in found]})
        return
    table = Table(box=None, pad_edge=False)
    for name in ("frame", "parent_id", "stage", "attempts", "image", "replay", "reason"):
        table.add_column(name, justify="right" if name in {"frame", "attempts"} else "left")
    for letter in found:
        table.add_row(*(_plain(text) for text in _cells(letter)))
    out.print(table if found else "no frame has failed")


@app.command()
def show(folder: Folder, frame: Frame, as_json: Json = False) -> None:
    """Show all that is known of one: the traceback, and the history of its attempts."""
    with _opened(folder) as letters:
        letter = _found(letters, folder, frame)
    failed, envelope = letter.failed, letter.failed.envelope
    if as_json:
        more = {
            "traceback": failed.traceback,
            "metadata": msgspec.to_builtins(envelope.metadata),
            "stages": msgspec.to_builtins(envelope.stages),
        }
        print_json(_row(letter) | more)
        return
    typer.echo(f"frame {letter.seq}, {letter.parent_id}")
    typer.echo(f"from {envelope.metadata.source}, accepted {_time(envelope.accepted_unix)}")
    if envelope.replay_of:
        typer.echo(f"another try at {envelope.replay_of}")
    typer.echo(f"failed in {failed.stage}: {failed.reason}")
    typer.echo(f"passed {', '.join(s.stage for s in envelope.stages) or 'no stage'}")
    typer.echo(f"image: {letter.image or 'not there'}")
    typer.echo(f"replay: {_replay(letter)}")
    typer.echo(f"\nattempts ({envelope.attempt}):")
    for setback in envelope.past:
        typer.echo(f"  {_sentence(setback)}")
    typer.echo(f"\n{failed.traceback}" if failed.traceback else "\nno traceback")


@app.command()
def export(
    folder: Folder,
    frame: Frame,
    to: Annotated[Path, typer.Option(help="Folder for the files.")] = Path(),
) -> None:
    """Write its image, and all that is known as JSON: what a bug report needs."""
    with _opened(folder) as letters:
        letter = _found(letters, folder, frame)
        for path in letters.export(letter, to):
            typer.echo(path)
    if letter.image is None:
        complain(f"the image of frame {letter.seq} is not there any more")


@app.command()
def replay(
    folder: Folder,
    frames: Annotated[
        list[str] | None, typer.Argument(metavar="[FRAME]...", help="Numbers, or parent_ids.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that were not replayed yet.")] = False,
) -> None:
    """Send frames through the chain again, each as a new frame; the failed ones stay failed."""
    from services.dead_letters import NotReplayed

    if bool(frames) == every:
        fail("say which frames, or --all")
    with _opened(folder) as letters:
        chosen = _chosen(letters, folder, frames)
        try:
            running, replayed = _replayed(Places(folder), letters, chosen)
        except NotReplayed as error:
            fail(str(error), exit_codes.SOME_FAILED)
    for letter, again in zip(chosen, replayed, strict=True):
        became = "goes through the chain again as" if again.new else "was replayed before, as"
        typer.echo(f"frame {letter.seq} {became} frame {again.seq}, {again.parent_id}")
    if not replayed:
        typer.echo("nothing to replay")
    elif not running and any(_is_open(letter) for letter in chosen):
        typer.echo(_how_to_go_on(folder))


def _opened(folder: Path) -> DeadLetters:
    from services.dead_letters import DeadLetters

    places = Places(folder)
    if not places.ledger.exists():
        fail(f"{folder}: no chain has written here; there is no {places.ledger}")
    if not places.results.exists():
        fail(f"{folder}: no frame has ended yet; there is no {places.results}")
    return DeadLetters(places)


def _found(letters: DeadLetters, folder: Path, frame: str) -> DeadLetter:
    letter = letters.find(frame)
    if letter is None:
        fail(f"{frame}: no such frame has failed; `haadflow deadletter list {folder}` names them")
    return letter


def _chosen(letters: DeadLetters, folder: Path, frames: list[str] | None) -> list[DeadLetter]:
    """Return those that are named, each once, or all that were not replayed yet."""
    if not frames:
        return [letter for letter in letters.all() if letter.replay is None]
    named = [_found(letters, folder, frame) for frame in frames]
    return list({letter.seq: letter for letter in named}.values())


def _is_open(letter: DeadLetter) -> bool:
    """Say of one that has been replayed now, or was before, whether that has not ended yet."""
    return letter.replay is None or letter.replay[1] is None


def _replayed(
    places: Places, letters: DeadLetters, chosen: list[DeadLetter]
) -> tuple[bool, list[Replayed]]:
    """Replay them; say also whether a chain is there that takes them."""
    if not is_held(places):
        try:
            with sole_writer(places):  # none starts meanwhile
                return False, letters.replay(chosen)
        except ChainBusy:
            pass
    return True, letters.replay(chosen)


def _how_to_go_on(folder: Path) -> str:
    from services.runtime.ledger import Ledger

    with Ledger(Places(folder).ledger, read_only=True) as ledger:
        files = ledger.about("settings") is not None
    how = "the same `haadflow run`" if files else "`haadflow up`"
    return f"no chain is running here; {how} with --out {folder} goes on with them"


def _row(letter: DeadLetter) -> dict[str, Any]:
    failed, envelope = letter.failed, letter.failed.envelope
    return {
        "seq": letter.seq,
        "parent_id": letter.parent_id,
        "source": envelope.metadata.source,
        "stage": failed.stage,
        "reason": failed.reason,
        "attempts": envelope.attempt,
        "setbacks": msgspec.to_builtins(envelope.past),
        "failed_unix": letter.record.created_unix,
        "image": None if letter.image is None else str(letter.image),
        "replay_of": envelope.replay_of or None,
        "replayed_as": None if letter.replay is None else letter.replay[0],
        "replay_outcome": None if letter.replay is None else letter.replay[1],
    }


def _cells(letter: DeadLetter) -> list[str]:
    kept = "file" if letter.from_file else "kept"
    return [
        str(letter.seq),
        letter.parent_id,
        letter.failed.stage,
        str(letter.failed.envelope.attempt),
        "not there" if letter.image is None else kept,
        _replay(letter),
        letter.failed.reason.partition("\n")[0],
    ]


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _replay(letter: DeadLetter) -> str:
    if letter.replay is None:
        return "none"
    seq, outcome = letter.replay
    return f"{outcome or 'open'}, frame {seq}"


def _sentence(setback: Setback) -> str:
    words = [setback.stage, setback.how]
    if setback.worker is not None:
        words.append(setback.worker)
    if setback.begun_unix is not None:
        words.append(f"from {_time(setback.begun_unix)}")
    if setback.ended_unix is not None:
        words.append(f"to {_time(setback.ended_unix)}")
    return ", ".join(words)


def _time(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat(sep=" ", timespec="milliseconds")[:-6] + "Z"
