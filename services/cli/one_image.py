"""`boxes`: one image, no chain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import typer

from pipeline import Result, process, reduction
from pipeline.refined.params import Controls
from protocols.messages import BoundingBox, Envelope, Grid, Located, Metadata, Outcome, Rejected
from services.detectors.file_finding import find_images
from services.detectors.files import limits_up_to, read_image
from services.detectors.metadata import Resolver, with_file_metadata
from services.results.overlay import draw_overlay
from services.runtime import exit_codes

from .terminal import err, fail, print_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which method, and what of it."""

    algorithm: int | None = None
    method: str = "published"
    max_boxes: int | None = None


def show_boxes(
    path: Path,
    plot: Path | None,
    composition: str | None,
    n_elements: int | None,
    asked: Asked,
    *,
    max_pixels: int | None = None,
    as_json: bool,
) -> None:
    """Print the boxes of one image and draw them if asked."""
    if not path.is_file():
        fail(
            f"{path}: " + ("a folder; `haadflow run` takes it" if path.is_dir() else "no such file")
        )
    if plot is not None and plot.suffix.lower() != ".png":
        fail(f"--plot {plot}: a PNG is drawn; expected a name that ends with .png")
    try:
        resolver = Resolver(composition=composition, n_elements=n_elements)
        controls = _controls(asked)
    except ValueError as error:
        fail(str(error))
    try:
        found = next(find_images([path]))
        read = read_image(path, limits=limits_up_to(max_pixels))
        metadata = with_file_metadata(resolver.metadata_of(found), read)
        result = process(
            read.image,
            composition=metadata.composition,
            n_elements=metadata.n_elements,
            algorithm=cast("Literal[1, 2] | None", asked.algorithm),
            method=cast("Literal['published', 'refined']", asked.method),
            controls=controls,
        )
    except ValueError as error:  # unreadable, or no picture
        fail(f"{path}: {error}", exit_codes.SOME_FAILED)
    if plot is not None:
        draw_overlay(read.image, as_outcome(result, metadata), plot)
        err.print(f"drawn into {plot}", markup=False, soft_wrap=True)
    if as_json:
        print_json(_figures(result, metadata))
    else:
        _print(result, metadata)


def _controls(asked: Asked) -> Controls | None:
    if asked.method not in ("published", "refined"):
        raise ValueError(f"--method {asked.method}: expected published or refined")
    if asked.max_boxes is not None and asked.method != "refined":
        raise ValueError("--max-boxes: expected with --method refined")
    if asked.algorithm is not None and asked.method != "published":
        raise ValueError("--algorithm: expected with --method published")
    return None if asked.max_boxes is None else Controls(max_boxes=asked.max_boxes)


def as_outcome(result: Result, metadata: Metadata) -> Outcome:
    """Return a result in the form in which the chain would have delivered it."""
    envelope = Envelope(run="one-image", seq=0, metadata=metadata)
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
    for (x, y, size), region in zip(result.boxes.tolist(), result.regions.tolist(), strict=True):
        typer.echo(f"{x}\t{y}\t{size}\t{region}")
    composition = (
        f"composition {metadata.composition} ({metadata.composition_from})"
        if metadata.composition
        else "no composition"
    )
    err.print(
        f"{len(result.boxes)} boxes, {reduction(len(result.boxes)):.1f} times fewer points than a "
        f"full scan; k = {result.k} {_from(result)}{composition}.\n"
        "Columns: x, y, size in pixels (upper-left corner, x right, y down), region.",
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
        "boxes": [
            {"x_px": x, "y_px": y, "size_px": size, "region": region}
            for (x, y, size), region in zip(
                result.boxes.tolist(), result.regions.tolist(), strict=True
            )
        ],
    }
