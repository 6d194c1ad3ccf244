"""The work of `check`: whether images, their tables and their names are as they should be."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import typer

from services.detectors.file_finding import WHAT_IS_TAKEN, Found, find_images
from services.detectors.files import ReadLimits, UnreadableImage, read_image
from services.detectors.metadata import MetadataError, Resolver, with_file_metadata
from services.runtime import exit_codes

from .terminal import complain, err, fail, out


def check_images(
    paths: list[Path], *, recursive: bool, table: Path | None, limits: ReadLimits
) -> None:
    """Read every image and resolve what is said of it; name all that is wrong.

    Ends with status 2 if a table or a name is wrong, else with 3 if an image cannot be read.
    """
    try:
        resolver = Resolver(table=table)
        unreadable = Counter(_check(resolver, found, limits) for found in _found(paths, recursive))
    except MetadataError as error:
        fail(str(error))
    if not unreadable:
        fail(f"no images there: {WHAT_IS_TAKEN} are taken; --recursive looks deeper")
    remarks = resolver.remarks()
    for text in remarks:
        complain(text)
    out.print(f"{unreadable.total()} images, of which {unreadable[True]} cannot be read")
    if remarks or unreadable[True]:
        raise typer.Exit(exit_codes.USAGE if remarks else exit_codes.SOME_FAILED)


def _found(paths: list[Path], recursive: bool) -> list[Found]:
    with err.status("looking for images"):
        return list(find_images(paths, recursive=recursive))


def _check(resolver: Resolver, found: Found, limits: ReadLimits) -> bool:
    """Say whether an image cannot be read."""
    metadata = resolver.metadata_of(found)
    try:
        with_file_metadata(metadata, read_image(found.path, limits=limits))
    except UnreadableImage as error:
        complain(f"{found.path}: {error}")
        return True
    return False
