"""`emulate` and `demo`: a synthetic megalibrary, and what the chain makes of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from services.account import Account
from services.runtime import exit_codes
from services.runtime.places import Places

from .files import carry_out
from .terminal import account_line, err, exit_status, fail, out

DEMO_IMAGES = 60
DEMO_SEED = 2026


def emulate(
    out_dir: Annotated[Path, typer.Option("--out", help="A new or empty folder.")],
    n: Annotated[int, typer.Option("--n", help="Images.", min=1)] = 100,
    seed: Annotated[int, typer.Option(help="The same seed makes the same images.", min=0)] = 0,
    difficulty: Annotated[
        str,
        typer.Option(
            help="plain, or what makes them hard: several, border, faint, film, small, low-dose, "
            "streaks, lattice, hot, concave, hollow, gradient, empty, bright-field, bare-lattice."
        ),
    ] = "plain",
) -> None:
    """Write a synthetic megalibrary: survey images, metadata.csv, truth masks in truth/."""
    _emulate(out_dir, n, seed, difficulty)
    out.print(f"{n} images, metadata.csv and truth/ are in {out_dir}")


def demo(
    out_dir: Annotated[Path, typer.Option("--out", help="Where to write.")] = Path("haadflow-demo"),
    n: Annotated[int, typer.Option("--n", help="Images.", min=1)] = DEMO_IMAGES,
    seed: Annotated[int, typer.Option(help="Of the emulator.", min=0)] = DEMO_SEED,
) -> None:
    """Emulate a megalibrary, send it through the chain, draw and explain what happened."""
    from services.coverage import covered_shares
    from services.files_run import FilesRun
    from services.report import write_hero

    images, results = out_dir / "images", out_dir / "results"
    out.print(f"1. Emulating {n} HAADF survey images of nanoparticles (seed {seed}).")
    _emulate(images, n, seed)
    if results.exists():
        # A demo starts anew each time; a run goes on where it stopped.
        shutil.rmtree(results)
    out.print("2. Sending them through the chain: gate, preprocessing, clustering, boxing, sink.")
    account = carry_out(FilesRun(paths=[images], out=results), pictures=n)
    covered = sorted(covered_shares(Places(results), images))
    write_hero(Places(results))
    summary = json.loads((results / "summary.json").read_text())
    out.print("3. Done.\n")
    out.print(_story(account, summary, covered, results), soft_wrap=True)
    raise typer.Exit(exit_status(account))


def _emulate(folder: Path, n: int, seed: int, difficulty: str = "plain") -> None:
    from services.megalibrary import write_megalibrary

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("emulating", total=n)
        try:
            write_megalibrary(
                folder,
                n,
                seed,
                difficulty=difficulty,
                progress=lambda done, _n: progress.update(task, completed=done),
            )
        except ValueError as error:
            fail(str(error))
        except OSError as error:
            fail(f"{folder}: {error.strerror}", exit_codes.BROKEN)


def _story(account: Account, summary: dict[str, Any], covered: list[float], results: Path) -> str:
    boxes, times = summary["boxes_per_image"], summary["total_time"]
    lines = [f"Every frame is accounted for: {account_line(account)}."]
    if boxes:
        scan = next(row for row in times if row["full_scan_s"] == 16)
        lines.append(
            f"A located image needs {boxes['mean']:.0f} boxes on average "
            f"({boxes['min']} to {boxes['max']}), a full scan 16,384 points: "
            f"{summary['reduction']['mean']:.1f} times fewer."
        )
        lines.append(
            f"At 16 s a full scan, the library takes {scan['with_boxes_s']:.0f} s instead of "
            f"{scan['full_grid_s']:.0f} s."
        )
        lines.append(
            "Finding the boxes took "
            f"{summary['process_ms']['median']:.1f} ms an image in the median, in "
            f"{len(summary['stage_ms'])} stages that are processes of their own."
        )
    if covered:
        lines.append(
            f"Of a particle they cover {100 * covered[len(covered) // 2]:.0f} % in the median and "
            f"{100 * covered[0]:.0f} % at worst, says the emulator's truth: dark rims beside "
            "bright phases are what the published method leaves out."
        )
    lines += [
        "",
        "Look at",
        f"  {results}/hero.png            one image: what came in, its regions, its boxes",
        f"  {results}/contact_sheet.png   all images with their boxes",
        f"  {results}/overlays/           each image by itself",
        f"  {results}/boxes.csv           where to scan, one row a box",
        "",
        "Try next",
        "  haadflow run YOUR_IMAGES --out OUT            your own images",
        "  haadflow boxes IMAGE --plot boxes.png         one image, no chain",
        "  haadflow up; haadflow send YOUR_IMAGES; haadflow status; haadflow down",
        "(the command is .venv/bin/haadflow, or activate the environment first)",
    ]
    return "\n".join(lines)
