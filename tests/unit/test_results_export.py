"""An export is whole or absent, the same each time, and its summary adds up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocols.messages import Located
from services.results import Counts, ResultStore, Writer
from services.results.export import export_tables
from services.results.statistics import Statistics
from services.results.summary import summarise
from services.results.tally import TimeTally, WholeTally
from services.results.whole_files import WholeFiles
from tests.helpers.outcomes import failed, located, rejected, walked

WRITER = Writer(software="haadflow 9.9", wire_version=1)
TABLES = {
    "boxes.csv",
    "frames.csv",
    "boxes.jsonl",
    "boxes.parquet",
    "frames.parquet",
    "summary.json",
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ResultStore]:
    with ResultStore(tmp_path / "r.sqlite", writer=WRITER, clock=lambda: 1.8e9) as opened:
        opened.commit([located(seq, walked(seq, 20 + seq), pixel_size_nm=0.1) for seq in range(40)])
        opened.commit([rejected(40), rejected(41), rejected(42, "empty: no contrast"), failed(43)])
        yield opened


def _located(boxes: int, milliseconds: float) -> Located:
    frame = located(0, walked(boxes, boxes))
    record = replace(frame.envelope.stages[0], milliseconds=milliseconds)
    return replace(frame, envelope=replace(frame.envelope, stages=(record,)))


def test_the_same_store_gives_the_same_bytes_again(store: ResultStore, tmp_path: Path) -> None:
    first = export_tables(store, tmp_path / "a")
    second = export_tables(store, tmp_path / "b")
    assert {path.name for path in first.files} == TABLES
    assert {path.name for path in (tmp_path / "a").iterdir()} == TABLES
    for one, other in zip(first.files, second.files, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_progress_counts_the_frames(store: ResultStore, tmp_path: Path) -> None:
    seen: list[int] = []
    export_tables(store, tmp_path / "out", progress=seen.append)
    assert seen == list(range(1, 45))


def test_an_export_that_fails_leaves_the_folder_as_it_was(
    store: ResultStore, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    export_tables(store, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    store.commit([located(100)])

    def fail(done: int) -> None:
        if done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_tables(store, out, progress=fail)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


_KILLED = """
import os, signal, sys
from pathlib import Path
from services.results import ResultStore
from services.results.export import export_tables
def die(done):
    if done == 30:
        os.kill(os.getpid(), signal.SIGKILL)
with ResultStore(Path(sys.argv[1])) as store:
    export_tables(store, Path(sys.argv[2]), progress=die)
