"""Pixel sizes in files: which of them can be believed.

Most image files carry a resolution, and most of those are a print setting (72 dpi). A wrong
pixel size is worse than none: boxes in nanometres go to a microscope.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

_NANOMETRES: Mapping[str, float] = {
    "pm": 1e-3,
    "a": 0.1,
    "å": 0.1,
    "angstrom": 0.1,
    "ångström": 0.1,
    "nm": 1.0,
    "nanometer": 1.0,
    "um": 1e3,
    "µm": 1e3,
    "micron": 1e3,
    "microns": 1e3,
    "micrometer": 1e3,
    "mm": 1e6,
}
COARSEST_NM = 1000.0
"""A resolution in inches, centimetres or metres is believed if a pixel is smaller than this: 25,400
dots an inch is no printer's and no screen's."""

_OME_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b[^>]{0,4000}>")
_OME_SIZE = re.compile(r'\bPhysicalSize(?P<axis>[XY])(?P<unit>Unit)?\s*=\s*"(?P<value>[^"]{1,40})"')
_UNSURE = 0.01
"""Pixels whose edges differ by more than this share are not square."""


def in_nm(x: float, y: float, unit: str) -> float | None:
    """Return a pixel's edge in nanometres, or None.

    Parameters
    ----------
    x, y : float
        Width and height of a pixel, in `unit`.
    unit : str
        As written in the file: nm, um, µm, micron, pm, A, mm; anything else is not believed.
    """
    # ImageJ writes the micro sign as an escape; there are two micro signs in Unicode.
    plain = unit.strip().strip("\x00").replace("\\u00B5", "µ").replace("\u03bc", "µ").lower()
    scale = _NANOMETRES.get(plain)
    return None if scale is None else _square(x * scale, y * scale)


def from_print_resolution(x: float, y: float, metres: float) -> float | None:
    """Return a pixel's edge in nanometres from dots per length, if it cannot be a print setting.

    Parameters
    ----------
    x, y : float
        Dots per unit along x and y.
    metres : float
        The unit's length.
    """
    if not (x > 0 and y > 0):
        return None
    size = _square(metres / x * 1e9, metres / y * 1e9)
    return size if size is not None and size < COARSEST_NM else None


def from_ome(description: str) -> float | None:
    """Return a pixel's edge in nanometres from an OME-XML description, or None.

    Read by pattern, not by an XML parser: one attribute is wanted, and a file's XML may be a bomb.
    """
    element = _OME_PIXELS.search(description)
    if element is None:
        return None
    found = {(m["axis"], bool(m["unit"])): m["value"] for m in _OME_SIZE.finditer(element[0])}
    try:
        x, y = float(found[("X", False)]), float(found[("Y", False)])
    except (KeyError, ValueError):
        return None
    units = {found.get((axis, True), "µm") for axis in "XY"}  # µm is OME's default
    return in_nm(x, y, units.pop()) if len(units) == 1 else None


def from_words(words: Mapping[str, object]) -> tuple[float | None, str | None]:
    """Return pixel size and composition from named values in a file, such as a PNG's texts.

    Parameters
    ----------
    words : mapping
        Names are compared without regard to case: `pixel_size_nm`, `composition`.
    """
    lower = {str(name).strip().lower(): value for name, value in words.items()}
    try:
        size = float(str(lower.get("pixel_size_nm")))
    except ValueError:
        size = math.nan
    composition = lower.get("composition")
    return (
        _square(size, size),
        composition.strip() or None if isinstance(composition, str) else None,
    )


def from_json(description: str) -> tuple[float | None, str | None]:
    """Return pixel size and composition from a description that is a JSON object."""
    if not description.lstrip().startswith("{") or len(description) > 1 << 20:
        return None, None
    try:
        words = json.loads(description)
    except (ValueError, RecursionError):
        return None, None
    return from_words(words) if isinstance(words, dict) else (None, None)


def _square(x: float, y: float) -> float | None:
    if not (math.isfinite(x) and math.isfinite(y) and 0 < x <= 1e9 and 0 < y <= 1e9):
        return None
    return x if abs(x - y) <= _UNSURE * max(x, y) else None
