"""A synthetic megalibrary: HAADF survey images of single particles, with their truth."""

from __future__ import annotations

from .body import SHAPES, Shape
from .emulate import SIZES, Emulated, emulate
from .layouts import ARRANGEMENTS, Arrangement

__all__ = ["ARRANGEMENTS", "SHAPES", "SIZES", "Arrangement", "Emulated", "Shape", "emulate"]
