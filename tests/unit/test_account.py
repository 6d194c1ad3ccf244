"""The account: every accepted frame in one place, and nothing else anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from protocols.messages import Metadata, Outcome
from services.account import Account, NoAccount, read_account
from services.results import ResultStore, Writer
from services.runtime.ledger import Ledger, NewFrame
from services.runtime.places import Places
from tests.helpers.outcomes import failed, located, rejected


class Books:
    """A ledger and a store of one run."""

    def __init__(self, folder: Path) -> None:
        self.places = Places(folder)
        self.places.make()
        self.ledger = Ledger(self.places.ledger)
        self.store = ResultStore(self.places.results, writer=Writer.this())
        self.run = self.ledger.run

    def accept(self, count: int) -> None:
        start = self.ledger.accepted()
        names = [f"p{n}" for n in range(start, start + count)]
        self.ledger.accept(NewFrame(n, Metadata(parent_id=n, source="s"), n) for n in names)

    def commit(self, *outcomes: Outcome) -> None:
        self.store.commit(outcomes)

    def account(self) -> Account:
        return read_account(self.places)


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    books = Books(tmp_path)
    yield books
    books.ledger.close()
    books.store.close()


def test_each_frame_is_counted_where_it_is(books: Books) -> None:
    books.accept(5)
    run = books.run
    books.commit(located(0, run=run), rejected(2, run=run), failed(3, run=run))
    books.ledger.close_frames([(0, "located"), (2, "rejected")], sent_through=4)
    account = books.account()
    assert account == Account(
        accepted=5, located=1, rejected=1, failed=1, in_flight=2, lost=0, unknown=0
    )
    assert account.closes


def test_a_frame_that_is_closed_and_has_no_outcome_is_lost(books: Books) -> None:
    books.accept(2)
    books.commit(located(0, run=books.run))
    books.ledger.close_frames([(0, "located"), (1, "located")], sent_through=1)
    account = books.account()
    assert (account.lost, account.in_flight) == (1, 0)
    assert not account.closes


@pytest.mark.parametrize("seq", [1, 7])
def test_an_outcome_that_nobody_asked_for_is_unknown(books: Books, seq: int) -> None:
    books.accept(1)
    books.commit(located(0, run=books.run), located(seq, run=books.run))
    account = books.account()
    assert account.unknown == 1
    assert not account.closes


def test_outcomes_of_another_run_keep_the_account_from_closing(books: Books) -> None:
    """They would be rows of the tables that the ledger knows nothing of."""
    books.accept(1)
    books.commit(located(0, run=books.run), rejected(0, run="another"))
    account = books.account()
    assert (account.located, account.unknown) == (1, 1)
    assert not account.closes


def test_what_is_accepted_and_committed_meanwhile_belongs_to_the_next_account(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.accept(2)
    books.commit(located(0, run=books.run))
    kinds = ResultStore.kinds

    def kinds_later(store: ResultStore, run: str) -> Iterator[tuple[int, str]]:
        books.accept(2)
        books.commit(*(located(seq, run=run) for seq in (1, 2, 3)))
        books.ledger.close_frames([(1, "located"), (2, "located")], sent_through=3)
        yield from kinds(store, run)

    monkeypatch.setattr(ResultStore, "kinds", kinds_later)
    account = books.account()
    assert (account.accepted, account.located, account.unknown) == (2, 2, 0)
    assert account.closes


def test_without_results_everything_is_in_flight(tmp_path: Path) -> None:
    places = Places(tmp_path)
    places.make()
    with Ledger(places.ledger) as ledger:
        ledger.accept([NewFrame("a", Metadata(parent_id="a", source="s"), "a")])
    assert read_account(places).in_flight == 1


def test_a_folder_without_a_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoAccount, match="there is no ledger here"):
        read_account(Places(tmp_path))


def test_a_damaged_store_is_named(books: Books) -> None:
    books.accept(1)
    books.store.close()
    books.places.results.write_bytes(b"not a database" * 100)
    with pytest.raises(NoAccount, match=r"results\.sqlite"):
        books.account()
