"""The work of `send`: read files, offer them, say what was taken."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from services.detectors.client import Detector, NotAccepted
from services.detectors.file_finding import WHAT_IS_TAKEN, find_images
from services.detectors.files import ReadLimits, UnreadableImage, limits_up_to, read_image
from services.detectors.metadata import MetadataError, Resolver, with_file_metadata
from services.detectors.stacks import FoundImage, StackRule, each_image
from services.runtime import exit_codes

from .terminal import complain, err, fail, out, remark


def send_files(
    paths: list[Path],
    address: str,
    *,
    composition: str | None,
    n_elements: int | None,
    recursive: bool,
    table: Path | None,
    max_pixels: int | None,
    stack: StackRule,
    repeat: int,
    patience_s: float,
    keys: Path | None,
) -> None:
    """Send files and print how many were accepted; end with status 3 when some were not."""
    try:
        resolver = Resolver(table=table, composition=composition, n_elements=n_elements)
        limits = limits_up_to(max_pixels)
        found = list(each_image(find_images(paths, recursive=recursive), stack, limits))
    except (MetadataError, OSError) as error:
        fail(str(error))
    if not found:
        fail(f"no images there: {WHAT_IS_TAKEN} are taken")
    detector = Detector(address, name="haadflow send", patience_s=patience_s, keys=keys)
    unreadable = 0
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    try:
        with Progress(*columns, console=err) as progress, detector:
            task = progress.add_task("accepted", total=len(found) * repeat)
            for _ in range(repeat):
                for image in found:
                    unreadable += not _send_file(detector, resolver, image, limits)
                    progress.update(task, completed=detector.accepted)
            detector.flush()
            progress.update(task, completed=detector.accepted)
        remark(resolver.remarks())
    except NotAccepted as error:
        fail(str(error), exit_codes.BROKEN)
    for refusal in detector.refusals:
        complain(f"{refusal.parent_id} was refused: {refusal.reason}")
    out.print(
        f"accepted {detector.accepted}, refused {len(detector.refusals)}, unreadable {unreadable}"
    )
    if detector.refusals or unreadable:
        raise typer.Exit(exit_codes.SOME_FAILED)


def _send_file(
    detector: Detector, resolver: Resolver, image: FoundImage, limits: ReadLimits
) -> bool:
    """Send one image; say whether it could be read."""
    try:
        metadata = resolver.metadata_of(image.found, image.place)
        read = read_image(image.path, limits=limits, index=image.place)
    except (UnreadableImage, MetadataError) as error:
        complain(f"{image.path}: {error}")
        return False
    metadata = with_file_metadata(metadata, read)
    detector.send_with(metadata, read.image)
    return True
