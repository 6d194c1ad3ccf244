"""Contact sheet: many results on one page, small."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from protocols.messages import Located, Outcome

from .canvas import (
    FAINT_INK,
    OUTCOME_COLOURS,
    Picture,
    blank,
    save,
    shortened,
    write_text,
)
from .overlay import picture_of
from .record import kind_of

THUMBNAIL = 192
"""Longer side of an image on the sheet, in pixels."""

_GAP = 10
_LABEL = 40
_COLUMNS = 10


def contact_sheet(items: Iterable[tuple[Outcome, NDArray[np.generic] | None]], path: Path) -> None:
    """Draw many results on one page, in the order given, ten in a row.

    Parameters
    ----------
    items
        Each outcome with its parent image, (height, width) of any dtype, or None where that
        cannot be read. The images are looked at one after another and not kept.
    path
        The PNG to write.
    """
    lay_out([tile_of(outcome, image) for outcome, image in items], path)


def lay_out(tiles: Sequence[Picture], path: Path) -> None:
    """Put the tiles of `tile_of` on one page."""
    # A few are laid out wider than high rather than in one long row.
    columns = max(1, min(_COLUMNS, math.ceil(math.sqrt(len(tiles) * 1.5))))
    rows = max(1, math.ceil(len(tiles) / columns))
    height, width = THUMBNAIL + _LABEL, THUMBNAIL + _GAP
    page = blank(rows * (height + _GAP) + _GAP, columns * width + _GAP)
    for place, tile in enumerate(tiles):
        row, column = divmod(place, columns)
        y, x = _GAP + row * (height + _GAP), _GAP + column * width
        page[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    save(page, path)


def tile_of(outcome: Outcome, image: NDArray[np.generic] | None) -> Picture:
    """Draw one result with its name and what became of it."""
    tile = blank(THUMBNAIL + _LABEL, THUMBNAIL)
    picture = picture_of(image, outcome, THUMBNAIL)
    height, width = picture.shape[:2]
    y, x = (THUMBNAIL - height) // 2, (THUMBNAIL - width) // 2
    tile[y : y + height, x : x + width] = picture
    kind = kind_of(outcome)
    # The outcome is told by the word; the frame's colour only helps to find it.
    if not isinstance(outcome, Located):
        cv2.rectangle(
            tile, (0, 0), (THUMBNAIL - 1, THUMBNAIL - 1), OUTCOME_COLOURS[kind], thickness=2
        )
    # The folder is the same for all of a run mostly; the file's name tells them apart.
    last = outcome.envelope.metadata.parent_id.rpartition("/")[2]
    name = shortened(re.sub(r"\.[A-Za-z]{3,4}$", "", last), THUMBNAIL, 13)
    write_text(tile, name, (0, THUMBNAIL + 2), size=13)
    if isinstance(outcome, Located):
        count = len(outcome.boxes)
        text, colour = f"k = {outcome.k}, {count:,} {'box' if count == 1 else 'boxes'}", FAINT_INK
    else:
        text, colour = f"{kind}: {outcome.reason.partition(':')[0]}", OUTCOME_COLOURS[kind]
    write_text(tile, shortened(text, THUMBNAIL, 12), (0, THUMBNAIL + 20), size=12, colour=colour)
    return tile
