"""Where there was a feed the tables say what became of each box; without one they are as before."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protocols.messages import Begin, Description, Outcome, Receipt, Receipts
from services.controllers.order import acquisition_order, travel_px
from services.feed.batches import Batches
from services.feed.offering import choose_order
from services.feed.store import FeedStore
from services.report import write_report
from services.results import ResultStore
from services.runtime.places import Places
from tests.helpers.feeding import fill, located, rejected

WHO = Description(controller="=nion", session="s", family="sub-scan")
BOXES = 6


def outcomes(run: str) -> Iterator[Outcome]:
    yield located(run, 0, BOXES)
    yield rejected(run, 1)
    yield located(run, 2, 3)


def feed(places: Places) -> None:
    """Let a controller acquire four boxes of the first parent, fail one, and never say of one."""
    with FeedStore(places.feed) as store, ResultStore(places.results) as results:
        batches = Batches(store)
        with store.transaction():
            batches.take_in(results.committed_behind(0, 10))
            (entry, *_) = store.waiting(1)
            order = choose_order(entry, results.record_at(entry.place), "nearest").tolist()
            grant = batches.offer(entry, WHO, order)
            assert batches.begin(Begin(run=entry.run, seq=0, grant=grant), "s") is None
            done = [Receipt(box_id=box, status="acquired", seconds=0.5) for box in order[:4]]
            done.append(Receipt(box_id=order[4], status="failed", reason="no frame, for 20 s"))
            said = Receipts(number=1, run=entry.run, seq=0, grant=grant, receipts=tuple(done))
            batches.hear(said, WHO)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    places = fill(tmp_path / "out", outcomes)
    feed(places)
    write_report(places, pictures=0)
    return places.out


def test_frames_csv_counts_the_receipts_of_each_parent(out: Path) -> None:
    first, empty, last = rows(out / "frames.csv")
    boxes = located("r", 0, BOXES).boxes
    assert list(first)[-8:] == [
        "replay_of",
        "batch",
        "controller",
        "boxes_acquired",
        "boxes_rejected",
        "boxes_failed",
        "travel_boxed_px",
        "travel_px",
    ]
    assert (first["batch"], first["controller"]) == ("started", "'=nion")
    assert (first["boxes_acquired"], first["boxes_rejected"], first["boxes_failed"]) == (
        ("4", "0", "1")
    )
    assert float(first["travel_boxed_px"]) == pytest.approx(travel_px(boxes), abs=1e-3)
    order = acquisition_order(boxes, "nearest")
    assert float(first["travel_px"]) == pytest.approx(travel_px(boxes[order]), abs=1e-3)
    assert (empty["batch"], empty["boxes_acquired"]) == ("waiting", "0")
    assert (last["batch"], last["travel_px"]) == ("waiting", "")


def test_receipts_csv_has_a_row_for_each_receipt(out: Path) -> None:
    found = rows(out / "receipts.csv")
    order = acquisition_order(located("r", 0, BOXES).boxes, "nearest").tolist()
    assert sorted(int(row["box_id"]) for row in found) == sorted(order[:5])
    (failed,) = [row for row in found if row["receipt"] == "failed"]
    assert (failed["box_id"], failed["reason"]) == (str(order[4]), "no frame, for 20 s")
    assert failed["controller"] == "'=nion"


def test_boxes_csv_has_the_order_of_acquisition(out: Path) -> None:
    first = [row for row in rows(out / "boxes.csv") if row["parent_id"] == "parent-0"]
    order = acquisition_order(located("r", 0, BOXES).boxes, "nearest").tolist()
    assert [row["box_id"] for row in sorted(first, key=lambda row: int(row["order"]))] == [
        str(box) for box in order
    ]


def test_json_lines_and_parquet_say_the_same(out: Path) -> None:
    lines = [json.loads(line) for line in (out / "boxes.jsonl").read_text().splitlines()]
    acquired = lines[0]["acquisition"]
    assert (acquired["batch"], acquired["order"]) == ("started", "nearest")
    assert len(acquired["receipts"]) == 5
    assert acquired["receipts"][0]["receipt"] == "acquired"
    parquet = pytest.importorskip("pyarrow.parquet")
    table: list[dict[str, Any]] = parquet.read_table(out / "frames.parquet").to_pylist()
    assert [row["boxes_acquired"] for row in table] == [4, 0, 0]
    assert [row["controller"] for row in table] == ["=nion", None, None]
    assert json.loads((out / "summary.json").read_text())["account"]["boxes"]["open"] == 4


def test_without_a_feed_there_are_no_receipts_and_no_columns_more(tmp_path: Path) -> None:
    places = fill(tmp_path / "out", outcomes)
    write_report(places, pictures=0)
    assert not (places.out / "receipts.csv").exists()
    assert list(rows(places.out / "frames.csv")[0])[-1] == "replay_of"
    assert "boxes" not in json.loads((places.out / "summary.json").read_text())["account"]
    first = (places.out / "boxes.jsonl").read_text().splitlines()[0]
    assert "acquisition" not in json.loads(first)
