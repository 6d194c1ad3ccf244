"""boxes.csv and frames.csv. UTF-8, lines end with a line feed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from .acquisition import ACQUISITION_COLUMNS
from .cells import cell, text_cell
from .rows import BOX_COLUMNS, BOX_FIELDS, FRAME_COLUMNS, PARTICLE
from .view import View


class BoxesCsv:
    """boxes.csv: one row a box.

    With `particles`, the particle of each box stands behind it.
    """

    def __init__(self, file: BinaryIO, *, particles: bool = False) -> None:
        self._file = file
        more = (PARTICLE,) if particles else ()
        self._names = (*BOX_FIELDS, *more)
        file.write(_line((*BOX_COLUMNS, *more)))

    def add(self, view: View) -> None:
        """Append the rows of one parent image."""
        texts = view.box_texts(self._names, "")
        if not texts:
            return
        parent = f"{text_cell(view.row.parent_id)},{text_cell(view.row.source)},"
        lines = [f"{parent}{','.join(values)}\n" for values in zip(*texts, strict=True)]
        self._file.write("".join(lines).encode())

    def finish(self) -> None:
        """Nothing is held back."""


class FramesCsv:
    """frames.csv: one row a parent image, rejected and failed ones too.

    With `acquired`, what became of its boxes stands behind it: every view has an acquisition.
    """

    def __init__(self, file: BinaryIO, *, acquired: bool = False) -> None:
        self._file = file
        self._more = ACQUISITION_COLUMNS if acquired else ()
        file.write(_line((*FRAME_COLUMNS, *self._more)))

    def add(self, view: View) -> None:
        """Append the row of one parent image."""
        row = view.row
        cells = [cell(getattr(row, column)) for column in FRAME_COLUMNS]
        more = None if view.acquisition is None else view.acquisition.row
        cells += [cell(getattr(more, column)) for column in self._more]
        self._file.write(_line(cells))

    def finish(self) -> None:
        """Nothing is held back."""


def _line(cells: Iterable[str]) -> bytes:
    return (",".join(cells) + "\n").encode()
