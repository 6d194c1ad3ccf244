"""Values as text: cells of CSV, and the numbers that CSV and JSON Lines share.

Numbers are written as Python's `repr` does: the shortest decimal that reads back as exactly the
same 64-bit float. Not known is an empty cell.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
_NEEDS_QUOTES = frozenset(',"\r\n')


def text_cell(text: str) -> str:
    """Write text that came from outside as a cell.

    A spreadsheet runs a cell that begins with `=`, `+`, `-` or `@` as a formula, and file names
    come from anywhere. Such text gets an apostrophe in front, which spreadsheets take as "text
    follows"; so does text that begins with an apostrophe, a tab or a line end, so that removing
    one leading apostrophe always gives back what came.

    Separators, quotes and line ends are quoted as in RFC 4180.
    """
    if text.startswith(_STARTS_A_FORMULA):
        text = "'" + text
    if _NEEDS_QUOTES.isdisjoint(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def cell(value: str | float | None) -> str:
    """Write any value as a cell; numbers are never taken for formulas."""
    if value is None:
        return ""
    return text_cell(value) if isinstance(value, str) else repr(value)


def column_texts(column: NDArray[np.integer] | NDArray[np.float64]) -> list[str]:
    """Write a column of a parent's boxes, (N,), as N texts."""
    known = _FLOATS if column.dtype.kind == "f" else _INTEGERS
    return list(map(known.__getitem__, column.tolist()))


class _Texts(dict[float, str]):
    """Numbers already written; the boxes of all parents lie on grids, so that most recur.

    Turning a float into text is the slowest step of the export, and looking it up takes a
    tenth of it. Begins anew when full.
    """

    _FULL = 1 << 17

    def __missing__(self, value: float) -> str:
        if len(self) >= self._FULL:
            self.clear()
        text = self[value] = repr(value)
        return text


# Apart, because 1 and 1.0 are one key.
_FLOATS = _Texts()
_INTEGERS = _Texts()
