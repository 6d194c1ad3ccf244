"""The pictures of a run: overlays, a contact sheet, the distributions."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from protocols.messages import Outcome

from .canvas import Picture
from .distributions import draw_distributions
from .hero import draw_hero
from .overlay import draw_overlay
from .sheet import contact_sheet, lay_out, tile_of
from .statistics import Statistics
from .store import ResultStore

__all__ = [
    "Pictures",
    "ReadImage",
    "contact_sheet",
    "draw_distributions",
    "draw_hero",
    "draw_overlay",
    "file_stem",
    "overlay_name",
    "write_pictures",
]

ReadImage = Callable[[Outcome], NDArray[np.generic] | None]
"""Finds the parent image of an outcome again, (height, width); None if there is none."""

_LONGEST_NAME = 80


class Pictures(Struct, frozen=True, kw_only=True):
    """What was drawn."""

    overlays: tuple[Path, ...]
    sheet: Path
    distributions: Path
    unread: dict[str, str]
    """parent_id of each image that could not be read again, and why."""


def write_pictures(
    store: ResultStore,
    out: Path,
    read_image: ReadImage,
    *,
    first: int = 100,
    statistics: Statistics | None = None,
    progress: Callable[[int], None] | None = None,
) -> Pictures:
    """Draw the first results of a run, and its distributions.

    Parameters
    ----------
    store
        The run.
    out
        Gets `overlays/`, `contact_sheet.png` and `distributions.png`.
    read_image
        Called once for each of the first results. What it raises is noted, and the boxes are
        drawn without their image.
    first
        How many results are drawn.
    statistics
        Of the whole run, as an export returns them; gathered from the store if not given.
    progress
        Called after each result with the number of those drawn.
    """
    overlays: list[Path] = []
    tiles: list[Picture] = []
    unread: dict[str, str] = {}
    for result in islice(store.results(), first):
        image = _read(read_image, result, unread)
        overlays.append(out / "overlays" / overlay_name(result))
        draw_overlay(image, result, overlays[-1])
        tiles.append(tile_of(result, image))
        if progress is not None:
            progress(len(tiles))
    sheet = out / "contact_sheet.png"
    lay_out(tiles, sheet)
    distributions = out / "distributions.png"
    draw_distributions(statistics or Statistics.of(store.results()), distributions)
    return Pictures(
        overlays=tuple(overlays), sheet=sheet, distributions=distributions, unread=unread
    )


def overlay_name(result: Outcome) -> str:
    """Name the overlay of a result."""
    return f"{file_stem(result)}.png"


def file_stem(result: Outcome) -> str:
    """Name the files of a result, up to what tells their kind.

    The seq comes first, so that names are unique, also where case is not told apart, and sort
    in the order of the run. Of the parent's name, which comes from outside, only letters,
    digits, `.`, `_` and `-` are kept, without the file's suffix and not more than 80 characters.
    """
    parent = re.sub(r"\.[A-Za-z]{3,4}$", "", result.envelope.metadata.parent_id)
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", parent).strip("-.")
    return f"{result.envelope.seq:06d}_{kept[:_LONGEST_NAME] or 'unnamed'}"


def _read(
    read_image: ReadImage, result: Outcome, unread: dict[str, str]
) -> NDArray[np.generic] | None:
    try:
        return read_image(result)
    except Exception as error:  # noqa: BLE001 - a picture is not worth the run; the caller is told
        unread[result.envelope.metadata.parent_id] = str(error)
        return None
