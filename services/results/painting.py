"""Boxes, bounding box and scale bar, painted over a picture of the parent image."""

from __future__ import annotations

import math

import cv2
import numpy as np
from msgspec.structs import astuple
from numpy.typing import NDArray

from protocols.messages import Located

from .canvas import INK, PAPER, Picture, region_colour, text_width, write_text
from .particles import particles_of
from .rows import pixel_size


def draw_boxes(picture: Picture, located: Located, *, tint: float = 0.16) -> None:
    """Draw the boxes in the colours of their regions, in place, and each particle's bounds dashed.

    Parameters
    ----------
    picture
        The parent image at any scale.
    located
        The boxes.
    tint
        How strongly each box is filled, 0 to 1.
    """
    corners = to_picture(located, picture)
    colours = [region_colour(int(region)) for region in located.regions]
    filled, lined = picture.copy(), picture.copy()
    for (x0, y0, x1, y1), colour in zip(corners.tolist(), colours, strict=True):
        cv2.rectangle(filled, (x0, y0), (x1 - 1, y1 - 1), colour, cv2.FILLED)
    cv2.addWeighted(filled, tint, picture, 1 - tint, 0, dst=lined)
    picture[:] = lined
    for (x0, y0, x1, y1), colour in zip(corners.tolist(), colours, strict=True):
        cv2.rectangle(lined, (x0, y0), (x1, y1), colour, 1)
    cv2.addWeighted(lined, 0.8, picture, 0.2, 0, dst=picture)
    for bounds in _scaled(_bounding_boxes(located), located, picture):
        _dashed(picture, *bounds)


def to_picture(located: Located, picture: Picture) -> NDArray[np.int64]:
    """Scale the boxes to a picture of the parent: (N, 4) of x0, y0, x1, y1, half-open."""
    x, y, size = located.boxes.astype(np.int64).T
    return _scaled(np.stack([x, y, x + size, y + size], axis=1), located, picture)


def _bounding_boxes(located: Located) -> NDArray[np.int64]:
    """Return the bounding box of each particle; of all, where they are not told apart."""
    each = [particle.bounding_box for particle in particles_of(located)]
    return np.array(each or [astuple(located.bounding_box)], np.int64)


def _scaled(corners: NDArray[np.int64], located: Located, picture: Picture) -> NDArray[np.int64]:
    height, width = picture.shape[:2]
    across, down = width / located.grid.parent_width, height / located.grid.parent_height
    scaled: NDArray[np.int64] = np.rint(corners * [across, down, across, down]).astype(np.int64)
    return scaled


def _dashed(picture: Picture, x0: int, y0: int, x1: int, y1: int) -> None:
    """Draw a dashed rectangle, thin and white, inside the half-open corners."""
    dash = max(3, picture.shape[1] // 128)
    gap = max(4, dash * 3 // 4)
    for start in range(x0, x1, dash + gap):
        end = min(start + dash, x1)
        picture[min(y0, len(picture) - 1), start:end] = INK
        picture[min(y1, len(picture)) - 1, start:end] = INK
    for start in range(y0, y1, dash + gap):
        end = min(start + dash, y1)
        picture[start:end, min(x0, picture.shape[1] - 1)] = INK
        picture[start:end, min(x1, picture.shape[1]) - 1] = INK


def draw_scale_bar(picture: Picture, located: Located, *, size: int = 18) -> None:
    """Draw a bar of a round length in the lower left corner, in place.

    Nothing is drawn where the pixel size is not known.

    Parameters
    ----------
    picture
        The parent image at any scale.
    located
        Tells the parent's width and pixel size.
    size
        Height of its letters, in pixels.
    """
    scale = pixel_size(located)
    if scale is None:
        return
    height, width = picture.shape[:2]
    nm_per_pixel = scale * located.grid.parent_width / width
    length_nm = round_length(0.22 * width * nm_per_pixel)
    length = max(1, round(length_nm / nm_per_pixel))
    label = length_text(length_nm)
    wide = max(length, text_width(label, size))
    thick, gap = max(3, size // 4), size // 2
    x0, y1 = gap, height - gap
    x1, y0 = x0 + wide + 2 * gap, y1 - round(1.4 * size) - thick - 2 * gap
    ground = picture[max(y0, 0) : y1, x0:x1]
    ground[:] = (ground * 0.35 + np.array(PAPER) * 0.65).astype(np.uint8)
    left = x0 + gap + (wide - length) // 2
    cv2.rectangle(
        picture, (left, y1 - gap - thick), (left + length - 1, y1 - gap - 1), INK, cv2.FILLED
    )
    text_x = x0 + gap + (wide - text_width(label, size)) // 2
    write_text(picture, label, (text_x, max(y0 + gap // 2, 0)), size=size)


def round_length(longest: float) -> float:
    """Return the greatest of 1, 2, 5 times a power of ten that is not above `longest`."""
    power = 10.0 ** math.floor(math.log10(longest))
    return next(step * power for step in (5, 2, 1) if step * power <= longest * (1 + 1e-9))


def length_text(nanometres: float) -> str:
    """Write a length with the unit that keeps it short."""
    for unit, size in (("mm", 1e6), ("µm", 1e3), ("nm", 1.0)):
        if nanometres >= size * (1 - 1e-9):
            return f"{nanometres / size:g} {unit}"
    return f"{nanometres * 1e3:g} pm"
