"""`send`: images into a running chain, as a detector does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from services.runtime.topology import flaw_of_address

from .chain import load
from .options import Composition, Elements, MaxPixels, Paths, Stack, TopologyFile, seconds
from .terminal import fail

if TYPE_CHECKING:
    from services.detectors.stacks import StackRule


def send(
    paths: Paths,
    to: Annotated[
        str | None, typer.Option(help="The source's address; the topology's by default.")
    ] = None,
    composition: Composition = None,
    n_elements: Elements = None,
    recursive: Annotated[bool, typer.Option(help="Folders inside folders too.")] = False,
    max_pixels: MaxPixels = None,
    stack: Stack = "refuse",
    metadata: Annotated[Path | None, typer.Option(help="Table, as for run.")] = None,
    repeat: Annotated[int, typer.Option(help="Send everything so many times.", min=1)] = 1,
    patience: Annotated[
        float, typer.Option(help="Seconds to wait for the chain.", callback=seconds, min=0)
    ] = 60.0,
    keys: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Of the detector's key; without --to, the topology's by default."
        ),
    ] = None,
    topology: TopologyFile = None,
) -> None:
    """Push images into a running chain; return when all are accepted."""
    from .sending import send_files

    address = to
    if address is None:
        chain = load(topology)
        address = chain.source.offers
        if address is None:
            fail("the topology's source takes no offers: give source.offers an address")
        if keys is None and chain.security.keys is not None:
            keys = Path(chain.security.keys)
    wrong = flaw_of_address(address)
    if wrong is not None:
        fail(f"cannot connect to {address!r}: {wrong}")
    send_files(
        paths,
        address,
        composition=composition,
        n_elements=n_elements,
        recursive=recursive,
        table=metadata,
        max_pixels=max_pixels,
        stack=cast("StackRule", stack),
        repeat=repeat,
        patience_s=patience,
        keys=keys,
    )
