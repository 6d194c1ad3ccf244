"""The metadata table: a CSV file that says what is known of each image file.

Columns: `file` (needed), `composition`, `n_elements`, `pixel_size_nm`, `scan_rotation_deg`; any
other goes along with the image and is found again beside its boxes. Comma, semicolon or tab between
the cells, whichever the first line has; with a semicolon, a number may have a decimal comma, as
spreadsheets write it.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import Self

from pipeline.composition import parse_composition

_SHOWN_PROBLEMS = 20
_LARGEST_BYTES = 1 << 30
_CELL_CHARS = 4096
"""`protocols.bounds.Note`."""
_COMPOSITION_CHARS = 256
"""`protocols.bounds.Formula`."""
_COLUMN_CHARS = 128
"""`protocols.bounds.Name`."""
_MOST_EXTRA = 256
"""`protocols.bounds.FEW`."""
_MOST_ELEMENTS = 118
_LARGEST_NM = 1e9
_MOST_DEGREES = 360
_KNOWN = ("file", "composition", "n_elements", "pixel_size_nm", "scan_rotation_deg")


class MetadataError(ValueError):
    """What was said of the images cannot be used: where it stands, what came, what was expected."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """What a table says of one file; None is not said."""

    line: int
    composition: str | None = None
    n_elements: int | None = None
    pixel_size_nm: float | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    scan_rotation_deg: float | None = None


@dataclass(frozen=True, slots=True)
class MetadataTable:
    """A table that has been read and found right.

    Attributes
    ----------
    path : Path
        Its file.
    rows : mapping
        Row by file, as written in the table with / between folders.
    """

    path: Path
    rows: Mapping[str, TableRow]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read and check a table.

        Parameters
        ----------
        path : Path
            CSV in UTF-8, with or without a byte-order mark.

        Raises
        ------
        MetadataError
            With every wrong cell: file, line, column, what came and what was expected.
        """
        text = _text(path)
        problems: list[str] = []
        rows: dict[str, TableRow] = {}
        for file, row in _rows(path, text, problems):
            if file and file in rows:
                problems.append(f"line {row.line}: {file!r} stands in line {rows[file].line} too")
            rows[file] = row
        if problems:
            more = len(problems) - _SHOWN_PROBLEMS
            listed = problems[:_SHOWN_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
            raise MetadataError(f"{path}: " + "\n  ".join(listed))
        return cls(path, MappingProxyType(rows))

    def find(self, image: Path) -> TableRow | None:
        """Return the row of an image file.

        A table's `file` may be the whole path, the path from the table's folder, the file's name,
        or one of these without the suffix; the more exact entry wins.
        """
        absolute = Path(os.path.normpath(image.absolute()))
        names = [absolute.as_posix()]
        folder = Path(os.path.normpath(self.path.absolute().parent))
        if absolute.is_relative_to(folder):
            names.append(absolute.relative_to(folder).as_posix())
        names.append(absolute.name)
        names += [name.removesuffix(absolute.suffix) for name in names]
        return next((self.rows[name] for name in names if name in self.rows), None)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise MetadataError(f"{path}: more than the limit of {_LARGEST_BYTES} bytes")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise MetadataError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MetadataError(
            f"{path}: byte {error.start} is not UTF-8; save the table as CSV UTF-8"
        ) from error


def _rows(path: Path, text: str, problems: list[str]) -> Iterator[tuple[str, TableRow]]:
    """Yield file and row of each line, adding what is wrong to `problems`."""
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = _columns(path, next(lines, []))
        line = lines.line_num + 1
        for cells in lines:
            if any(cell.strip() for cell in cells[len(columns) :]):
                problems.append(f"line {line}: {len(cells)} cells for {len(columns)} columns")
            elif any(cell.strip() for cell in cells):
                # A line may end early; what is not there is not said.
                named = zip_longest(columns, cells[: len(columns)], fillvalue="")
                by_name = {name: cell.strip() for name, cell in named if name}
                yield _Line(line, by_name, problems, decimal_comma=delimiter == ";").read()
            line = lines.line_num + 1
    except csv.Error as error:
        problems.append(f"line {lines.line_num}: not CSV: {error}")


def _columns(path: Path, header: list[str]) -> list[str]:
    columns = [name.strip() for name in header]
    columns = [name.lower() if name.lower() in _KNOWN else name for name in columns]
    if "file" not in columns:
        came = ", ".join(repr(name) for name in columns[:10]) or "an empty line"
        raise MetadataError(f"{path}: line 1: no column 'file' among {came[:500]}")
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise MetadataError(f"{path}: line 1: the column {twice[0]!r} is there twice")
    for name in columns:
        if len(name) > _COLUMN_CHARS or not (name.isprintable() or not name):
            raise MetadataError(
                f"{path}: line 1: column {name[:40]!r}: expected at most {_COLUMN_CHARS} "
                "printable characters"
            )
    if len(columns) > _MOST_EXTRA:
        raise MetadataError(f"{path}: line 1: more than {_MOST_EXTRA} columns")
    return columns


def count_elements(composition: str) -> int:
    """Return the number of elements of a composition that fits the wire format.

    Raises
    ------
    ValueError
        If it cannot be read, or is longer than 256 characters.
    """
    if len(composition) > _COMPOSITION_CHARS:
        raise ValueError(
            f"composition: came {len(composition)} characters, "
            f"expected at most {_COMPOSITION_CHARS}"
        )
    return parse_composition(composition).n


class _Line:
    """One line of the table; what is wrong in it goes to `problems`."""

    def __init__(
        self, line: int, cells: Mapping[str, str], problems: list[str], *, decimal_comma: bool
    ) -> None:
        self._line = line
        self._cells = cells
        self._problems = problems
        self._decimal_comma = decimal_comma

    def read(self) -> tuple[str, TableRow]:
        file = self._cells["file"].replace("\\", "/").removeprefix("./")
        if not file:
            self._add("file", "empty")
        composition = self._cells.get("composition") or None
        elements = self._elements(composition)
        return file, TableRow(
            self._line,
            composition,
            self._count(elements),
            self._size(),
            self._extra(),
            self._rotation(),
        )

    def _elements(self, composition: str | None) -> int | None:
        try:
            return None if composition is None else count_elements(composition)
        except ValueError as error:
            self._add("composition", str(error))
            return None

    def _count(self, elements: int | None) -> int | None:
        text = self._cells.get("n_elements")
        if not text:
            return None
        count = int(text) if text.isascii() and text.isdigit() and len(text) <= 3 else 0
        if not 1 <= count <= _MOST_ELEMENTS:
            self._wrong("n_elements", f"a whole number from 1 to {_MOST_ELEMENTS}")
        elif elements is not None and count != elements:
            self._wrong("n_elements", f"{elements}, as the composition in this line says")
        return count

    def _size(self) -> float | None:
        size = self._number("pixel_size_nm")
        if size is not None and not 0 < size <= _LARGEST_NM:
            self._wrong("pixel_size_nm", "a number above 0")
        return size

    def _rotation(self) -> float | None:
        degrees = self._number("scan_rotation_deg")
        if degrees is not None and not -_MOST_DEGREES <= degrees <= _MOST_DEGREES:
            self._wrong("scan_rotation_deg", f"a number from -{_MOST_DEGREES} to {_MOST_DEGREES}")
        return degrees

    def _number(self, column: str) -> float | None:
        """Return the number of a cell; NaN if it is none, None if it is empty."""
        text = self._cells.get(column)
        if not text:
            return None
        try:
            return float(text.replace(",", ".", 1) if self._decimal_comma else text)
        except ValueError:
            return math.nan

    def _extra(self) -> dict[str, str]:
        extra = {name: cell for name, cell in self._cells.items() if cell and name not in _KNOWN}
        for name, cell in extra.items():
            if len(cell) > _CELL_CHARS:
                self._wrong(name, f"at most {_CELL_CHARS} characters")
        return extra

    def _wrong(self, column: str, expected: str) -> None:
        self._add(column, f"came {self._cells[column][:60]!r}, expected {expected}")

    def _add(self, column: str, text: str) -> None:
        self._problems.append(f"line {self._line}, column {column}: {text}")
