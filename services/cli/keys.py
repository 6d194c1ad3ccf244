"""`keys`: this host's keys, and whom it lets in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from services.runtime.keys import KeyFolder
from services.runtime.roles import LISTENING, ROLES, Role

from .chain import find_topology, load
from .options import Json, TopologyFile
from .terminal import complain, err, fail, out, print_json

app = typer.Typer(help="This host's keys, and whom it lets in.", no_args_is_help=True)

Folder = Annotated[
    Path | None,
    typer.Option("--keys", metavar="FOLDER", help="The topology's security.keys by default."),
]
Name = Annotated[str, typer.Option(help="To tell keys of one role apart; the role by default.")]
RoleName = Annotated[str, typer.Argument(metavar="ROLE", help=", ".join(ROLES) + ".")]


@app.command()
def new(
    role: Annotated[
        str | None, typer.Argument(metavar="[ROLE]", help="One; else all that are missing.")
    ] = None,
    name: Name = "",
    keys: Folder = None,
    topology: TopologyFile = None,
) -> None:
    """Draw a key for a role on this host, and allow it here; print its public half."""
    folder = _folder(keys, topology)
    roles = [_role(role)] if role is not None else [r for r in ROLES if folder.lacks(r)]
    if not roles:
        fail(f"{folder.path}: there is a key for every role already")
    if name and len(roles) > 1:
        fail("--name is for one key; say which ROLE")
    for each in roles:
        entry = folder.new(each, name)
        _print(entry.role, entry.name, entry.public)


@app.command()
def show(keys: Folder = None, topology: TopologyFile = None, as_json: Json = False) -> None:
    """Show who is let in, and which of the keys are this host's own."""
    folder = _folder(keys, topology)
    here = {role: folder.own(role)[0].decode() for role in ROLES if folder.has(role)}
    entries = folder.allowed().entries
    if as_json:
        rows: list[dict[str, Any]] = [
            {**entry._asdict(), "here": here.get(entry.role) == entry.public} for entry in entries
        ]
        print_json({"folder": str(folder.path.absolute()), "keys": rows})
        return
    table = Table(box=None, pad_edge=False)
    for column in ("", "role", "name", "public key", "here"):
        table.add_column(column, no_wrap=column == "public key")
    for entry in entries:
        is_here = "yes" if here.get(entry.role) == entry.public else ""
        # Z85 has brackets: to rich they would be markup.
        cells = (entry.state, entry.role, entry.name, entry.public, is_here)
        table.add_row(*(cell.replace("[", r"\[") for cell in cells))
    out.print(table)
    listed = {entry.public for entry in entries}
    for role, public in here.items():
        if public not in listed:
            complain(f"this host's key of the {role} is not on its own list")


@app.command()
def allow(
    role: RoleName,
    public: Annotated[
        str,
        typer.Argument(metavar="KEY", help="Its public half, in single quotes, or a .key file."),
    ],
    name: Name = "",
    keys: Folder = None,
    topology: TopologyFile = None,
) -> None:
    """Let a key in, for a role; of a role that listens, the key to expect there."""
    entry = _folder(keys, topology).allow(_role(role), public, name or role)
    how = "is expected where the chain listens as" if entry.role in LISTENING else "may connect as"
    err.print(f"{entry.name} {how} {entry.role}", markup=False)


@app.command()
def revoke(
    which: Annotated[str, typer.Argument(metavar="NAME|KEY", help="As `show` has it.")],
    keys: Folder = None,
    topology: TopologyFile = None,
) -> None:
    """Let a key in no more; running services notice within a second."""
    entry = _folder(keys, topology).revoke(which)
    err.print(f"{entry.name}, {entry.role}, is let in no more", markup=False)


def _print(role: str, name: str, public: str) -> None:
    typer.echo(f"{role}\t{name}\t{public}")


def _folder(given: Path | None, topology: Path | None) -> KeyFolder:
    if given is not None:
        return KeyFolder(given)
    keys = load(topology).security.keys
    if keys is None:
        fail(f"which folder? Say --keys FOLDER, or set security.keys in {find_topology(topology)}")
    return KeyFolder(Path(keys))


def _role(text: str) -> Role:
    for role in ROLES:
        if role == text:
            return role
    fail(f"{text!r:.40}: no such role; expected one of {', '.join(ROLES)}")
