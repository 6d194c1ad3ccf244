"""`evaluate`: how good the boxes are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from .options import Json
from .terminal import err, fail, out, print_json

if TYPE_CHECKING:
    from services.evaluation import Image, Judged

WORST = 24
"""Images on the contact sheet."""

WIDE = 160
"""Characters of a line that are never cut."""

COLUMNS = ("good", "enclosed", "covered", "pure", "coverage", "outside", "purity")


def evaluate(
    folder: Annotated[Path, typer.Argument(help="Images; truth masks, if any, in truth/.")],
    out_dir: Annotated[
        Path | None,
        typer.Option("--out", help="Where evaluation.json, explained.png and worst.png go."),
    ] = None,
    n: Annotated[int | None, typer.Option("--n", help="Only the first N images.", min=1)] = None,
    method: Annotated[str, typer.Option(help="refined or published.")] = "refined",
    as_json: Json = False,
) -> None:
    """Judge a method against truth masks, beside the published one; or by variance explained."""
    from services.evaluation import METHODS, REFERENCE, draw_curves
    from services.evaluation import as_json as figures_of

    if method not in METHODS:
        fail(f"--method {method}: expected one of {', '.join(METHODS)}")
    if not folder.is_dir():
        fail(f"{folder}: there is no such folder")
    judged, worst = _judged(folder, tuple(dict.fromkeys((REFERENCE, method))), n, method)
    if not judged:
        fail(f"{folder}: no images there: PNG, TIFF, JPEG or NPY files are taken")
    figures = figures_of(judged)
    if out_dir is not None:
        out_dir.mkdir(parents=True, exist_ok=True)
        text = json.dumps(figures, indent=2, ensure_ascii=False) + "\n"
        (out_dir / "evaluation.json").write_text(text, encoding="utf-8")
        draw_curves(judged, out_dir / "explained.png")
        _draw_worst(worst, method, out_dir / "worst.png")
        err.print(f"evaluation.json, explained.png and worst.png are in {out_dir}", soft_wrap=True)
    if as_json:
        print_json(figures)
    else:
        # wider than a terminal rather than cut: names and numbers are read, or handed on
        wide = Console(width=max(out.width, WIDE), highlight=False)
        wide.print(_table(figures["by_difficulty"]))


def _judged(
    folder: Path, methods: tuple[str, ...], first: int | None, method: str
) -> tuple[list[Judged], list[Image]]:
    """Judge all images; keep of the images themselves only the worst."""
    from services.evaluation import evaluate_folder

    judged: list[Judged] = []
    worst: list[Image] = []
    columns = (TextColumn("judging"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("judging", total=first)
        try:
            for image in evaluate_folder(folder, methods, first=first):
                judged.extend(image.judged.values())
                worst.append(image)
                worst.sort(key=lambda one: one.judged[method].badness, reverse=True)
                del worst[WORST:]
                progress.advance(task)
        except ValueError as error:
            fail(str(error))
        except OSError as error:
            fail(f"{error.filename or folder}: {error.strerror}")
    return judged, worst


def _draw_worst(worst: list[Image], method: str, path: Path) -> None:
    from services.detectors.files import read_image
    from services.results.sheet import contact_sheet

    from .one_image import as_outcome

    contact_sheet(
        (
            (as_outcome(image.results[method], image.metadata), read_image(image.path).image)
            for image in worst
        ),
        path,
    )


def _table(by_difficulty: dict[str, Any]) -> Table:
    """Lay out the verdicts; what none of the images has is left out."""
    rows = [
        (difficulty, method, row)
        for difficulty, methods in by_difficulty.items()
        for method, row in methods.items()
    ]
    shares = [
        (name, field)
        for name, field in (
            *((name, name) for name in COLUMNS),
            ("explained", "explained"),
            ("grid", "explained_by_grid"),
        )
        if any(row[field] is not None for _, _, row in rows)
    ]
    table = Table(box=None, pad_edge=False, caption="shares in percent")
    table.add_column("difficulty")
    table.add_column("method")
    for name in ("n", "refused", "boxes", *(name for name, _ in shares)):
        table.add_column(name, justify="right")
    for difficulty, method, row in rows:
        table.add_row(
            difficulty,
            method,
            str(row["images"]),
            str(row["refused"]),
            f"{row['boxes']:.0f}",
            *("" if row[field] is None else _percent(row[field]) for _, field in shares),
        )
    return table


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f}"
