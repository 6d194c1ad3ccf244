"""TIFF with a microscope vendor's own tags: pixel size and magnification are in there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import tifffile

from services.detectors.microscope.messages import Answer
from services.detectors.microscope.reading import missing, read_calibration

from .image import ReadLimits, UnreadableImage

_TAGS: Mapping[int, str] = {
    33471: "Olympus SIS",
    33560: "Olympus SIS",
    34118: "Zeiss SEM",
    34680: "FEI",
    34682: "FEI",
    37706: "TVIPS",
    65003: "DigitalMicrograph",
    65009: "DigitalMicrograph",
}
_MAKE = 271
_JEOL = "JEOL Ltd."


def vendor_of(page: tifffile.TiffPage) -> str | None:
    """Return whose tags a page has, if they are some that rosettasciio reads."""
    vendor = next((name for code, name in _TAGS.items() if code in page.tags), None)
    if vendor is None and page.tags.valueof(_MAKE) == _JEOL:
        return "JEOL"
    return vendor


def read_vendor(file: BinaryIO, vendor: str, limits: ReadLimits) -> Answer:
    """Return what a vendor's tags say; what cannot be read of them is a note.

    Raises
    ------
    UnreadableImage
        The tags say that this is a diffraction pattern.
    """
    if missing():
        note = f"{vendor} tags are not read: {', '.join(missing())} not installed"
        return Answer(notes=(note,))
    try:
        said = read_calibration(Path(file.name), limits)
    except UnreadableImage as error:
        if "diffraction" in str(error):
            raise
        return Answer(notes=(f"{vendor} tags cannot be read: {error}"[:500],))
    return Answer(
        pixel_size_nm=said.pixel_size_nm,
        composition=said.composition,
        notes=said.notes,
        extra={**said.extra, "format": f"TIFF ({vendor})"},
    )
