"""The parent image with what was acquired laid over it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from services.results.canvas import blank, grey_for_display, in_colour, save, write_text

LONGEST = 1024
DIMMED = 0.5
CAPTION = 34
EDGE = (230, 159, 0)
HOT = cv2.COLORMAP_INFERNO


def draw_acquired(
    survey: NDArray[Any],
    acquired: Iterable[tuple[int, int, NDArray[Any]]],
    caption: str,
    path: Path,
) -> None:
    """Draw the survey image dark, and over it what each acquisition brought, in colour.

    Parameters
    ----------
    survey
        The parent image, (height, width).
    acquired
        x, y of the upper-left corner in parent pixels, and the data, (rows, columns).
    caption
        One line below.
    path
        The PNG to write.
    """
    height, width = survey.shape
    children = np.full(survey.shape, np.nan)
    where = np.zeros(survey.shape, np.int32)
    for number, (x, y, data) in enumerate(acquired, start=1):
        rows, columns = data.shape
        children[y : y + rows, x : x + columns] = data
        where[y : y + rows, x : x + columns] = number
    factor = max(1, LONGEST // max(height, width))
    size = width * factor, height * factor
    grey = grey_for_display(survey, max(size))
    if grey is None:
        raise ValueError(f"survey of {survey.shape} is no picture")
    picture = in_colour((cv2.resize(grey, size) * DIMMED).astype(np.uint8))
    large = cv2.resize(where, size, interpolation=cv2.INTER_NEAREST)
    picture[large > 0] = _coloured(children, size)[large > 0]
    edge = np.zeros(large.shape, bool)
    edge[:, 1:] |= large[:, 1:] != large[:, :-1]
    edge[1:] |= large[1:] != large[:-1]
    if factor > 1:
        picture[edge] = EDGE
    page = blank(size[1] + CAPTION, size[0])
    page[: size[1]] = picture
    write_text(page, caption, (10, size[1] + 8), size=15)
    save(page, path)


def _coloured(children: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.uint8]:
    known = children[np.isfinite(children)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    levels = np.nan_to_num((children - low) / max(high - low, 1e-12)) * 255
    coloured = cv2.applyColorMap(levels.astype(np.uint8), HOT)[..., ::-1]
    return np.asarray(cv2.resize(coloured, size, interpolation=cv2.INTER_NEAREST), np.uint8)
