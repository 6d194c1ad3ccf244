"""`bench`: what the chain moves and costs on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from services.runtime import exit_codes

from .options import Json
from .terminal import err, fail, out, print_json


def bench(
    frames: Annotated[int, typer.Option(help="Of 1 MiB, for each measurement.", min=10)] = 3000,
    profile: Annotated[bool, typer.Option("--profile", help="Also by process and thread.")] = False,
    save: Annotated[Path | None, typer.Option(help="Write the report into this JSON.")] = None,
    as_json: Json = False,
) -> None:
    """Measure throughput, cost, latency and start of the chain here, in about a minute."""
    try:
        from benchmarks import chain_bench, report
        from benchmarks.chain import ChainFailed
    except ImportError as error:
        fail(f"{error}; the benchmarks need the `dev` extra, in a checkout of the project")
    try:
        with err.status("starting") as status:
            found = chain_bench.bench(frames=frames, profile=profile, tell=status.update)
    except ChainFailed as error:
        fail(str(error), exit_codes.BROKEN)
    if save is not None:
        report.write(found, save)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        # Wider than a narrow terminal rather than one word a line.
        wide = Console(width=max(out.width, 120), highlight=False)
        wide.print(report.table(found.figures, found.machine.line))