"""


def test_what_a_killed_export_left_is_no_table_and_goes_with_the_next(
    store: ResultStore, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended = subprocess.run([sys.executable, "-c", _KILLED, str(store.path), str(out)], check=False)
    assert ended.returncode == -signal.SIGKILL
    left = {path.name for path in out.iterdir()}
    assert left
    assert not left & TABLES
    assert all(name.startswith(".") for name in left)
    export_tables(store, out)
    assert {path.name for path in out.iterdir()} == TABLES


def test_the_files_of_a_process_that_still_writes_are_left_alone(tmp_path: Path) -> None:
    theirs = tmp_path / f".boxes.csv.{os.getppid()}.partial"
    theirs.touch()
    mine = tmp_path / ".notes.partial"
    mine.touch()
    with WholeFiles(tmp_path) as files:
        files.open("boxes.csv").write(b"x")
    assert theirs.exists()
    assert mine.exists()


def test_without_pyarrow_parquet_is_skipped_with_the_reason(
    store: ResultStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_tables(store, tmp_path / "out")
    monkeypatch.setattr("services.results.parquet.find_spec", lambda _: None)
    export = export_tables(store, tmp_path / "out")
    assert set(export.skipped) == {"boxes.parquet", "frames.parquet"}
    assert "pip install" in export.skipped["boxes.parquet"]
    # An older one would not fit the tables that are new.
    assert {path.name for path in (tmp_path / "out").iterdir()} == TABLES - set(export.skipped)


def test_an_empty_store_gives_empty_tables_and_a_summary(tmp_path: Path) -> None:
    with ResultStore(tmp_path / "r.sqlite", writer=WRITER) as store:
        export = export_tables(store, tmp_path / "out")
    assert (tmp_path / "out" / "boxes.jsonl").read_bytes() == b""
    assert (tmp_path / "out" / "boxes.csv").read_text().count("\n") == 1
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["boxes_per_image"] is None
    assert summary["total_time"] == []
    assert export.summary.frames == Counts()


def test_the_summary_holds_the_account_and_the_outcomes(store: ResultStore, tmp_path: Path) -> None:
    account = {"accepted": 44, "located": 40, "in_flight": 0, "closes": True}
    export_tables(store, tmp_path, account=account)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["account"] == account
    assert summary["frames"] == {"located": 40, "rejected": 3, "failed": 1}
    assert summary["boxes_per_image"] == {"min": 20, "mean": 39.5, "median": 39.5, "max": 59}
    assert summary["n_boxes"] == sum(range(20, 60))
    assert summary["rejected"] == {"no particle": 2, "empty": 1}
    assert summary["failed"] == {"clustering: ValueError": 1}
    assert summary["reduction"] == {
        "grid_points": 16384,
        "mean": round(16384 / 39.5, 4),
        "worst": round(16384 / 59, 4),
        "best": round(16384 / 20, 4),
    }
    assert set(summary["stage_ms"]) == {"quality_gate", "preprocessing", "clustering", "boxing"}
    assert summary["process_ms"]["mean"] == 5.0


def test_total_times_are_those_of_the_paper_for_its_mean_image() -> None:
    """Table 1: 551.2 boxes and 0.05 s a mean image; 25.0 to 29.1 times less than s_b."""
    frames = [_located(551, 50.0)] * 4 + [_located(552, 50.0)]
    rows = summarise(Statistics.of(frames)).total_time
    assert [row.full_scan_s for row in rows] == [8, 16, 32, 64]
    assert [row.full_grid_s for row in rows] == [40, 80, 160, 320]
    for row in rows:
        expected = 5 * (0.05 + 551.2 * row.full_scan_s / 16384)
        assert row.with_boxes_s == pytest.approx(expected, abs=1e-3)
    assert rows[0].ratio == pytest.approx(25.0, abs=0.1)
    assert rows[-1].ratio == pytest.approx(29.1, abs=0.1)


def test_the_time_of_what_was_not_located_is_not_in_the_time_of_images() -> None:
    statistics = Statistics.of([_located(10, 100.0), rejected(1), failed(2)])
    spread = statistics.process.spread()
    assert spread is not None
    assert spread.mean == 100.0
    assert statistics.stages["quality_gate"].counts.total() == 3


def test_reasons_that_are_always_new_do_not_fill_the_memory() -> None:
    statistics = Statistics.of(rejected(seq, f"reason {seq}") for seq in range(3000))
    assert len(statistics.rejections) == 1001
    assert statistics.rejections["other"] == 2000


@given(values=st.lists(st.integers(0, 20_000), min_size=1, max_size=50))
def test_whole_numbers_are_summed_up_exactly(values: list[int]) -> None:
    tally = WholeTally()
    for value in values:
        tally.add(value)
    spread = tally.spread()
    assert spread is not None
    assert (spread.min, spread.max) == (min(values), max(values))
    assert spread.median == np.median(values)
    assert spread.mean == pytest.approx(np.mean(values), abs=1e-3)


@given(values=st.lists(st.floats(0.01, 1e5), min_size=1, max_size=50))
def test_times_are_summed_up_to_half_a_per_cent(values: list[float]) -> None:
    tally = TimeTally()
    for value in values:
        tally.add(value)
    spread = tally.spread()
    assert spread is not None
    assert spread.mean == pytest.approx(np.mean(values), abs=1e-3)
    ranked = sorted(values)
    assert spread.median == pytest.approx(ranked[(len(values) - 1) // 2], rel=0.006, abs=1e-3)
    assert spread.p99 == pytest.approx(
        ranked[int(np.ceil(0.99 * len(values))) - 1], rel=0.006, abs=1e-3
    )


def test_times_from_nowhere_do_not_stop_the_summary() -> None:
    tally = TimeTally()
    for value in (0.0, -1.0, float("inf"), float("nan")):
        tally.add(value)
    assert tally.counts.total() == 4


def test_memory_does_not_grow_with_the_number_of_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.results.parquet.BOX_ROWS", 1000)
    monkeypatch.setattr("services.results.parquet.FRAME_ROWS", 50)
    peaks = []
    for frames in (200, 200, 800):  # the first only fills the caches
        with ResultStore(tmp_path / f"{frames}.sqlite", writer=WRITER) as store:
            store.commit([located(seq, walked(1, 30)) for seq in range(frames)])
            tracemalloc.start()
            export_tables(store, tmp_path / "out")
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[2] < 1.1 * peaks[1]
