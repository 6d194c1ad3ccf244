"""The account of a chain: accepted = located + rejected + failed + in flight.

The ledger says what was accepted and what the source believes closed; the store says what the sink
committed. They are read frame by frame, side by side: a frame that the source has closed and the
store does not have is lost, one that the store has and the ledger does not is unknown. Either keeps
the account from closing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import chain

import msgspec
from msgspec import Struct

from .feed.store import EmptyFeed, FeedError, FeedStore
from .results import ResultStore, StoreError
from .runtime.ledger import Ledger, LedgerError
from .runtime.places import Places


class NoAccount(Exception):
    """There is nothing to account for: which folder, and what is missing there."""


class BoxAccount(Struct, frozen=True, kw_only=True):
    """What became of the boxes that scan controllers are offered."""

    boxes: int
    acquired: int
    rejected: int
    failed: int
    open: int
    """No receipt yet: waiting, with a controller, or held."""
    held: int
    """Batches that an operator is to decide about."""
    lost: int
    """Batches of outcomes that the feed has passed and does not have, and boxes of batches that are
    done without a receipt for each."""

    @property
    def closes(self) -> bool:
        """Whether every box has one receipt or is open."""
        ended = self.acquired + self.rejected + self.failed
        return self.boxes == ended + self.open and self.lost == 0


class Account(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many frames there are, and where."""

    accepted: int
    located: int
    rejected: int
    failed: int
    in_flight: int
    """Accepted, and no outcome committed yet."""
    lost: int
    """Closed by the source, and no outcome committed."""
    unknown: int
    """An outcome committed, and never accepted; of another run, perhaps."""

    boxes: BoxAccount | None = None
    """None where there was never a feed."""

    @property
    def closes(self) -> bool:
        """Whether every accepted frame is in exactly one place, and every box offered too."""
        ended = self.located + self.rejected + self.failed
        balanced = self.accepted == ended + self.in_flight
        boxes = self.boxes is None or self.boxes.closes
        return balanced and self.lost == 0 and self.unknown == 0 and boxes


def read_account(places: Places) -> Account:
    """Read the account of a folder that a chain writes or has written into.

    Raises
    ------
    NoAccount
        There is no ledger, or a file of the two cannot be read.
    """
    try:
        with Ledger(places.ledger, read_only=True) as ledger:
            if not places.results.exists():
                return _account(ledger, iter(()), others=0)
            with ResultStore(places.results) as store:
                others = store.of_other_runs(ledger.run)
                account = _account(ledger, store.kinds(ledger.run), others=others)
                boxes = _boxes(places, store) if places.feed.exists() else None
                return msgspec.structs.replace(account, boxes=boxes)
    except (LedgerError, StoreError, FeedError, sqlite3.Error) as error:
        raise NoAccount(str(error)) from error


def _boxes(places: Places, store: ResultStore) -> BoxAccount | None:
    """Sum up the feed; what it has not taken in yet waits for it."""
    try:
        opened = FeedStore(places.feed, read_only=True)
    except EmptyFeed:
        return None
    with opened as feed:
        with feed.still():
            sums = feed.sums()
            passed = feed.highest_place()
        done = sums["done"]
        outcomes = store.count_up_to(passed)
    batches = sum(state.batches for state in sums.values())
    boxes = sum(state.boxes for state in sums.values())
    acquired = sum(state.acquired for state in sums.values())
    rejected = sum(state.rejected for state in sums.values())
    failed = sum(state.failed for state in sums.values())
    return BoxAccount(
        boxes=boxes,
        acquired=acquired,
        rejected=rejected,
        failed=failed,
        open=boxes - acquired - rejected - failed,
        held=sums["held"].batches,
        lost=abs(outcomes - batches)
        + abs(done.boxes - done.acquired - done.rejected - done.failed),
    )


def _account(ledger: Ledger, ended: Iterator[tuple[int, str]], *, others: int) -> Account:
    """Merge the two, both in rising order of seq.

    The ledger is read as it was when this began. What the store has beyond that was accepted since,
    if the ledger knows it by now: it belongs to the next account.
    """
    kinds = {"located": 0, "rejected": 0, "failed": 0}
    total = in_flight = lost = 0
    unknown = others
    highest = -1
    with closing(ledger.outcomes()) as accepted:
        # The ledger first: what it has closed by then is in any page of the store read later.
        first = next(accepted, None)
        outcome = next(ended, None)
        for seq, closed_as in chain([] if first is None else [first], accepted):
            total += 1
            highest = seq
            while outcome is not None and outcome[0] < seq:
                unknown += 1
                outcome = next(ended, None)
            if outcome is not None and outcome[0] == seq:
                kinds[outcome[1]] += 1
                outcome = next(ended, None)
            elif closed_as is None:
                in_flight += 1
            else:
                lost += 1
    while outcome is not None:
        if outcome[0] > highest:
            highest = ledger.highest()
        unknown += outcome[0] > highest
        outcome = next(ended, None)
    return Account(
        accepted=total,
        located=kinds["located"],
        rejected=kinds["rejected"],
        failed=kinds["failed"],
        in_flight=in_flight,
        lost=lost,
        unknown=unknown,
    )
