"""Options of the refined method, and what becomes of them before any process starts."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .terminal import fail

_PANEL = "With --method refined"

Method = Annotated[str, typer.Option(help="published or refined (docs/method.md).")]
Algorithm = Annotated[
    int | None,
    typer.Option(
        help="Of the published method: 2 walks column by column, as without this option; "
        "1 takes the largest squares first.",
        min=1,
        max=2,
    ),
]
MaxBoxes = Annotated[
    int | None, typer.Option(help="The best N boxes of an image.", rich_help_panel=_PANEL)
]
MinBoxNm = Annotated[
    float | None,
    typer.Option(help="Smallest side; needs each image's pixel size.", rich_help_panel=_PANEL),
]
MaxBoxNm = Annotated[
    float | None,
    typer.Option(help="Largest side; needs each image's pixel size.", rich_help_panel=_PANEL),
]
MaxBoxPercent = Annotated[
    int | None,
    typer.Option(
        help="Largest side, in percent of a particle's shorter one; 16 by default.",
        rich_help_panel=_PANEL,
    ),
]
Purity = Annotated[
    float | None,
    typer.Option(
        help="Share of a box that must lie in its region, 0.5 to 1; 0.99 by default.",
        rich_help_panel=_PANEL,
    ),
]
Particles = Annotated[
    str | None,
    typer.Option(
        help="Which are boxed: the largest, or the one nearest to the middle of the image; "
        "all by default.",
        metavar="all|largest|middle",
        rich_help_panel=_PANEL,
    ),
]
MarginPx = Annotated[
    int | None,
    typer.Option(
        help="Pixels added round each particle, for drift; 0 by default.", rich_help_panel=_PANEL
    ),
]


def wished(method: str, algorithm: int | None, **options: Any) -> dict[str, Any] | None:  # noqa: ANN401
    """Return what is asked of the refined method; None if the published one is to run.

    Parameters
    ----------
    method, algorithm
        As given; an algorithm of None was not.
    options
        By field of `Wishes`; None was not given.
    """
    if method not in ("published", "refined"):
        fail(f"--method {method}: expected published or refined")
    given = {name: value for name, value in options.items() if value is not None}
    if method == "published":
        if given:
            names = ", ".join(map(_option, given))
            fail(f"{names}: expected with --method refined")
        return None
    if algorithm is not None:
        fail(
            f"--algorithm {algorithm}: belongs to the published method; "
            "expected without --method refined"
        )
    from services.wishes import Wishes

    try:
        Wishes(**given)
    except ValueError as error:
        fail(_with_options(str(error), given))
    return given


def _with_options(said: str, given: dict[str, Any]) -> str:
    """Name the options where the sentence names the fields they become."""
    for name in given:
        said = said.replace(name, _option(name))
    return said


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
