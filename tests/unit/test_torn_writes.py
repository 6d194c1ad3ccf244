"""Files that end too early, cut at every byte: recovered, or named, never a crash.

SQLite's files are made of small pages here, so that there are fewer bytes to cut at.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from protocols import decode, encode
from protocols.messages import Failed, Metadata, Outcome, SurveyImage
from services.account import NoAccount, read_account
from services.adoption import adopt_ended
from services.intake import Intake
from services.results import ResultStore, StoreError, Writer
from services.runtime import exit_codes
from services.runtime.intact import DamagedFile, check_whole
from services.runtime.ledger import Ledger, LedgerError, LedgerFrame, NewFrame
from services.runtime.places import Places
from services.runtime.spool import Spool, name_of
from services.runtime.topology import one_machine
from tests.helpers.outcomes import envelope, located, rejected

WRITER = Writer(software="haadflow 9.9", wire_version=1)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """In memory, where there is such a file system: SQLite flushes its files thousands of times."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="haadflow-", dir=memory) as name:
        yield Path(name)


def small_pages(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA page_size = 512")
        db.execute("VACUUM")
    db.close()


def fold_in(path: Path) -> None:
    """Leave the log empty: what is committed from now on is all that is in it."""
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


class Torn:
    """An SQLite file and its log, as a power failure leaves them."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.main = path.read_bytes()
        self.log = log_of(path).read_bytes()
        self.path = folder / path.name
        folder.mkdir(parents=True, exist_ok=True)

    def cuts(self) -> Iterator[Path]:
        """Cut the log after every byte."""
        for length in range(len(self.log) + 1):
            yield self.lay(self.main, self.log[:length])

    def lay(self, main: bytes, log: bytes) -> Path:
        self.path.with_name(f"{self.path.name}-shm").unlink(missing_ok=True)
        self.path.write_bytes(main)
        log_of(self.path).write_bytes(log)
        return self.path


def new(name: str) -> NewFrame:
    return NewFrame(name, Metadata(parent_id=name, source=name), None)


def ledger_with(path: Path, count: int) -> Ledger:
    """Make a ledger with as many commits in its log, and one more that closes the first frame."""
    small_pages(path)
    ledger = Ledger(path)
    fold_in(path)
    for number in range(count):
        ledger.accept([new(f"p{number}")])
    ledger.close_frames([(0, "located")], sent_through=count - 1)
    return ledger


def test_a_ledger_whose_log_is_cut_anywhere_has_every_transaction_before_the_cut(
    folder: Path,
) -> None:
    with ledger_with(folder / "ledger.sqlite", 3) as ledger:
        torn = Torn(ledger.path, folder / "torn")
    found: list[tuple[tuple[int, str | None], ...]] = []
    for path in torn.cuts():
        with Ledger(path) as again:
            frames = tuple(again.outcomes())
            assert again.accept([new("next")]) == [(len(frames), True)]
        if not found or found[-1] != frames:
            found.append(frames)
    after_each_commit = [tuple((seq, None) for seq in range(count)) for count in range(4)]
    assert found == [*after_each_commit, ((0, "located"), (1, None), (2, None))]


@pytest.mark.parametrize("log", ["its log", "no log"])
def test_a_ledger_that_is_itself_cut_anywhere_is_whole_or_named(folder: Path, log: str) -> None:
    with ledger_with(folder / "ledger.sqlite", 3) as ledger:
        torn = Torn(ledger.path, folder / "torn")
    whole = named = 0
    for length in range(len(torn.main)):
        path = torn.lay(torn.main[:length], torn.log if log == "its log" else b"")
        try:
            with Ledger(path) as again:
                again.begin_again()
                again.accept([new("next")])
                again.accepted(), again.open_count(), list(again.outcomes())
                again.open_frames(-1, 100)
        except LedgerError as error:
            named += str(path) in str(error)
        else:
            whole += 1
    assert named
    assert whole + named == len(torn.main)


@pytest.fixture
def store_torn(folder: Path) -> Torn:
    """A store with two commits of one outcome each in its log."""
    path = folder / "results.sqlite"
    small_pages(path)
    outcomes: list[Outcome] = [rejected(0), located(1)]
    with ResultStore(path, writer=WRITER) as store:
        fold_in(path)
        for outcome in outcomes:
            store.commit([outcome])
        return Torn(path, folder / "torn")


def test_a_store_whose_log_is_cut_anywhere_has_every_commit_before_the_cut(
    store_torn: Torn,
) -> None:
    seen: list[int] = []
    for path in store_torn.cuts():
        with ResultStore(path, writer=WRITER) as again:
            assert [outcome.envelope.seq for outcome in again.results()] == list(
                range(again.counts().total)
            )
            seen.append(again.counts().total)
    assert seen == sorted(seen)
    assert set(seen) == {0, 1, 2}


def test_a_store_that_is_itself_cut_anywhere_is_whole_or_named(store_torn: Torn) -> None:
    whole = named = 0
    for length in range(len(store_torn.main)):
        path = store_torn.lay(store_torn.main[:length], b"")
        try:
            with ResultStore(path, writer=WRITER) as again:
                again.commit([located(7)])
                list(again.results())
        except StoreError as error:
            named += str(path) in str(error)
        else:
            whole += 1
    assert named
    assert whole + named == len(store_torn.main)


def test_frames_that_the_ledger_forgot_and_the_sink_remembers_are_put_back(folder: Path) -> None:
    """After each cut the account closes, and no number is given to another frame."""
    places = Places(folder / "out")
    places.make()
    with ledger_with(folder / "ledger.sqlite", 4) as ledger:
        run, torn = ledger.run, Torn(ledger.path, places.hidden)
    with ResultStore(places.results, writer=WRITER) as store:
        for seq in (0, 2):
            store.commit([located(seq, run=run, parent_id=f"p{seq}")])
        cuts = sorted({*range(0, len(torn.log), 512), len(torn.log)})
        left: set[int] = set()
        for length in cuts:
            path = torn.lay(torn.main, torn.log[:length])
            with Ledger(path) as again:
                before = again.accepted()
                adopted = adopt_ended(again, places)
                assert adopt_ended(again, places) == 0
                left.add(before)
                assert adopted == sum(seq >= before for seq in (0, 2))
                account = read_account(places)
                assert account.closes
                assert (account.located, account.lost, account.unknown) == (2, 0, 0)
                ((seq, _),) = again.accept([new("next")])
                assert seq == max(before, 3)
    assert left == {0, 1, 2, 3, 4}


@pytest.fixture
def in_spool(folder: Path) -> Iterator[Callable[[bytes | None], Failed | SurveyImage]]:
    """Read a spooled frame as the source does, its file holding these bytes, or those it has."""
    spool = Spool(folder / "spool", folder / "dead", folder / "first")
    image = np.arange(12, dtype=np.uint16).reshape(3, 4)
    spool.write(0, encode(SurveyImage(envelope=envelope(0), image=image)))
    ledger = Ledger(folder / "ledger.sqlite")
    intake = Intake(ledger, spool, most_frames=1, most_bytes=1, spooled=True)
    frame = LedgerFrame(0, Metadata(parent_id="p0", source="s"), None, 1.8e9, 1)

    def read(content: bytes | None) -> Failed | SurveyImage:
        if content is not None:
            spool.path(0).write_bytes(content)
        prepared = intake._prepare(frame)
        return decode(prepared.parts, expect=(SurveyImage, Failed))

    yield read
    intake.close()
    ledger.close()


def test_a_spooled_image_that_is_cut_anywhere_is_a_dead_letter_that_says_so(
    folder: Path, in_spool: Callable[[bytes | None], Failed | SurveyImage]
) -> None:
    assert isinstance(in_spool(None), SurveyImage)
    whole = (folder / "spool" / name_of(0)).read_bytes()
    for length in range(len(whole)):
        read = in_spool(whole[:length])
        assert isinstance(read, Failed), length
        assert read.reason.startswith(f"spooled image {name_of(0)}: "), read.reason
        assert read.envelope.metadata.parent_id == "p0"
    assert isinstance(in_spool(whole), SurveyImage)


def test_an_account_of_a_damaged_ledger_names_it(folder: Path) -> None:
    places = Places(folder)
    places.make()
    with ledger_with(places.ledger, 3):
        pass
    content = places.ledger.read_bytes()
    places.ledger.write_bytes(content[: len(content) - 600])
    with pytest.raises(NoAccount, match=r"ledger\.sqlite"):
        read_account(places)


@pytest.mark.parametrize("which", ["ledger", "results"])
def test_a_chain_does_not_start_on_a_file_with_a_damaged_page_and_names_it(
    folder: Path, which: str
) -> None:
    """The first frames, and the last, can be read as ever."""
    places = Places(folder)
    places.make()
    check_whole((places.ledger, places.results))  # neither is there yet
    with Ledger(places.ledger) as ledger, ResultStore(places.results, writer=WRITER) as store:
        ledger.accept(new(f"p{number:04}") for number in range(1000))
        store.commit([located(number) for number in range(1000)])
    for path in (places.ledger, places.results):
        fold_in(path)
    check_whole((places.ledger, places.results))
    path = places.ledger if which == "ledger" else places.results
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xa5" * 4096)
    with pytest.raises(DamagedFile, match=rf"{which}\.sqlite: damaged"):
        check_whole((places.ledger, places.results))
    one_machine(folder, out=folder, workers={}, parameters={}).save(places.topology)
    command = [sys.executable, "-m", "services", "supervisor", "--topology", str(places.topology)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == exit_codes.USAGE
    assert f"{path}: damaged" in done.stderr
