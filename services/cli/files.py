"""`run`, `boxes`, `verify`, `export`: images from files, and what became of them."""

from __future__ import annotations

import csv
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import msgspec
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from services.account import Account, NoAccount, read_account
from services.detectors.file_finding import FOLDERS, WHAT_IS_TAKEN

if TYPE_CHECKING:
    from services.detectors.stacks import StackRule
    from services.files_run import FilesRun
from services.runtime import exit_codes
from services.runtime.lock import ChainBusy, sole_writer
from services.runtime.places import Places
from services.runtime.process import log_into
from services.runtime.status import ChainStatus
from services.runtime.supervisor import ChainBroken
from services.runtime.topology import REFINED, STAGES, TOGETHER

from . import compile_first
from .chain import parse_workers
from .options import Composition, Elements, Json, MaxPixels, Paths, Pictures, Stack
from .terminal import (
    account_line,
    complain,
    err,
    exit_status,
    fail,
    out,
    print_json,
    remark,
    stop_on_signal,
)
from .wishes import (
    Algorithm,
    MarginPx,
    MaxBoxes,
    MaxBoxNm,
    MaxBoxPercent,
    Method,
    MinBoxNm,
    Particles,
    Purity,
    wished,
)
from .write import write_for_instrument, write_results

SAID_AT_MOST = 5
"""Failed images that are named on the terminal; frames.csv has all."""

Out = Annotated[Path, typer.Option("--out", help="Where everything is written.")]


def run(
    paths: Paths,
    out_dir: Out,
    workers: Annotated[
        list[str] | None,
        typer.Option("--workers", metavar="STAGE=N", help="Workers of a stage; may be repeated."),
    ] = None,
    together: Annotated[
        bool,
        typer.Option(
            "--together", help="Each worker takes an image through all stages: for few cores."
        ),
    ] = False,
    composition: Composition = None,
    n_elements: Elements = None,
    algorithm: Algorithm = None,
    method: Method = "published",
    max_boxes: MaxBoxes = None,
    min_box_nm: MinBoxNm = None,
    max_box_nm: MaxBoxNm = None,
    max_box_percent: MaxBoxPercent = None,
    purity: Purity = None,
    particles: Particles = None,
    margin_px: MarginPx = None,
    recursive: Annotated[bool, typer.Option(help="Folders inside folders too.")] = False,
    max_pixels: MaxPixels = None,
    stack: Stack = "refuse",
    metadata: Annotated[
        Path | None,
        typer.Option(
            help="Table with the columns file, composition, n_elements, pixel_size_nm, ...; "
            "a metadata.csv beside the images is taken by itself."
        ),
    ] = None,
    pictures: Pictures = 100,
    as_json: Json = False,
) -> None:
    """Send images through a chain on this machine, sized to its cores; write where to scan.

    PNG, TIFF, JPEG, NPY, DM3, DM4, EMD, SER, MRC, HSPY, BLO. Interrupted or killed, the same
    command goes on where it stopped.
    """
    for path in paths:
        if not path.exists():
            fail(f"{path}: there is no such file or folder")
    refined = wished(
        method,
        algorithm,
        max_boxes=max_boxes,
        min_box_nm=min_box_nm,
        max_box_nm=max_box_nm,
        max_box_percent=max_box_percent,
        purity=purity,
        particles=particles,
        margin_px=margin_px,
    )
    wanted = parse_workers(workers or [])
    stages = STAGES if refined is None else (REFINED,)
    if together and refined is None:
        stages = (TOGETHER,)
    for stage in wanted:
        if stage not in stages:
            fail(f"--workers {stage}: expected one of {', '.join(stages)}")
        if wanted[stage] == 0:
            fail(f"--workers {stage}=0: a run needs at least one worker of each stage")
    from services.files_run import ALGORITHM, FilesRun

    asked = FilesRun(
        paths=paths,
        out=out_dir,
        recursive=recursive,
        metadata=metadata,
        composition=composition,
        n_elements=n_elements,
        algorithm=algorithm or ALGORITHM,
        refined=refined,
        workers=wanted,
        together=together,
        max_pixels=max_pixels,
        stack=cast("StackRule", stack),
    )
    account = carry_out(asked, pictures=pictures)
    if as_json:
        print_json(msgspec.to_builtins(account) | {"closes": account.closes})
    else:
        if account.failed:
            _say_what_failed(out_dir)
        out.print(account_line(account), soft_wrap=True)
        out.print(f"boxes.csv, frames.csv, summary.json and pictures are in {out_dir}")
    raise typer.Exit(exit_status(account))


def carry_out(asked: FilesRun, *, pictures: int) -> Account:
    """Run the files and write the results; end with the right status when that cannot be."""
    from services.files_run import OtherRun, check_out

    places = Places(asked.out)
    try:
        check_out(asked)
        with sole_writer(places), log_into(places.supervisor_log, "run"):
            _run_chain(asked, places)
            write_results(places, pictures=pictures)
    except (OtherRun, ChainBusy, ValueError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or asked.out}: {error.strerror}", exit_codes.BROKEN)
    except ChainBroken as error:
        fail(str(error), exit_codes.BROKEN)
    return read_account(places)


def _run_chain(asked: FilesRun, places: Places) -> None:
    from services.files_run import accept_files

    passed_over: Counter[str] = Counter()
    remarks: list[str] = []
    with err.status("looking for images"):
        frames, still_open = accept_files(asked, places, passed_over=passed_over, remarks=remarks)
    remark(remarks)
    _say_what_is_passed_over(passed_over)
    if frames == 0:
        fail(f"no images there: {WHAT_IS_TAKEN} are taken; --recursive looks deeper")
    if still_open == 0:
        err.print(f"nothing new: all {frames} images are done; writing their results again")
        return
    compile_first.say_and_compile_unless_kept(err)
    if not _watched(asked, places, frames, still_open):
        err.print(f"stopped; {account_line(read_account(places))}", soft_wrap=True)
        fail("the same command goes on from here", exit_codes.INTERRUPTED)


