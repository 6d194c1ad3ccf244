"""Pixel sizes as microscope files write them: which can be believed, and what is wrong with others.

A wrong pixel size is worse than none: boxes in nanometres go to a microscope.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

_PER_NM: Mapping[str, float] = {
    "pm": 1e-3,
    "picometer": 1e-3,
    "a": 0.1,
    "å": 0.1,
    "ang": 0.1,
    "angstrom": 0.1,
    "ångström": 0.1,
    "nm": 1.0,
    "nanometer": 1.0,
    "um": 1e3,
    "micron": 1e3,
    "micrometer": 1e3,
    "mm": 1e6,
    "millimeter": 1e6,
    "cm": 1e7,
    "m": 1e9,
    "meter": 1e9,
}
_MICRO = str.maketrans({"\u00b5": "u", "\u03bc": "u", "\u212b": "å"})
_RECIPROCAL = re.compile(r"^1/|/1$|(\^|\*\*|)-1$|⁻¹$|^(m|u)?rad(ian)?s?$")
_ENERGY = re.compile(r"^(k|m|)ev$")
FINEST_NM, COARSEST_NM = 1e-4, 1e5
"""Of what a pixel of an electron microscope may be: up to a tenth of a millimetre."""
_UNSURE = 0.01
"""Pixels whose edges differ by more than this share are not square."""


class Axis(NamedTuple):
    """One axis of an array in a file, as written there."""

    name: str
    size: int
    scale: float
    units: str
    navigate: bool

    @property
    def plain(self) -> str:
        """Return the unit without the ways in which programs spell it: `[n_m]` is nm."""
        plain = self.units.translate(_MICRO).strip().strip("[]").lower()
        plain = re.sub(r"[\s_\x00]", "", plain)
        singular = plain.removesuffix("s").replace("metre", "meter")
        return singular if singular in _PER_NM else plain

    @property
    def is_reciprocal(self) -> bool:
        """Whether it counts spatial frequencies or angles: a diffraction pattern's."""
        return _RECIPROCAL.search(self.plain) is not None

    @property
    def is_energy(self) -> bool:
        """Whether it is a spectrum's."""
        return _ENERGY.match(self.plain) is not None or self.name.strip().lower() == "energy"

    def __str__(self) -> str:
        return f"{self.scale:.6g} {self.units}".strip()


def pixel_size_nm(x: Axis, y: Axis) -> tuple[float | None, str | None]:
    """Return a pixel's edge in nm, or None and what is wrong with what the file says."""
    wrong = _wrong_unit(x, y) or _wrong_size(_edge_nm(x), _edge_nm(y))
    if wrong is None:
        return _edge_nm(x), None
    said = str(x) if (x.scale, x.units) == (y.scale, y.units) else f"{x} x {y}"
    return None, f"pixel size {said} in the file is not trusted: {wrong}"


def _edge_nm(axis: Axis) -> float:
    # A sign is the axis's direction.
    return abs(axis.scale) * _PER_NM[axis.plain]


def _wrong_unit(x: Axis, y: Axis) -> str | None:
    if x.plain in {"", "none", "undefined", "<undefined>", "px", "pixel", "pixels"}:
        return "no unit"
    if x.plain not in _PER_NM:
        return f"{x.units[:40]!r} is no unit of length"
    return None if x.plain == y.plain else "the two axes have different units"


def _wrong_size(width: float, height: float) -> str | None:
    if not (math.isfinite(width) and math.isfinite(height) and width > 0 and height > 0):
        return "expected numbers above 0"
    if not FINEST_NM <= width <= COARSEST_NM:
        return f"{width:g} nm is no pixel of an electron microscope"
    if abs(width - height) > _UNSURE * max(width, height):
        return "the pixels are not square"
    return None
