"""Synthetic megalibraries: HAADF survey images of nanoparticles, with their truth."""

from __future__ import annotations

from .body import SHAPES, Shape
from .difficulties import DIFFICULTIES, SETTINGS, Difficulty
from .emulate import SIZES, Emulated, emulate
from .layouts import ARRANGEMENTS, Arrangement
from .scene import examine

__all__ = [
    "ARRANGEMENTS",
    "DIFFICULTIES",
    "SETTINGS",
    "SHAPES",
    "SIZES",
    "Arrangement",
    "Difficulty",
    "Emulated",
    "Shape",
    "emulate",
    "examine",
]