def _say_what_is_passed_over(passed_over: Counter[str]) -> None:
    folders = passed_over.pop(FOLDERS, 0)
    if folders:
        err.print(f"passed over: {folders} folders inside; --recursive looks into them")


def _say_what_failed(out_dir: Path) -> None:
    with (out_dir / "frames.csv").open(newline="", encoding="utf-8") as file:
        failed = (row for row in csv.DictReader(file) if row["outcome"] == "failed")
        for row in islice(failed, SAID_AT_MOST):
            complain(f"failed: {row['source']}: {row['reason']}")
    out.print("All that failed, and why, is in frames.csv.")


def boxes(
    image: Annotated[Path, typer.Argument(help="One image.")],
    plot: Annotated[Path | None, typer.Option(help="Draw the boxes into this PNG.")] = None,
    composition: Composition = None,
    n_elements: Elements = None,
    algorithm: Algorithm = None,
    method: Method = "published",
    max_boxes: MaxBoxes = None,
    min_box_nm: MinBoxNm = None,
    max_box_nm: MaxBoxNm = None,
    max_box_percent: MaxBoxPercent = None,
    purity: Purity = None,
    particles: Particles = None,
    margin_px: MarginPx = None,
    pixel_size: Annotated[
        float | None,
        typer.Option(help="Edge of a pixel in nm; goes before table and file.", min=1e-6, max=1e6),
    ] = None,
    max_pixels: MaxPixels = None,
    as_json: Json = False,
) -> None:
    """Locate the boxes of one image without a chain, and print them.

    One line a box: x, y, size, region, and with --method refined its particle.
    """
    refined = wished(
        method,
        algorithm,
        max_boxes=max_boxes,
        min_box_nm=min_box_nm,
        max_box_nm=max_box_nm,
        max_box_percent=max_box_percent,
        purity=purity,
        particles=particles,
        margin_px=margin_px,
    )
    from .one_image import Asked, show_boxes

    asked = Asked(
        composition=composition,
        n_elements=n_elements,
        pixel_size_nm=pixel_size,
        algorithm=algorithm,
        refined=refined,
        max_pixels=max_pixels,
    )
    show_boxes(image, plot, asked, as_json=as_json)


def verify(
    folder: Annotated[Path, typer.Argument(help="What a run or a chain wrote into.")],
    as_json: Json = False,
) -> None:
    """Print accepted = located + rejected + failed + in flight; status 0 only if it closes."""
    try:
        account = read_account(Places(folder))
    except NoAccount as error:
        fail(str(error))
    if as_json:
        print_json(msgspec.to_builtins(account) | {"closes": account.closes})
    else:
        out.print(account_line(account))
    raise typer.Exit(exit_codes.OK if account.closes else exit_codes.NOT_CLOSED)


def export(
    folder: Annotated[Path, typer.Argument(help="What a run or a chain wrote into.")],
    pictures: Pictures = 100,
    dialect: Annotated[
        str | None,
        typer.Option(
            help="Write FOLDER/instrument/DIALECT/ instead, for an instrument: "
            "autoscript, jeol, qd-xy, de-xy or obi-csv.",
        ),
    ] = None,
    order: Annotated[
        str, typer.Option(help="Of the boxes: raster, serpentine, nearest.")
    ] = "raster",
    points_per_edge: Annotated[
        int, typer.Option(help="n x n points a box, in lists of points.")
    ] = 1,
    grid: Annotated[
        str | None,
        typer.Option(help="COLUMNSxROWS of the scan, in lists of points; else one a pixel."),
    ] = None,
    dwell_us: Annotated[float, typer.Option(help="Of a point, where the file says it.")] = 1.0,
) -> None:
    """Write tables and pictures of what is committed so far, or files for an instrument."""
    places = Places(folder)
    if not places.results.exists():
        fail(f"{places.results}: there are no results here")
    if dialect is not None:
        write_for_instrument(
            places,
            dialect=dialect,
            order=order,
            points_per_edge=points_per_edge,
            grid=grid,
            dwell_us=dwell_us,
        )
        return
    write_results(places, pictures=pictures)
    out.print(account_line(read_account(places)))


def _watched(asked: FilesRun, places: Places, frames: int, still_open: int) -> bool:
    from services.files_run import run_chain

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.0f}/s"),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    started = time.monotonic()
    with stop_on_signal() as stopped, Progress(*columns, console=err) as progress:
        task = progress.add_task("starting the workers", total=frames, rate=0.0)

        def watch(status: ChainStatus) -> None:
            ended = status.located + status.rejected + status.failed
            described = f"located {status.located}, rejected {status.rejected}"
            if status.failed:
                described += f", failed {status.failed}"
            if status.waits_for_disk:
                described += ", waiting: the disk is full"
            if ended == 0:
                described = f"starting the workers ({time.monotonic() - started:.0f} s)"
            progress.update(task, completed=ended, description=described, rate=status.rate)

        finished = run_chain(asked, places, watch=watch, stopped=lambda: bool(stopped))
        if finished:
            # The last beats may not have been heard; the source has: all are closed.
            ended = read_account(places)
            progress.update(
                task,
                completed=frames,
                rate=still_open / (time.monotonic() - started),
                description=f"located {ended.located}, rejected {ended.rejected}, "
                f"failed {ended.failed}",
            )
        return finished
