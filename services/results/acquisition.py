"""What became of a parent's boxes at a scan controller, as the tables have it.

Who keeps that is the feed (services/feed/); here is only what it hands over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from .cells import cell, text_cell
from .record import Record


class BoxReceipt(Struct, frozen=True, kw_only=True):
    """Of one box."""

    box_id: int
    receipt: str
    """`acquired`, `rejected` or `failed`."""
    reason: str
    seconds: float | None
    controller: str
    """Who said so: a controller, `feed` or `operator`."""
    grant: int | None
    """Of which offer."""
    unix: float


class AcquisitionRow(Struct, frozen=True, kw_only=True):
    """What frames.csv and frames.parquet have behind the other columns, where there was a feed."""

    batch: str | None
    """`waiting`, `offered`, `started`, `held` or `done`; None before the feed has seen it."""
    controller: str | None
    """Who has, or had, the last offer."""
    boxes_acquired: int
    boxes_rejected: int
    boxes_failed: int
    travel_boxed_px: float | None
    travel_px: float | None
    """Way of the beam as boxed, and in the order of acquisition; None where it was not offered."""


ACQUISITION_COLUMNS = AcquisitionRow.__struct_fields__
RECEIPT_COLUMNS = ("parent_id", "source", *BoxReceipt.__struct_fields__)
"""The header of receipts.csv."""


class Acquisition(Struct, frozen=True, kw_only=True):
    """Of one parent."""

    row: AcquisitionRow
    order: str | None = None
    """Its name, as the feed chose it."""
    places: NDArray[np.int32] | None = None
    """(N,): box_ids in the order of acquisition; None is the order of the method."""
    receipts: tuple[BoxReceipt, ...] = ()
    """By box_id; boxes without one are left out."""


Acquisitions: TypeAlias = Callable[[Record], Acquisition]
NOT_SEEN = Acquisition(
    row=AcquisitionRow(
        batch=None,
        controller=None,
        boxes_acquired=0,
        boxes_rejected=0,
        boxes_failed=0,
        travel_boxed_px=None,
        travel_px=None,
    )
)


class ReceiptsCsv:
    """receipts.csv: one row a receipt."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        file.write(_line(RECEIPT_COLUMNS))

    def add(self, parent_id: str, source: str, acquisition: Acquisition) -> None:
        """Append the receipts of one parent."""
        parent = f"{text_cell(parent_id)},{text_cell(source)},"
        for receipt in acquisition.receipts:
            values = (getattr(receipt, name) for name in BoxReceipt.__struct_fields__)
            self._file.write(parent.encode() + _line(map(cell, values)))


def _line(cells: Iterable[Any]) -> bytes:
    return (",".join(cells) + "\n").encode()
