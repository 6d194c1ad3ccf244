"""What the feed knows of one batch, that is of the boxes of one parent image."""

from __future__ import annotations

import zlib
from typing import Literal

import msgspec
from msgspec import Struct, field

from protocols.scanning import Order, ReceiptStatus

State = Literal["waiting", "offered", "started", "held", "done"]
"""
========= =====================================================================
`waiting` no controller has it
`offered` one has it and no `Go`: no box of the offer was under the beam
`started` one has `Go`: the boxes of the offer without a receipt may have been
`held`    the same, and its controller is gone: its journal or an operator decides
`done`    every box has a receipt
========= =====================================================================
"""


class Known(Struct, frozen=True, array_like=True):
    """The receipt of one box as it is kept."""

    box_id: int
    status: ReceiptStatus
    reason: str
    seconds: float | None
    by: str
    """Who said so: a controller's name, `feed` or `operator`."""
    grant: int | None
    """Of which offer; None where it was never offered."""
    unix: float


class Entry(Struct, kw_only=True):
    """One batch; changed by batches.py alone, inside a transaction of the store."""

    place: int
    """Its outcome's place in the result store, in the order of commits."""
    run: str
    seq: int
    parent_id: str
    outcome: str
    n_boxes: int
    state: State = "waiting"
    since_unix: float
    """When it came into its state, seconds since 1970-01-01 UTC."""
    why: str = ""
    """Of a held batch."""
    order: Order | None = None
    """In which it was offered first; None while it never was."""
    travel_boxed_px: float = 0.0
    travel_px: float = 0.0
    grant: int | None = None
    """Of the last offer."""
    controller: str = ""
    session: str = ""
    journal: str | None = None
    """Who has, or had, that offer."""
    offered: list[int] = field(default_factory=list)
    """box_ids of the current offer."""
    untouched: list[int] = field(default_factory=list)
    """Of these, the ones given back so far."""
    ended: bool = False
    """Whether its controller has said the last of that offer; receipts may still come."""
    begun: bool = False
    """Whether any controller ever had `Go`: what it has left is not refused, it waits."""
    may_repeat: list[int] = field(default_factory=list)
    """Released by an operator though the beam may have been there."""
    receipts: dict[int, Known] = field(default_factory=dict)
    """By box_id."""

    def count(self, status: ReceiptStatus) -> int:
        """Count the boxes with such a receipt."""
        return sum(known.status == status for known in self.receipts.values())

    @property
    def open(self) -> list[int]:
        """box_ids without a receipt, rising."""
        return [box for box in range(self.n_boxes) if box not in self.receipts]

    @property
    def doubtful(self) -> list[int]:
        """box_ids of which nobody knows whether the beam was there."""
        if self.state not in ("started", "held"):
            return []
        safe = {*self.untouched, *self.receipts}
        return [box for box in self.offered if box not in safe]

    @property
    def was_begun(self) -> bool:
        """Whether a controller has had some of it, by its `Go` or by a receipt that came."""
        return self.begun or any(known.grant is not None for known in self.receipts.values())

    def receipts_by_status(self) -> dict[str, int]:
        """Count the boxes by receipt, and those without one."""
        return {
            "acquired": self.count("acquired"),
            "rejected": self.count("rejected"),
            "failed": self.count("failed"),
            "open": self.n_boxes - len(self.receipts),
        }

    def pack(self) -> bytes:
        """Return it as bytes: some for each box."""
        return zlib.compress(_encoder.encode(self), level=1)


def unpack(data: bytes) -> Entry:
    """Undo `pack`; ValueError if these are not such bytes."""
    try:
        return _decoder.decode(zlib.decompress(data))
    except zlib.error as error:
        raise ValueError(str(error)) from error


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)
