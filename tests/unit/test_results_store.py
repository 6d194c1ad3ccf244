"""The store keeps every outcome once, in one transaction a batch, and gives it back as it was."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from protocols.messages import Failed, Located, Outcome, Rejected, StageRecord
from services.results import Counts, ResultStore, StoreError, Writer
from tests.helpers.outcomes import STAGES, envelope, failed, located, rejected, walked
from tests.helpers.same import same
from tests.helpers.wire_strategies import MESSAGES

WRITER = Writer(software="haadflow 9.9", wire_version=1)
_OUTCOMES = st.one_of(MESSAGES["Located"], MESSAGES["Rejected"], MESSAGES["Failed"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "results.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[ResultStore]:
    with ResultStore(path, writer=WRITER, clock=lambda: 1.8e9) as opened:
        yield opened


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    outcomes=st.lists(
        _OUTCOMES,
        max_size=6,
        unique_by=lambda o: (o.envelope.run, o.envelope.seq),  # type: ignore[union-attr]
    )
)
def test_any_outcome_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, outcomes: list[Outcome]
) -> None:
    path = tmp_path_factory.mktemp("any") / "results.sqlite"
    with ResultStore(path, writer=WRITER) as store:
        assert store.commit(outcomes) == len(outcomes)
        back = list(store.results())
    named = {(o.envelope.run, o.envelope.seq): o for o in outcomes}
    assert len(back) == len(named)
    for outcome in back:
        assert same(outcome, named[outcome.envelope.run, outcome.envelope.seq])


def test_results_come_by_seq_whatever_the_order_of_arrival(store: ResultStore) -> None:
    order = np.random.default_rng(3).permutation(1000).tolist()
    for start in range(0, 1000, 64):
        store.commit([located(seq) for seq in order[start : start + 64]])
    assert [result.envelope.seq for result in store.results()] == list(range(1000))


def test_of_a_repeat_the_first_outcome_stays(store: ResultStore) -> None:
    assert store.commit([located(7), failed(7)]) == 1
    assert store.commit([rejected(7), rejected(8)]) == 1
    first, second = store.results()
    assert isinstance(first, Located)
    assert isinstance(second, Rejected)
    assert store.counts() == Counts(located=1, rejected=1, failed=0)


def test_the_same_seq_of_another_run_is_another_frame(store: ResultStore) -> None:
    store.commit([located(7, run="a"), failed(7, run="b"), located(3, run="a")])
    frames = [(r.envelope.run, r.envelope.seq) for r in store.results()]
    assert frames == [("a", 3), ("a", 7), ("b", 7)]
    assert set(store.known("a", range(10))) == {3, 7}
    assert set(store.known("b", [3, 7])) == {7}
    assert store.known("c", [3, 7]) == {}
    assert list(store.kinds("a")) == [(3, "located"), (7, "located")]
    assert list(store.kinds("b")) == [(7, "failed")]


def test_counts_are_read_and_not_counted(store: ResultStore, path: Path) -> None:
    store.commit([located(1), located(2), rejected(3), failed(4)])
    assert store.counts() == Counts(located=2, rejected=1, failed=1)
    assert store.counts().total == 4
    with ResultStore(path) as reader:
        assert reader.counts() == store.counts()


def test_time_and_software_are_kept_with_each_outcome(store: ResultStore, path: Path) -> None:
    store.commit([located(1)])
    newer = Writer(software="haadflow 10.0", wire_version=2)
    with ResultStore(path, writer=newer, clock=lambda: 1.9e9) as later:
        later.commit([located(1), located(2)])
        first, second = later.records()
    assert (first.created_unix, first.writer) == (1.8e9, WRITER)
    assert (second.created_unix, second.writer) == (1.9e9, newer)


def test_a_batch_is_kept_whole_or_not_at_all(store: ResultStore, path: Path) -> None:
    unstorable = located(2, extra={"note": "\ud800"})
    with pytest.raises(UnicodeEncodeError):
        store.commit([located(1), rejected(5), unstorable])
    assert store.counts() == Counts()
    assert list(store.results()) == []
    store.commit([rejected(5), located(1)])
    with ResultStore(path) as reader:  # it knows only what is in the file
        assert [type(result) for result in reader.results()] == [Located, Rejected]


def test_others_read_while_the_sink_writes(store: ResultStore, path: Path) -> None:
    store.commit([located(seq) for seq in range(300)])
    with ResultStore(path) as reader:
        results = reader.results()
        seen = [next(results).envelope.seq]
        store.commit([located(seq) for seq in range(300, 400)])
        seen += [result.envelope.seq for result in results]
        assert seen == list(range(400))


def test_a_slow_reader_holds_no_transaction(store: ResultStore, path: Path) -> None:
    store.commit([located(seq) for seq in range(300)])
    with ResultStore(path) as reader:
        results = reader.results()
        next(results)
        with sqlite3.connect(path, isolation_level=None) as other:
            busy, *_ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        other.close()
        assert busy == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into any folder")
def test_a_closed_store_is_read_where_nothing_may_be_written(path: Path) -> None:
    with ResultStore(path, writer=WRITER) as store:
        store.commit([located(1)])
    path.parent.chmod(0o555)
    try:
        with ResultStore(path) as reader:
            assert reader.counts().total == 1
    finally:
        path.parent.chmod(0o755)


def test_what_was_opened_for_reading_is_not_written(store: ResultStore, path: Path) -> None:
    with ResultStore(path) as reader, pytest.raises(StoreError, match="for reading"):
        reader.commit([located(1)])
    assert store.counts().total == 0


def test_numbers_of_numpy_among_the_findings_are_kept_as_plain_ones(store: ResultStore) -> None:
    numbers = {"cutoff": np.uint8(57), "centers": np.array([1.5, 2.5])}
    record = StageRecord(stage="x", milliseconds=1.0, parameters={}, findings=numbers)
    named = replace(envelope(1), stages=(record,))
    store.commit([Rejected(envelope=named, stage="x", reason="y")])
    (back,) = store.results()
    assert back.envelope.stages[0].findings == {"cutoff": 57, "centers": [1.5, 2.5]}


def test_parameters_are_not_kept_a_million_times(store: ResultStore, path: Path) -> None:
    long = {f"parameter_{n}": n * 1.5 for n in range(100)}
    stages = tuple(replace(record, parameters=long) for record in STAGES)
    frames = [replace(envelope(seq), stages=stages) for seq in range(200)]
    store.commit([Failed(envelope=frame, stage="boxing", reason="x") for frame in frames])
    with sqlite3.connect(path) as db:
        (length,) = db.execute("SELECT avg(length(header)) FROM outcomes").fetchone()
    db.close()
    assert length < 200


def _not_sqlite(path: Path) -> None:
    path.write_bytes(b"parent_id,source\n" * 100)


def _other_database(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE photos (id)")
    db.close()


def _newer_schema(path: Path) -> None:
    ResultStore(path, writer=WRITER).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 7")
    db.close()


@pytest.mark.parametrize("writer", [None, WRITER])
@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (_not_sqlite, "file is not a database"),
        (_other_database, "not a haadflow result store"),
        (_newer_schema, "schema version 7, this haadflow reads version 2"),
        (Path.mkdir, "no result store here|unable to open"),
    ],
)
def test_what_is_no_store_is_named(
    tmp_path: Path, make: Callable[[Path], None], problem: str, writer: Writer | None
) -> None:
    path = tmp_path / "results.sqlite"
    make(path)
    with pytest.raises(StoreError, match=problem) as raised:
        ResultStore(path, writer=writer)
    assert str(path) in str(raised.value)


def test_an_absent_or_empty_file_cannot_be_read_and_can_be_begun(path: Path) -> None:
    with pytest.raises(StoreError, match="no result store"):
        ResultStore(path)
    path.parent.mkdir()
    path.touch()
    with pytest.raises(StoreError, match="is empty"):
        ResultStore(path)
    with ResultStore(path, writer=WRITER) as store:
        store.commit([located(1)])
    with ResultStore(path) as reader:
        assert reader.counts().total == 1


def test_a_damaged_frame_is_named(store: ResultStore, path: Path) -> None:
    store.commit([located(1), located(2)])
    with sqlite3.connect(path) as db:
        db.execute("UPDATE outcomes SET boxes = x'00' WHERE seq = 2")
    db.close()
    results = store.results()
    assert next(results).envelope.seq == 1
    with pytest.raises(StoreError, match="frame run-1/2 is damaged"):
        next(results)


def test_a_damaged_file_is_an_error_that_names_it(path: Path) -> None:
    with ResultStore(path, writer=WRITER) as store:
        store.commit([located(seq, walked(seq, 400)) for seq in range(200)])
    content = bytearray(path.read_bytes())
    content[40_000:120_000] = b"\x5a" * 80_000
    path.write_bytes(content)
    with ResultStore(path) as reader, pytest.raises(StoreError, match=r"results\.sqlite"):
        list(reader.results())


def test_a_full_disk_undoes_the_batch_and_leaves_the_store_usable(
    store: ResultStore,
) -> None:
    store.commit([located(0)])
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="full"):
        store.commit([failed(seq) for seq in range(1, 500)])
    assert store.counts() == Counts(located=1)
    store._db.execute("PRAGMA max_page_count = 1000000")
    store.commit([failed(seq) for seq in range(1, 500)])
    assert store.counts() == Counts(located=1, failed=499)
    assert sum(1 for _ in store.results()) == 500


def test_a_commit_waits_for_the_disk(store: ResultStore) -> None:
    full = 2
    assert store._db.execute("PRAGMA synchronous").fetchone()[0] == full
    assert store._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


_COMMITTER = """
import sys
from pathlib import Path
from services.results import ResultStore, Writer
from tests.helpers.outcomes import located
store = ResultStore(Path(sys.argv[1]), writer=Writer(software="x", wire_version=1))
seq = 0
while True:
    store.commit([located(seq + n) for n in range(16)])
    seq += 16
    print(seq, flush=True)
"""


def test_what_was_committed_outlives_a_killed_sink(path: Path) -> None:
    sink = subprocess.Popen(
        [sys.executable, "-c", _COMMITTER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert sink.stdout is not None
    said = [int(sink.stdout.readline()) for _ in range(20)]
    sink.kill()
    said += [int(line) for line in sink.stdout.read().split()]
    sink.wait()
    sink.stdout.close()
    with ResultStore(path) as reader:
        kept = [result.envelope.seq for result in reader.results()]
        assert reader.counts() == Counts(located=len(kept))
    assert kept == list(range(len(kept)))
    assert len(kept) >= said[-1]
    assert len(kept) % 16 == 0
    with ResultStore(path, writer=WRITER) as store:
        assert store.commit([located(seq) for seq in range(len(kept) + 1)]) == 1
