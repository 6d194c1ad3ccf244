"""boxes.parquet and frames.parquet: the same columns and numbers as the CSV tables.

pyarrow is an optional extra and is loaded here only, when a table is begun. Texts are kept as
they came: a Parquet reader runs no formulas.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, BinaryIO

import numpy as np

from .acquisition import ACQUISITION_COLUMNS, AcquisitionRow
from .rows import BOX_COLUMNS, FRAME_COLUMNS, PARTICLE, BoxColumns, FrameRow
from .view import View

BOX_ROWS = 1 << 18
"""Rows in a row group of boxes.parquet: about 40 MB in memory while it fills."""

_PARENTS = 1 << 13
"""Parents in a row group, at most: the columns of small ones weigh more than their rows."""

FRAME_ROWS = 1 << 14
"""Rows in a row group of frames.parquet."""


def why_not() -> str | None:
    """Say why Parquet cannot be written here; None if it can."""
    if find_spec("pyarrow") is None:
        return "pyarrow is not installed; pip install 'haadflow[parquet]' adds it"
    return None


class BoxesParquet:
    """boxes.parquet: one row a box. Needs pyarrow.

    With `particles`, the particle of each box stands behind it.
    """

    def __init__(self, file: BinaryIO, *, particles: bool = False) -> None:
        self._pa = pa = import_module("pyarrow")
        texts = pa.dictionary(pa.int32(), pa.string())
        names = (*BOX_COLUMNS, PARTICLE) if particles else BOX_COLUMNS
        types = {name: pa.int32() for name in names}
        types |= {name: pa.float64() for name in BOX_COLUMNS if name.endswith(("_frac", "_nm"))}
        types |= {"parent_id": texts, "source": texts, "region": pa.uint8()}
        self._schema = _schema(pa, types)
        parquet = import_module("pyarrow.parquet")
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._parents: list[tuple[str, str]] = []
        self._columns: list[BoxColumns] = []
        self._rows = 0

    def add(self, view: View) -> None:
        """Append the rows of one parent image."""
        if view.columns is None:
            return
        self._parents.append((view.row.parent_id, view.row.source))
        self._columns.append(view.columns)
        self._rows += view.row.n_boxes
        if self._rows >= BOX_ROWS or len(self._parents) >= _PARENTS:
            self._flush()

    def finish(self) -> None:
        """Write what is held back, and the file's end."""
        try:
            if self._columns:
                self._flush()
        finally:
            self._writer.close()

    def _flush(self) -> None:
        pa = self._pa
        counts = [len(columns.box_id) for columns in self._columns]
        parent = pa.array(np.repeat(np.arange(len(counts), dtype=np.int32), counts))
        arrays = [
            pa.DictionaryArray.from_arrays(parent, pa.array(texts, pa.string()))
            for texts in zip(*self._parents, strict=True)
        ]
        for field in list(self._schema)[2:]:
            parts = [getattr(columns, field.name) for columns in self._columns]
            known = np.repeat([part is not None for part in parts], counts)
            filled = [
                np.zeros(count) if part is None else part
                for part, count in zip(parts, counts, strict=True)
            ]
            arrays.append(pa.array(np.concatenate(filled), mask=~known).cast(field.type))
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._parents, self._columns, self._rows = [], [], 0


class FramesParquet:
    """frames.parquet: one row a parent image. Needs pyarrow.

    With `acquired`, what became of its boxes stands behind it: every view has an acquisition.
    """

    def __init__(self, file: BinaryIO, *, acquired: bool = False) -> None:
        self._pa = pa = import_module("pyarrow")
        texts = ("parent_id", "source", "outcome", "reason", "composition", "composition_from")
        types = {name: pa.int64() for name in FRAME_COLUMNS}
        types |= {name: pa.string() for name in (*texts, "replay_of")}
        types |= {name: pa.float64() for name in ("pixel_size_nm", "reduction", "process_ms")}
        self._more = ACQUISITION_COLUMNS if acquired else ()
        types |= {name: pa.int64() for name in self._more}
        types |= {name: pa.string() for name in self._more if name in {"batch", "controller"}}
        types |= {name: pa.float64() for name in self._more if name.endswith("_px")}
        self._schema = _schema(pa, types)
        parquet = import_module("pyarrow.parquet")
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")
        self._held: list[tuple[FrameRow, AcquisitionRow | None]] = []

    def add(self, view: View) -> None:
        """Append the row of one parent image."""
        self._held.append((view.row, view.acquisition.row if view.acquisition else None))
        if len(self._held) >= FRAME_ROWS:
            self._flush()

    def finish(self) -> None:
        """Write what is held back, and the file's end."""
        try:
            if self._held:
                self._flush()
        finally:
            self._writer.close()

    def _flush(self) -> None:
        arrays = [
            self._pa.array(
                [getattr(held[field.name in self._more], field.name) for held in self._held],
                field.type,
            )
            for field in self._schema
        ]
        self._writer.write_table(self._pa.Table.from_arrays(arrays, schema=self._schema))
        self._held = []


def _schema(pa: Any, types: dict[str, Any]) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Build the schema; each field carries its unit where it has one."""
    fields = []
    for name, kind in types.items():
        unit = name.rpartition("_")[2]
        known = {"px": "px", "nm": "nm", "ms": "ms", "frac": "1", "height": "px", "width": "px"}
        metadata = {"unit": known[unit]} if unit in known else None
        fields.append(pa.field(name, kind, metadata=metadata))
    return pa.schema(fields)
