"""Options that several commands share."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Annotated

import typer

from services.detectors.stacks import STACK_RULES


def seconds(value: float) -> float:
    """Refuse what is no time: NaN passes every comparison."""
    if not isfinite(value):
        raise typer.BadParameter(f"{value} is no number of seconds")
    return value


def stack_rule(value: str) -> str:
    """Refuse what is no rule for stacks."""
    if value not in STACK_RULES:
        raise typer.BadParameter(f"came {value!r}, expected one of {', '.join(STACK_RULES)}")
    return value


Paths = Annotated[list[Path], typer.Argument(metavar="PATH", help="Images, or folders of images.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document, for a program to read.")]
TopologyFile = Annotated[
    Path | None,
    typer.Option(
        "--topology",
        envvar="HAADFLOW_TOPOLOGY",
        help="The chain's description; deploy/topology.toml by default.",
    ),
]
Pictures = Annotated[int, typer.Option(help="Overlays of the first N images; 0 for none.", min=0)]
Composition = Annotated[
    str | None,
    typer.Option(help="As in Au40Ag60, of every image; goes before table, file name and file."),
]
Elements = Annotated[
    int | None, typer.Option("--n-elements", help="Instead of a composition.", min=1, max=118)
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        "--max-pixels",
        help="The largest image that is read, height times width; 268435456 by default.",
        min=1,
        max=1 << 40,
    ),
]
Stack = Annotated[
    str,
    typer.Option(
        help="A file that holds several images: refuse it, or take its images one by one.",
        metavar="refuse|images",
        callback=stack_rule,
    ),
]
