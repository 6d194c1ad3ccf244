"""The ledger: accepted once, closed once, there after a crash."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from protocols.messages import Metadata
from services.runtime.ledger import Ledger, LedgerError, LedgerFrame, NewFrame


def new(name: str, reference: str | None = "file") -> NewFrame:
    return NewFrame(name, Metadata(parent_id=name, source=name), reference)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def test_frames_are_numbered_in_the_order_of_acceptance(path: Path) -> None:
    with Ledger(path) as ledger:
        assert ledger.accept([new("a"), new("b")]) == [(0, True), (1, True)]
        assert ledger.accept([new("b"), new("c")]) == [(1, False), (2, True)]
        assert [f.metadata.parent_id for f in ledger.open_frames(-1, 10)] == ["a", "b", "c"]


def test_a_parent_id_that_is_taken_gets_a_number(path: Path) -> None:
    with Ledger(path) as ledger:
        for key in ("k0", "k1", "k2"):
            ledger.accept([NewFrame(key, Metadata(parent_id="p", source="s"), None)])
        ledger.accept([NewFrame("k3", Metadata(parent_id="p#4", source="s"), None)])
        ledger.accept([NewFrame("k4", Metadata(parent_id="p", source="s"), None)])
        ledger.accept([NewFrame("k5", Metadata(parent_id="q" * 512, source="s"), None)])
        ledger.accept([NewFrame("k6", Metadata(parent_id="q" * 512, source="s"), None)])
        names = [frame.metadata.parent_id for frame in ledger.open_frames(-1, 10)]
    assert names[:5] == ["p", "p#2", "p#3", "p#4", "p#5"]
    assert len(set(names)) == 7
    assert max(map(len, names)) <= 512


def test_what_is_open_is_there_after_a_crash(path: Path) -> None:
    ledger = Ledger(path)
    ledger.accept([new("a"), new("b"), new("c")])
    assert ledger.close_frames([(1, "located"), (1, "located")], sent_through=1) == 1
    run = ledger.run
    del ledger  # not closed: the process was killed
    with Ledger(path) as again:
        assert again.run == run
        assert [f.seq for f in again.open_frames(-1, 10)] == [0, 2]
        assert (again.accepted(), again.open_count()) == (3, 2)
        assert list(again.outcomes()) == [(0, None), (1, "located"), (2, None)]


def test_only_what_was_sent_counts_an_attempt_more(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.accept([new("a"), new("b"), new("c")])
        ledger.close_frames([(0, "located")], sent_through=1)
        ledger.begin_again()
        assert [f.attempt for f in ledger.open_frames(-1, 10)] == [2, 1]


def test_an_image_that_cannot_be_kept_was_not_accepted(path: Path) -> None:
    def disk_full(_key: str, _frame: LedgerFrame) -> None:
        raise OSError(28, "No space left on device")

    with Ledger(path) as ledger:
        with pytest.raises(OSError, match="No space left"):
            ledger.accept([new("a")], keep_image=disk_full)
        assert ledger.accepted() == 0
        assert ledger.accept([new("b")]) == [(0, True)]


def test_a_missing_ledger_is_named(path: Path) -> None:
    with pytest.raises(LedgerError, match=r"ledger\.sqlite: there is no ledger"):
        Ledger(path, read_only=True)


def test_another_file_is_not_a_ledger(path: Path) -> None:
    path.write_text("hello")
    with pytest.raises(LedgerError, match="not a usable ledger"):
        Ledger(path)


def test_a_newer_ledger_is_refused(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.note("version", "99")
    with pytest.raises(LedgerError, match="version 99"):
        Ledger(path)


def older(path: Path, version: int, *lacks: str) -> None:
    """Leave a ledger with one frame as an older program would have."""
    with Ledger(path) as ledger:
        ledger.accept([new("a")])
        ledger.note("version", str(version))
    with sqlite3.connect(path) as db:
        for column in lacks:
            db.execute(f"ALTER TABLE frames DROP COLUMN {column}")
    db.close()


def test_a_ledger_from_before_checksums_is_taken_on(path: Path) -> None:
    older(path, 3, "image_checksum")
    with Ledger(path, read_only=True) as reader:
        assert (reader.accepted(), reader.replays()) == (1, {})
    with Ledger(path) as ledger:
        ledger.accept([new("b")._replace(image_checksum=2**32 - 1)])
        assert [ledger.image_checksum(seq) for seq in range(3)] == [None, 2**32 - 1, None]


def test_a_ledger_from_before_replays_is_taken_on(path: Path) -> None:
    older(path, 2, "image_checksum", "replay_of")
    with Ledger(path, read_only=True) as reader:
        assert (reader.accepted(), reader.replays()) == (1, {})
    with Ledger(path) as ledger:
        ledger.accept([NewFrame("again", Metadata(parent_id="a", source="a"), None, 0)])
        assert ledger.replays() == {0: (1, None)}
        assert [frame.replay_of for frame in ledger.open_frames(-1, 10)] == [None, "a"]


def test_it_is_noticed_when_another_process_writes(path: Path) -> None:
    with Ledger(path) as ledger, Ledger(path) as other:
        ledger.others_wrote()
        ledger.accept([new("a")])
        assert not ledger.others_wrote()
        other.accept([new("b")])
        assert ledger.others_wrote()
        assert not ledger.others_wrote()


def test_a_reader_changes_nothing(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.accept([new("a")])
        with Ledger(path, read_only=True) as reader:
            assert reader.accepted() == 1
            with pytest.raises(sqlite3.OperationalError):
                reader.accept([new("b")])
