"""Which microscope formats there are, and how their files begin."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

HOW_TO_GET_IT = "pip install 'rosettasciio[hdf5]' sparse (`make install` does)"


class Kind(NamedTuple):
    """One family of microscope files."""

    name: str
    magics: tuple[bytes, ...]
    """A file of this kind has one of these at byte `at`."""
    at: int = 0


KINDS = (
    Kind("DM3", (b"\x00\x00\x00\x03",)),
    Kind("DM4", (b"\x00\x00\x00\x04",)),
    Kind("HDF5", (b"\x89HDF\r\n\x1a\n",)),
    Kind("SER", (b"II\x97\x01",)),
    Kind("EMI", (b"JK\x00\x02",)),
    Kind("BLO", (b"IMGBLO",)),
    Kind("MRC", (b"MAP ", b"MAP\x00"), 208),
)
MICROSCOPE_SUFFIXES = frozenset(
    {".dm3", ".dm4", ".emd", ".ser", ".emi", ".mrc", ".mrcs", ".hspy", ".blo"}
)
_LONGEST = max(kind.at + len(magic) for kind in KINDS for magic in kind.magics)
_SERIES = re.compile(r"_\d+$")


def kind_of(head: bytes, name: Path) -> str | None:
    """Return the kind of a file by its first bytes, `HEAD_BYTES` of them; None if it is none.

    An MRC file of before the year 2000 has no mark: its suffix has to do.
    """
    for kind in KINDS:
        if head[kind.at :].startswith(kind.magics):
            return kind.name
    suffix = name.suffix.lower()
    if suffix in {".mrc", ".mrcs"} and len(head) >= HEAD_BYTES:
        return "MRC"
    return "EMI" if suffix == ".emi" else None


HEAD_BYTES = _LONGEST


def emi_of(ser: Path) -> Path | None:
    """Return the EMI file that belongs to a SER file, `name.emi` to `name_1.ser`, if it is there.

    Pixels are in the SER, what is known of them (magnification, kind of image) in the EMI.
    """
    wanted = f"{_SERIES.sub('', ser.stem)}.emi".lower()
    return next((path for path in _beside(ser) if path.name.lower() == wanted), None)


def sers_of(emi: Path) -> list[Path]:
    """Return the SER files that belong to an EMI file, in order."""
    stem = emi.stem.lower()
    return sorted(
        path
        for path in _beside(emi)
        if path.suffix.lower() == ".ser" and _SERIES.sub("", path.stem).lower() == stem
    )


def _beside(path: Path) -> list[Path]:
    try:
        return list(path.parent.iterdir())
    except OSError:
        return []
