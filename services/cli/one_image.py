"""`boxes`: one image, no chain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
import typer
from numpy.typing import NDArray

from pipeline import Result, process, reduction
from protocols.messages import (
    BoundingBox,
    Envelope,
    Grid,
    Located,
    Metadata,
    Outcome,
    Rejected,
    StageRecord,
)
from services.detectors.file_finding import find_images
from services.detectors.files import limits_up_to, read_image
from services.detectors.metadata import Resolver, with_file_metadata
from services.refined import as_located, findings_of
from services.results.overlay import draw_overlay
from services.runtime import exit_codes
from services.wishes import Wishes

from . import compile_first
from .terminal import err, fail, print_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is known of the image, which method, and what of it."""

    composition: str | None = None
    n_elements: int | None = None
    pixel_size_nm: float | None = None
    algorithm: int | None = None
    refined: dict[str, Any] | None = None
    """What is asked of the refined method; None takes the published one."""
    max_pixels: int | None = None


def show_boxes(path: Path, plot: Path | None, asked: Asked, *, as_json: bool) -> None:
    """Print the boxes of one image and draw them if asked."""
    if not path.is_file():
        fail(
            f"{path}: " + ("a folder; `haadflow run` takes it" if path.is_dir() else "no such file")
        )
    if plot is not None and plot.suffix.lower() != ".png":
        fail(f"--plot {plot}: a PNG is drawn; expected a name that ends with .png")
    try:
        resolver = Resolver(composition=asked.composition, n_elements=asked.n_elements)
    except ValueError as error:
        fail(str(error))
    try:
        found = next(find_images([path]))
        read = read_image(path, limits=limits_up_to(asked.max_pixels))
        metadata = resolver.metadata_of(found)
        if asked.pixel_size_nm is not None:
            metadata = msgspec.structs.replace(metadata, pixel_size_nm=asked.pixel_size_nm)
        metadata = with_file_metadata(metadata, read)
        with compile_first.say_while_compiling(err):
            result = _processed(read.image, metadata, asked)
    except ValueError as error:  # unreadable, or no picture
        fail(f"{path}: {error}", exit_codes.SOME_FAILED)
    if plot is not None:
        draw_overlay(read.image, as_outcome(result, metadata), plot)
        err.print(f"drawn into {plot}", markup=False, soft_wrap=True)
    if as_json:
        print_json(_figures(result, metadata))
    else:
        _print(result, metadata)


def _processed(image: NDArray[Any], metadata: Metadata, asked: Asked) -> Result:
    """Do what the chain would do with an image of which so much is known."""
    if asked.refined is None:
        return process(
            image,
            composition=metadata.composition,
            n_elements=metadata.n_elements,
            algorithm=cast("Literal[1, 2] | None", asked.algorithm),
        )
    controls = Wishes(**asked.refined).of(metadata.pixel_size_nm)
    if isinstance(controls, str):
        return Result(outcome="rejected", reason=controls, method="refined")
    return process(
        image,
        composition=metadata.composition,
        n_elements=metadata.n_elements,
        method="refined",
        controls=controls,
    )


def as_outcome(result: Result, metadata: Metadata) -> Outcome:
    """Return a result in the form in which the chain would have delivered it."""
    envelope = Envelope(run="one-image", seq=0, metadata=metadata)
    if result.method == "refined":
        record = StageRecord(
            stage="refined", milliseconds=0.0, parameters={}, findings=findings_of(result)
        )
        found = as_located(result, msgspec.structs.replace(envelope, stages=(record,)))
        if found is not None:
            return found
    if result.outcome == "rejected" or result.grid is None or result.bounding_box is None:
        return Rejected(envelope=envelope, stage="process", reason=result.reason or "")
    grid = result.grid
    x0, y0, x1, y1 = result.bounding_box
    return Located(
        envelope=envelope,
        grid=Grid(
            rows=grid.rows,
            columns=grid.columns,
            parent_height=grid.parent_height,
            parent_width=grid.parent_width,
        ),
        bounding_box=BoundingBox(x0=x0, y0=y0, x1=x1, y1=y1),
        n_peaks=result.n_peaks or 0,
        k=result.k or 0,
        boxes=result.boxes,
        regions=result.regions,
    )


def _print(result: Result, metadata: Metadata) -> None:
    if result.outcome == "rejected":
        typer.echo(f"rejected: {result.reason}")
        return
    for box in _boxes(result):
        typer.echo("\t".join(map(str, box.values())))
    composition = (
        f"composition {metadata.composition} ({metadata.composition_from})"
        if metadata.composition
        else "no composition"
    )
    err.print(
        f"{len(result.boxes)} boxes, {reduction(len(result.boxes)):.1f} times fewer points than a "
        f"full scan; k = {result.k} {_from(result)}{composition}.\n"
        "Columns: x, y, size in pixels (upper-left corner, x right, y down), region"
        + (", particle from 0." if result.owners is not None else "."),
        markup=False,
        soft_wrap=True,
    )


def _from(result: Result) -> str:
    if result.method == "published":
        return f"from {result.n_peaks} peaks and "
    count = len(result.particles)
    return f"at most, of {count} particle{'s' * (count != 1)}; "


def _figures(result: Result, metadata: Metadata) -> dict[str, Any]:
    return {
        "source": metadata.source,
        "outcome": result.outcome,
        "reason": result.reason,
        "composition": metadata.composition,
        "composition_from": metadata.composition_from,
        "n_elements": result.n_elements,
        "n_peaks": result.n_peaks,
        "k": result.k,
        "method": result.method,
        "bounding_box": result.bounding_box,
        "particles": [
            {
                "bounding_box": particle.bounding_box,
                "regions": particle.k,
                "boxes": len(particle.boxes),
                "area_px": particle.area_px,
                "explained": particle.explained,
            }
            for particle in result.particles
        ],
        "convention": "x right, y down, upper-left corner, half-open, parent pixels",
        "boxes": _boxes(result),
    }


def _boxes(result: Result) -> list[dict[str, int]]:
    columns = [*result.boxes.T.tolist(), result.regions.tolist()]
    names = ["x_px", "y_px", "size_px", "region"]
    if result.owners is not None:
        columns.append(result.owners.tolist())
        names.append("particle")
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
