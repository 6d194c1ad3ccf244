"""What the feed knows of each parent, for the tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.controllers.order import acquisition_order
from services.results.acquisition import (
    NOT_SEEN,
    Acquisition,
    AcquisitionRow,
    Acquisitions,
    BoxReceipt,
)
from services.results.record import Record

from .entry import Entry, Known
from .offering import boxes_of
from .store import EmptyFeed, FeedStore


@contextmanager
def acquisitions(path: Path) -> Iterator[Acquisitions | None]:
    """Open a feed's file for the tables; None where there was never a feed.

    Raises
    ------
    FeedError
        There is a file, and it cannot be used.
    """
    if not path.exists():
        yield None
        return
    try:
        store = FeedStore(path, read_only=True)
    except EmptyFeed:
        yield None
        return
    with store:

        def of(record: Record) -> Acquisition:
            envelope = record.outcome.envelope
            entry = store.of_frame(envelope.run, envelope.seq)
            return NOT_SEEN if entry is None else _acquisition(entry, record)

        yield of


def _acquisition(entry: Entry, record: Record) -> Acquisition:
    counts = entry.receipts_by_status()
    was_offered = entry.order is not None
    row = AcquisitionRow(
        batch=entry.state,
        controller=entry.controller or None,
        boxes_acquired=counts["acquired"],
        boxes_rejected=counts["rejected"],
        boxes_failed=counts["failed"],
        travel_boxed_px=round(entry.travel_boxed_px, 3) if was_offered else None,
        travel_px=round(entry.travel_px, 3) if was_offered else None,
    )
    return Acquisition(
        row=row,
        order=entry.order,
        places=None if entry.order is None else acquisition_order(boxes_of(record), entry.order),
        receipts=tuple(_receipt(known) for _, known in sorted(entry.receipts.items())),
    )


def _receipt(known: Known) -> BoxReceipt:
    return BoxReceipt(
        box_id=known.box_id,
        receipt=known.status,
        reason=known.reason,
        seconds=None if known.seconds is None else round(known.seconds, 6),
        controller=known.by,
        grant=known.grant,
        unix=round(known.unix, 3),
    )
