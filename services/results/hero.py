"""The method in one picture: survey image, regions, boxes, side by side."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.time_model import GRID_POINTS
from protocols.messages import Located

from .canvas import (
    FAINT_INK,
    TIMES,
    Picture,
    blank,
    grey_for_display,
    in_colour,
    region_colour,
    save,
    text_width,
    write_text,
)
from .painting import draw_boxes, draw_scale_bar, to_picture

_PANEL = 512
_MARGIN = 20
_HEAD = 84
_TITLE = 40


def draw_hero(image: NDArray[np.generic], result: Located, path: Path) -> None:
    """Draw survey image, regions and boxes side by side, with what they save above; 1616 px wide.

    Parameters
    ----------
    image
        (height, width), any dtype: the parent image.
    result
        Its boxes.
    path
        The PNG to write.
    """
    grey = grey_for_display(image, _PANEL)
    if grey is None:
        raise ValueError(f"image: expected (height, width), got {image.dtype} {image.shape}")
    survey = in_colour(grey)
    regions, boxes = _regions(survey, result), survey.copy()
    draw_boxes(boxes, result)
    draw_scale_bar(survey, result, size=15)
    count = len(result.boxes)
    colours = len(np.unique(result.regions))
    titles = (
        "1  survey image",
        f"2  {colours} region{'s' * (colours != 1)} by intensity",
        f"3  {count:,} acquisition boxes",
    )
    page = blank(_HEAD + _PANEL + _TITLE + _MARGIN, 3 * _PANEL + 4 * _MARGIN)
    _headline(page, count, result.envelope.metadata.composition)
    for place, (title, panel) in enumerate(zip(titles, (survey, regions, boxes), strict=True)):
        x = _MARGIN + place * (_PANEL + _MARGIN)
        height, width = panel.shape[:2]
        top, left = _HEAD + (_PANEL - height) // 2, x + (_PANEL - width) // 2
        page[top : top + height, left : left + width] = panel
        write_text(page, title, (x, _HEAD + _PANEL + 10), size=18)
    save(page, path)


def _headline(page: Picture, count: int, composition: str | None) -> None:
    text = f"{GRID_POINTS:,} scan points become {count:,} boxes"
    write_text(page, text, (_MARGIN, 22), size=32, bold=True)
    if count:
        saved = f"{GRID_POINTS / count:.1f}{TIMES} fewer"
        x = 2 * _MARGIN + text_width(text, 32, bold=True)
        write_text(page, saved, (x, 22), size=32, bold=True, colour=region_colour(2))
    if composition:
        x = page.shape[1] - _MARGIN - text_width(composition, 20)
        write_text(page, composition, (x, 32), size=20, colour=FAINT_INK)


def _regions(survey: Picture, result: Located) -> Picture:
    """Fill the boxes, which cover their regions exactly, on a darkened survey image."""
    picture: Picture = (survey * 0.3).astype(np.uint8)
    for (x0, y0, x1, y1), region in zip(
        to_picture(result, picture).tolist(), result.regions.tolist(), strict=True
    ):
        cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), region_colour(region), cv2.FILLED)
    return picture
