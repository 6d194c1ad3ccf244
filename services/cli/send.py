"""`send`: images into a running chain, as a detector does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from services.runtime.topology import flaw_of_address

from .chain import load
from .options import Composition, Elements, MaxPixels, Stack, TopologyFile, seconds
from .terminal import fail

if TYPE_CHECKING:
    from services.detectors.stacks import StackRule


def send(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]", help="Images, or folders of images.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="The source's address; the topology's by default.")
    ] = None,
    composition: Composition = None,
    n_elements: Elements = None,
    recursive: Annotated[bool, typer.Option(help="Folders inside folders too.")] = False,
    max_pixels: MaxPixels = None,
    stack: Stack = "refuse",
    metadata: Annotated[Path | None, typer.Option(help="Table, as for run.")] = None,
    synthetic: Annotated[
        int | None, typer.Option(help="So many images of the emulator instead of files.", min=1)
    ] = None,
    difficulty: Annotated[str, typer.Option(help="Of the emulator, as for emulate.")] = "plain",
    seed: Annotated[
        int, typer.Option(help="Of the emulator, and of what goes wrong below.", min=0)
    ] = 0,
    rate: Annotated[
        float | None,
        typer.Option(help="Images a second; as fast as the chain takes them by default.", min=1e-3),
    ] = None,
    gaps: Annotated[
        float, typer.Option(help="Share of the images that is left out.", min=0, max=1)
    ] = 0.0,
    duplicates: Annotated[
        float, typer.Option(help="Share that is offered twice.", min=0, max=1)
    ] = 0.0,
    late: Annotated[
        float, typer.Option(help="Share that comes after later ones.", min=0, max=1)
    ] = 0.0,
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
    """Push images into a running chain, as a detector does; return when all are accepted.

    With --rate, --gaps, --duplicates and --late it behaves like a detector of that speed and those
    faults.
    """
    from pipeline.emulation import DIFFICULTIES
    from services.detectors.replay import Replay

    from .sending import Emulated, Pictures, from_files, send_pictures

    if bool(paths) == (synthetic is not None):
        fail("send: expected images, or --synthetic N")
    address, keys = where(to, keys, topology)
    pictures: Pictures
    if synthetic is not None:
        if difficulty != "plain" and difficulty not in DIFFICULTIES:
            fail(f"--difficulty {difficulty}: expected plain, {', '.join(DIFFICULTIES)}")
        pictures = Emulated(n=synthetic, seed=seed, difficulty=difficulty)
    else:
        pictures = from_files(
            paths or [],
            composition=composition,
            n_elements=n_elements,
            recursive=recursive,
            table=metadata,
            max_pixels=max_pixels,
            stack=cast("StackRule", stack),
        )
    send_pictures(
        pictures,
        address,
        replay=Replay(rate_hz=rate, gaps=gaps, duplicates=duplicates, late=late, seed=seed),
        repeat=repeat,
        patience_s=patience,
        keys=keys,
    )


def where(to: str | None, keys: Path | None, topology: Path | None) -> tuple[str, Path | None]:
    """Return the source's address and the folder of keys for it, or end with what is wrong."""
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
    return address, keys
