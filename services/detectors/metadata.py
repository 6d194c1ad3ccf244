"""What is known of an image beside its pixels, and from where.

The composition comes from the option, the table, the file's name or the file's metadata: the first
that has one. The record says which.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import msgspec

from pipeline.composition import doubt_in_name, find_in_name
from protocols.messages import CompositionSource, Metadata

from .file_finding import Found
from .formats.image import ReadImage
from .metadata_table import MetadataError, MetadataTable, TableRow, count_elements
from .names import PARENT_ID_CHARS, parent_id_for, source_for

__all__ = [
    "TABLE_NAME",
    "MetadataError",
    "MetadataTable",
    "Resolver",
    "TableRow",
    "checked_from_sender",
    "resolve",
    "with_file_metadata",
]

TABLE_NAME = "metadata.csv"
"""Taken by itself from the image's folder, or else from the folder that was given."""

_MOST_ELEMENTS = 118
_TABLES_KEPT = 64
"""Tables of folders held at once: files come folder by folder."""
_NOTES = "file_notes"
_NOTE_CHARS = 4096
"""`protocols.bounds.Note`."""
MOST_BYTES = 64 * 1024
"""Of one frame's metadata, encoded. Each field has its own bound; all at their bounds would leave a
frame's header no room for what the stages write into it."""


class Resolver:
    """Says what is known of each file of a run.

    Parameters
    ----------
    table : Path, optional
        A table for all files; then no folder's own table is looked for.
    composition : str, optional
        For all files, before anything else.
    n_elements : int, optional
        For all files, before anything else.

    Raises
    ------
    MetadataError
        If an option or the table is wrong.
    """

    def __init__(
        self,
        *,
        table: Path | None = None,
        composition: str | None = None,
        n_elements: int | None = None,
    ) -> None:
        _check_options(composition, n_elements)
        self._composition = None if composition is None else composition.strip()
        self._n_elements = n_elements
        self._table = None if table is None else MetadataTable.read(table)
        self._table_in = lru_cache(maxsize=_TABLES_KEPT)(_table_in)
        self._expected: dict[Path, MetadataTable] = {}
        self._met: dict[Path, set[int]] = {}
        self._doubts = 0
        self._doubt = ""

    def metadata_of(self, found: Found, index: int | None = None) -> Metadata:
        """Return what is known of a file without opening it; of one image of a stack, by `index`.

        Raises
        ------
        MetadataError
            If the table in its folder is wrong.
        """
        metadata = resolve(
            found.path,
            parent_id=_of_stack(parent_id_for(found.path, found.root, found.label), index),
            composition=self._composition,
            n_elements=self._n_elements,
            row=self._row(found),
        )
        _check_size(metadata)
        doubt = _doubt_about(found.path) if metadata.composition is None else None
        if doubt is not None:
            self._doubts += 1
            self._doubt = self._doubt or f"{found.path}: {doubt}"
        return metadata

    def remarks(self) -> list[str]:
        """Return what was said of images and not used, now that all of them have been resolved.

        Rows of tables that match no image, each with its file and line, where whole folders were
        given; and names with something in them that looks like a composition and is none: the
        first, and how many.
        """
        remarks = [
            f"{path}:{row.line}: {file!r}: {_why_unmet(path, file)}"
            for path, table in self._expected.items()
            for file, row in table.rows.items()
            if row.line not in self._met.get(path, ())
        ]
        if self._doubts:
            more = f" (and {self._doubts - 1} more)" if self._doubts > 1 else ""
            remarks.append(f"{self._doubt}{more}: no composition is taken from it")
        return remarks

    def _row(self, found: Found) -> TableRow | None:
        if self._table is not None:
            return self._row_of(self._table, found)
        for folder in dict.fromkeys((found.path.parent, found.root)):
            table = self._table_in(folder)
            row = None if table is None else self._row_of(table, found)
            if row is not None:
                return row
        return None

    def _row_of(self, table: MetadataTable, found: Found) -> TableRow | None:
        if not found.alone:  # else the rows of its neighbours are none of its business
            self._expected.setdefault(table.path, table)
        row = table.find(found.path)
        if row is not None:
            self._met.setdefault(table.path, set()).add(row.line)
        return row


