"""What the ledger has forgotten and the results remember, after a power failure."""

from __future__ import annotations

import structlog

from .results import ResultStore
from .results.errors import EmptyStore
from .results.record import Record, kind_of
from .runtime.ledger import Ended, Ledger
from .runtime.places import Places


def adopt_ended(ledger: Ledger, places: Places) -> int:
    """Put frames back into the ledger that have an outcome there and are unknown here.

    The sink flushes its outcomes before it acknowledges them, the ledger may be half a second
    behind. A frame that fell into that gap was accepted and has ended, so it is written down as
    such: the account closes, and its number is not given to another frame. Return how many.
    """
    if not places.results.exists():
        return 0
    try:
        store = ResultStore(places.results)
    except EmptyStore:
        return 0
    with store:
        adopted = ledger.adopt(map(_ended, store.records_behind(ledger.run, ledger.highest())))
    if adopted:
        structlog.get_logger().warning("ledger.adopted", frames=adopted)
    return adopted


def _ended(record: Record) -> Ended:
    envelope = record.outcome.envelope
    return Ended(
        envelope.seq,
        envelope.metadata,
        envelope.accepted_unix,
        envelope.attempt,
        kind_of(record.outcome),
    )
