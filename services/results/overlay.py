"""The survey image with its boxes, for the eye of a microscopist."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.time_model import GRID_POINTS
from protocols.messages import Located, Outcome

from .canvas import (
    FAINT_INK,
    OUTCOME_COLOURS,
    TIMES,
    Picture,
    blank,
    fitted,
    grey_for_display,
    in_colour,
    region_colour,
    save,
    shortened,
    text_width,
    write_text,
)
from .painting import draw_boxes, draw_scale_bar
from .particles import particles_of
from .record import kind_of

LONGEST = 1024
"""Longer side of the image in an overlay, in pixels."""

_NARROWEST = 640
"""Narrower images get sides, so that the caption can be read."""

_MARGIN = 16
_PLAIN = 40
"""Grey level in place of an image that is not there."""


def draw_overlay(image: NDArray[np.generic] | None, result: Outcome, path: Path) -> None:
    """Draw boxes, bounding box, scale bar and a caption over the survey image.

    Parameters
    ----------
    image
        (height, width), any dtype: the parent image as it came; None where it cannot be read.
    result
        Its outcome. What was rejected or failed is drawn without boxes, with the reason.
    path
        The PNG to write.
    """
    picture = picture_of(image, result, LONGEST)
    if isinstance(result, Located):
        draw_scale_bar(picture, result)
    missing = _NARROWEST - picture.shape[1]
    if missing > 0:
        left = missing // 2
        sides = (blank(len(picture), left), picture, blank(len(picture), missing - left))
        picture = np.hstack(sides)
    save(np.vstack([picture, _caption(result, picture.shape[1])]), path)


def picture_of(image: NDArray[np.generic] | None, result: Outcome, longest: int) -> Picture:
    """Draw the image with boxes and bounding box, its longer side `longest` pixels.

    Without an image, boxes are drawn on a plain ground of the parent's shape; with neither image
    nor boxes there is only a plain strip.
    """
    grey = None if image is None else grey_for_display(image, longest)
    if isinstance(result, Located):
        if grey is None:
            shape = (result.grid.parent_height, result.grid.parent_width)
            grey = np.full(fitted(shape, longest), _PLAIN, np.uint8)
        picture = in_colour(grey)
        draw_boxes(picture, result)
        return picture
    if grey is None:
        return blank(longest // 4, longest, (_PLAIN, _PLAIN, _PLAIN))
    return (in_colour(grey) * 0.6).astype(np.uint8)


def headline(result: Located) -> str:
    """Say in a line what was found and what it saves."""
    metadata = result.envelope.metadata
    count = len(result.boxes)
    parts = [metadata.composition or "composition not known", f"k = {result.k} with the background"]
    particles = len(particles_of(result))
    if particles:
        parts.append(f"{particles:,} particle{'s' * (particles != 1)}")
    parts.append(f"{count:,} {'box' if count == 1 else 'boxes'}")
    if count:
        parts.append(f"{GRID_POINTS / count:.1f}{TIMES} fewer points than {GRID_POINTS:,}")
    return " · ".join(parts)


def _caption(result: Outcome, width: int) -> Picture:
    """Paint the strip below the image."""
    strip = blank(112 if isinstance(result, Located) else 136, width)
    kind = kind_of(result)
    inner = width - 2 * _MARGIN
    tag = text_width(kind, 18, bold=True)
    write_text(
        strip, kind, (width - _MARGIN - tag, 12), size=18, colour=OUTCOME_COLOURS[kind], bold=True
    )
    title = shortened(result.envelope.metadata.parent_id, inner - tag - _MARGIN, 20, bold=True)
    write_text(strip, title, (_MARGIN, 10), size=20, bold=True)
    if isinstance(result, Located):
        write_text(strip, shortened(headline(result), inner, 17), (_MARGIN, 44), size=17)
        _legend(strip, result, (_MARGIN, 78))
    else:
        for place, line in enumerate(_wrapped(f"{result.stage}: {result.reason}", inner, 17, 3)):
            write_text(strip, line, (_MARGIN, 44 + 28 * place), size=17)
    return strip


def _legend(strip: Picture, located: Located, at: tuple[int, int]) -> None:
    """Name the regions' colours, as many as fit."""
    x, y = at
    regions, counts = np.unique(located.regions, return_counts=True)
    for region, count in zip(regions.tolist(), counts.tolist(), strict=True):
        text = f"region {region} ({count:,})"
        wide = 24 + text_width(text, 15)
        if x + wide > strip.shape[1] - _MARGIN:
            break
        cv2.rectangle(strip, (x, y + 2), (x + 15, y + 17), region_colour(region), cv2.FILLED)
        write_text(strip, text, (x + 24, y), size=15, colour=FAINT_INK)
        x += wide + 24


def _wrapped(text: str, width: int, size: int, most: int) -> list[str]:
    """Break a text into lines, the last one shortened if there are more than `most`."""
    lines: list[str] = []
    words = text.split()
    while words and len(lines) < most - 1:
        taken = 1
        while taken < len(words) and text_width(" ".join(words[: taken + 1]), size) <= width:
            taken += 1
        lines.append(shortened(" ".join(words[:taken]), width, size))
        words = words[taken:]
    return [*lines, shortened(" ".join(words), width, size)] if words else lines