def resolve(
    path: Path,
    *,
    parent_id: str,
    composition: str | None = None,
    n_elements: int | None = None,
    row: TableRow | None = None,
) -> Metadata:
    """Put together what is known of a file without opening it.

    Parameters
    ----------
    path : Path
        The file; its name may hold a composition.
    parent_id : str
        See `parent_id_for`.
    composition, n_elements : optional
        The options, already checked.
    row : TableRow, optional
        What a table says.

    Returns
    -------
    Metadata
        `composition_from` is "option", "table", "file name" or None. `n_elements` is the option's,
        the table's or the composition's.
    """
    row = row or TableRow(line=0)
    choices: tuple[tuple[str | None, CompositionSource], ...] = (
        (composition, "option"),
        (row.composition, "table"),
        (find_in_name(path.stem), "file name"),
    )
    text, origin = next(((text, origin) for text, origin in choices if text), (None, None))
    count = n_elements or row.n_elements
    if count is None and text is not None:
        count = count_elements(text)
    return Metadata(
        parent_id=parent_id,
        source=source_for(path),
        composition=text,
        composition_from=origin,
        n_elements=count,
        pixel_size_nm=row.pixel_size_nm,
        scan_rotation_deg=row.scan_rotation_deg,
        extra=_with_notes(row.extra, [_doubt_about(path)] if text is None else []),
    )


def with_file_metadata(metadata: Metadata, read: ReadImage) -> Metadata:
    """Add what only the opened file tells, where nothing is known yet.

    Parameters
    ----------
    metadata : Metadata
        From `resolve`.
    read : ReadImage
        What the file holds.

    Returns
    -------
    Metadata
        With pixel size and composition filled in (`composition_from` is then "file metadata"), and
        the reader's notes in `extra`, beside what else the file says; a table's column of the same
        name goes before it. A composition that cannot be read is noted, not used.
    """
    changes: dict[str, object] = {}
    notes = list(read.notes)
    if metadata.pixel_size_nm is None and read.pixel_size_nm is not None:
        changes["pixel_size_nm"] = read.pixel_size_nm
    if metadata.composition is None and read.composition is not None:
        try:
            count = count_elements(read.composition)
        except ValueError as error:
            notes.append(f"the file's metadata: {error}"[:200])
        else:
            changes |= {"composition": read.composition, "composition_from": "file metadata"}
            changes["n_elements"] = metadata.n_elements or count
    if notes or read.extra:
        said = {name: text[:_NOTE_CHARS] for name, text in read.extra.items()}
        changes["extra"] = _with_notes({**said, **metadata.extra}, notes)
    return msgspec.structs.replace(metadata, **changes) if changes else metadata


def checked_from_sender(metadata: Metadata) -> Metadata:
    """Check what a detector says of its image, and count the elements of its composition.

    Raises
    ------
    MetadataError
        If the composition cannot be read, or has another number of elements than is said.
    """
    _check_size(metadata)
    if metadata.composition is None:
        return metadata
    try:
        count = count_elements(metadata.composition)
    except ValueError as error:
        raise MetadataError(str(error)) from error
    if metadata.n_elements not in (None, count):
        raise MetadataError(
            f"n_elements: came {metadata.n_elements}, "
            f"but the composition {metadata.composition} has {count}"
        )
    return msgspec.structs.replace(
        metadata, n_elements=count, composition_from=metadata.composition_from or "sender"
    )


def _with_notes(extra: Mapping[str, str], notes: Sequence[str | None]) -> dict[str, str]:
    told = [note for note in (extra.get(_NOTES), *notes) if note]
    return {**extra, _NOTES: "; ".join(told)[:_NOTE_CHARS]} if told else dict(extra)


def _of_stack(name: str, index: int | None) -> str:
    if index is None:
        return name
    place = f"[{index + 1}]"
    return name[: PARENT_ID_CHARS - len(place)] + place


def _doubt_about(path: Path) -> str | None:
    return doubt_in_name(path.stem)


def _why_unmet(table: Path, file: str) -> str:
    for path in (table.parent / file, Path(file)):
        try:
            if path.is_file():
                return "this file is not among the images given, or has a row elsewhere"
        except (OSError, ValueError):
            break
    return "no image given is called so"


def _check_size(metadata: Metadata) -> None:
    size = len(msgspec.msgpack.encode(metadata))
    if size > MOST_BYTES:
        raise MetadataError(
            f"{metadata.parent_id}: came {size} bytes of metadata, "
            f"expected at most {MOST_BYTES} for one image"
        )


def _table_in(folder: Path) -> MetadataTable | None:
    path = folder / TABLE_NAME
    try:
        return MetadataTable.read(path) if os.path.lexists(path) else None
    except MetadataError as error:
        raise MetadataError(f"{error}\n  (name another table with --metadata)") from error


def _check_options(composition: str | None, n_elements: int | None) -> None:
    if n_elements is not None and not 1 <= n_elements <= _MOST_ELEMENTS:
        raise MetadataError(
            f"--n-elements: came {n_elements}, expected a whole number from 1 to {_MOST_ELEMENTS}"
        )
    if composition is None:
        return
    try:
        elements = count_elements(composition.strip())
    except ValueError as error:
        raise MetadataError(f"--composition: {error}") from error
    if n_elements is not None and n_elements != elements:
        raise MetadataError(
            f"--n-elements: came {n_elements}, but the composition {composition} has {elements}"
        )
