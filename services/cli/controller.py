"""`controller`: one scan controller's adapter as a process; `feed`: a feed without a chain."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from protocols.scanning import FEED, OPERATOR
from services.runtime.intact import DamagedFile
from services.runtime.lock import ChainBusy
from services.runtime.places import Places
from services.runtime.process import Stop, start_log
from services.runtime.topology import Topology, TopologyError, flaw_of_address

from .chain import load
from .options import TopologyFile, seconds
from .terminal import fail

NAME_CHARS = 128


def controller(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its adapter, such as files.")],
    feed: Annotated[
        str | None, typer.Option(help="The feed's address; the topology's by default.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Of the adapter; may be repeated."),
    ] = None,
    called: Annotated[
        str | None, typer.Option("--as", help="What operators see; NAME@HOST by default.")
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(help="Its memory, to be kept; haadflow-NAME.journal by default."),
    ] = None,
    window: Annotated[int, typer.Option(help="Batches with it at a time.", min=1, max=64)] = 1,
    batches: Annotated[int | None, typer.Option(help="End after so many.", min=1)] = None,
    grace: Annotated[
        float,
        typer.Option(
            help="Seconds until the beam is stopped, when it is told to end.",
            callback=seconds,
            min=0,
        ),
    ] = 5.0,
    keys: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Of the controller's key; the topology's by default."),
    ] = None,
    topology: TopologyFile = None,
) -> None:
    """Acquire what a feed offers with one scan controller, until Ctrl-C.

    Killed, the same command tells the feed what became of every box, and goes on.
    """
    from services.controllers.controller import SettingError
    from services.controllers.journal import JournalError
    from services.controllers.process import Wanted, run

    address = feed
    if address is None:
        chain = load(topology)
        address = chain.feed.batches
        if address is None:
            fail("the topology has no feed.batches; say --feed ADDRESS")
        if keys is None and chain.security.keys is not None:
            keys = Path(chain.security.keys)
    if called in (FEED, OPERATOR):
        fail(f"--as {called}: gives receipts itself; expected another name")
    if (wrong := flaw_of_address(address)) is not None:
        fail(f"cannot connect to {address!r}: {wrong}")
    wanted = Wanted(
        controller=name,
        settings=parse_settings(settings or []),
        feed=address,
        name=(called or f"{name}@{socket.gethostname()}")[:NAME_CHARS],
        journal=journal or Path(f"haadflow-{name}.journal"),
        keys=keys,
        window=window,
        batches=batches,
        grace_s=grace,
    )
    start_log("controller")
    stop = Stop()
    try:
        status = run(wanted, lambda: bool(stop))
    except (SettingError, JournalError) as error:
        fail(str(error))
    raise typer.Exit(status)


def feed(
    folder: Annotated[Path, typer.Argument(help="What a run or a chain wrote into.")],
    address: Annotated[
        str, typer.Option("--listen", help="Where controllers connect.")
    ] = "tcp://127.0.0.1:5770",
) -> None:
    """Offer what a run has located to scan controllers, until Ctrl-C; a chain has its own feed."""
    from services.feed import process

    places = Places(folder)
    if not places.results.exists():
        fail(f"{folder}: there are no results here")
    start_log("feed")
    try:
        process.run(Topology.load(places.topology).feeding(address), places)
    except (TopologyError, ChainBusy, DamagedFile) as error:
        fail(str(error))


def parse_settings(settings: list[str]) -> dict[str, Any]:
    """Read `KEY=VALUE` settings, or end with the one that is wrong."""
    found: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            fail(f"--set {setting!r:.80}: expected KEY=VALUE, as in out=acquired")
        if key in found:
            fail(f"--set {setting!r:.80}: {key} is there twice")
        found[key] = value
    return found
