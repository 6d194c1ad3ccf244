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

from msgspec import Struct

from .results import ResultStore, StoreError
from .runtime.ledger import Ledger, LedgerError
from .runtime.places import Places


class NoAccount(Exception):
    """There is nothing to account for: which folder, and what is missing there."""


class Account(Struct, frozen=True, kw_only=True):
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

    @property
    def closes(self) -> bool:
        """Whether every accepted frame is in exactly one place."""
        ended = self.located + self.rejected + self.failed
        balanced = self.accepted == ended + self.in_flight
        return balanced and self.lost == 0 and self.unknown == 0


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
                return _account(ledger, store.kinds(ledger.run), others=others)
    except (LedgerError, StoreError, sqlite3.Error) as error:
        raise NoAccount(str(error)) from error


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
    return Account(accepted=total, in_flight=in_flight, lost=lost, unknown=unknown, **kinds)
