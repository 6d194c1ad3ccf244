"""What the pictures are painted with: grey levels for the eye, colours, text, files.

Pictures are uint8 (height, width, 3), red, green, blue.
"""

from __future__ import annotations

import importlib.util
import io
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .whole_files import write_whole

Colour = tuple[int, int, int]
Picture = NDArray[np.uint8]

REGION_COLOURS: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
    (240, 228, 66),
)
"""Okabe and Ito's palette, told apart with any colour vision; region 1 comes first.

Yellow comes last: the highest region is the brightest, and yellow does not show on white.
"""

OUTCOME_COLOURS: dict[str, Colour] = {
    "located": (0, 158, 115),
    "rejected": (230, 159, 0),
    "failed": (213, 94, 0),
}

PAPER: Colour = (17, 20, 24)
INK: Colour = (240, 240, 240)
FAINT_INK: Colour = (160, 166, 174)

TIMES = "\N{MULTIPLICATION SIGN}"

_RESIZABLE = (np.uint8, np.uint16, np.int16, np.float32)
"""What OpenCV resizes as it is."""

_BRIGHTER = np.rint(255 * (np.arange(256) / 255) ** 0.8).astype(np.uint8)
"""Lifts the faint edges of a particle into sight: whether they are boxed is what people judge."""

_SAMPLES = 250_000
"""Percentiles are taken from about this many pixels."""


def region_colour(region: int) -> Colour:
    """Return the colour of a region, counted from 1; they recur after seven."""
    return REGION_COLOURS[(region - 1) % len(REGION_COLOURS)]


def grey_for_display(image: NDArray[np.generic], longest: int) -> NDArray[np.uint8] | None:
    """Scale any image to 8 bit for the eye, from the 0.2th to the 99.8th percentile, gamma 0.8.

    Parameters
    ----------
    image
        (height, width) of any numeric dtype. Colour, (height, width, channels), is averaged.
        What is not a number becomes black.
    longest
        Longer side of the result in pixels; the image is shrunk or enlarged to it.

    Returns
    -------
    ndarray or None
        uint8 (height, width); None if this is no picture at all.
    """
    if image.ndim not in (2, 3) or image.size == 0 or image.dtype.kind not in "buif":
        return None
    pixels: NDArray[Any] = image
    with np.errstate(over="ignore"):  # beyond 32 bits is infinite, and so white
        if image.dtype not in _RESIZABLE:
            pixels = pixels.astype(np.float32)
        if image.ndim == 3:
            pixels = pixels.mean(axis=2, dtype=np.float32)
    shape = fitted(pixels.shape, longest)
    if pixels.shape[0] > shape[0]:  # shrunk first: that is less work
        return _shaded(cv2.resize(pixels, shape[::-1], interpolation=cv2.INTER_AREA))
    grey = cv2.resize(_shaded(pixels), shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(grey, np.uint8)


def _shaded(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale to 8 bit; `grey_for_display` says how."""
    shade = image.astype(np.float32)
    step = max(1, int(np.sqrt(shade.size / _SAMPLES)))
    sample = shade[::step, ::step]
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return np.zeros(shade.shape, np.uint8)
    low, high = (float(value) for value in np.percentile(sample, (0.2, 99.8)))
    np.clip(shade, low, high, out=shade)
    shade -= low
    shade *= 255.0 / (high - low) if high > low else 0.0
    # What is not a number is the only thing that clipping leaves as it is.
    grey = np.nan_to_num(shade, copy=False).astype(np.uint8)
    return np.asarray(cv2.LUT(grey, _BRIGHTER), np.uint8)


def fitted(shape: tuple[int, ...], longest: int) -> tuple[int, int]:
    """Scale height and width so that the longer is `longest`; neither gets below 1."""
    height, width = shape
    factor = longest / max(height, width)
    return max(1, round(height * factor)), max(1, round(width * factor))


def in_colour(grey: NDArray[np.uint8]) -> Picture:
    """Turn grey levels into a picture that colours can be painted on."""
    return np.repeat(grey[:, :, None], 3, axis=2)


def blank(height: int, width: int, colour: Colour = PAPER) -> Picture:
    """Make a picture of one colour."""
    return np.full((height, width, 3), colour, np.uint8)


@lru_cache
def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Load DejaVu Sans, which matplotlib brings along: it has every sign that we write."""
    found = importlib.util.find_spec("matplotlib")
    folder = Path(found.origin).parent if found and found.origin else Path()
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(folder / "mpl-data" / "fonts" / "ttf" / name, size)


def write_text(
    picture: Picture,
    text: str,
    at: tuple[int, int],
    *,
    size: int,
    colour: Colour = INK,
    bold: bool = False,
) -> None:
    """Write one line into a picture, in place.

    Parameters
    ----------
    picture
        What is written into; what does not fit is cut off.
    text
        One line.
    at
        x, y of the line's upper-left corner.
    size
        Height of the letters in pixels, roughly.
    colour, bold
        How it looks.
    """
    x, y = at
    height = round(size * 1.4)
    strip = picture[y : y + height, x:]
    if strip.size == 0:
        return
    ink = Image.fromarray(np.ascontiguousarray(strip))
    ImageDraw.Draw(ink).text((0, 0), text, fill=colour, font=font(size, bold=bold))
    strip[:] = np.asarray(ink)


def text_width(text: str, size: int, *, bold: bool = False) -> int:
    """Measure a line, in pixels."""
    return round(font(size, bold=bold).getlength(text))


def shortened(text: str, width: int, size: int, *, bold: bool = False) -> str:
    """Leave out the middle of a line, as long names differ at their ends, until it fits."""
    text = " ".join(text.split())
    if text_width(text, size, bold=bold) <= width:
        return text
    keep = len(text) - 1
    while keep > 1:
        short = f"{text[: (keep + 1) // 2]}…{text[len(text) - keep // 2 :]}"
        if text_width(short, size, bold=bold) <= width:
            return short
        keep -= max(1, keep // 20)
    return "…"


def save(picture: Picture, path: Path) -> None:
    """Write the picture as PNG, whole or not at all.

    256 colours are kept, none more than a few levels from what was painted: noise is most of a
    micrograph, and with all its colours the file would be three times as large.
    """
    few = Image.fromarray(picture).quantize(
        256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )
    content = io.BytesIO()
    few.save(content, "PNG", compress_level=2)
    write_whole(path, content.getvalue())
