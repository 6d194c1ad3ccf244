"""The tables say what the outcomes say, in the same numbers, safely and with stated units."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.messages import Located, Outcome
from services.results import ResultStore, Writer
from services.results.cells import cell, text_cell
from services.results.csv_tables import BoxesCsv, FramesCsv
from services.results.export import export_tables
from services.results.jsonl import BoxesJsonl
from services.results.parquet import BoxesParquet, FramesParquet
from services.results.record import Record
from services.results.rows import (
    BOX_COLUMNS,
    FRAME_COLUMNS,
    PARTICLE,
    box_columns,
    frame_row,
)
from services.results.statistics import Statistics
from services.results.summary import summarise
from services.results.view import View
from tests.helpers.outcomes import failed, located, rejected, walked
from tests.helpers.wire_strategies import MESSAGES

WRITER = Writer(software="haadflow 9.9", wire_version=1)

BOXES_HEADER = (
    "parent_id,source,box_id,order,x_px,y_px,size_px,x_center_frac,y_center_frac,width_frac,"
    "height_frac,x_center_nm,y_center_nm,size_nm,region"
)
FRAMES_HEADER = (
    "parent_id,source,outcome,reason,composition,composition_from,n_elements,n_peaks,k,"
    "parent_height,parent_width,pixel_size_nm,bbox_x0_px,bbox_y0_px,bbox_x1_px,bbox_y1_px,"
    "n_boxes,reduction,attempts,process_ms,replay_of"
)


def _written(table: type[Any], *outcomes: Outcome) -> bytes:
    file = io.BytesIO()
    writer = table(file)
    for outcome in outcomes:
        writer.add(View(Record(outcome=outcome, created_unix=1.8e9, writer=WRITER)))
    writer.finish()
    return file.getvalue()


def _rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def _parquet(content: bytes) -> list[dict[str, Any]]:
    parquet = pytest.importorskip("pyarrow.parquet")
    rows: list[dict[str, Any]] = parquet.read_table(io.BytesIO(content)).to_pylist()
    return rows


def test_boxes_csv_holds_exactly_the_agreed_columns() -> None:
    lines = _written(BoxesCsv, located(0, pixel_size_nm=0.5)).decode().splitlines()
    assert lines[0] == BOXES_HEADER
    # Parent 1024 x 512: box x 64, y 32, size 16 has its centre at (72, 40).
    assert lines[1] == (
        "particle-0000,survey/particle-0000.tif,0,0,64,32,16,"
        "0.0703125,0.078125,0.015625,0.03125,-220.0,-108.0,8.0,1"
    )
    assert lines[2].startswith("particle-0000,survey/particle-0000.tif,1,1,80,32,8,")


def test_frames_csv_holds_exactly_the_agreed_columns() -> None:
    about = {"composition": "Au40Cu60", "composition_from": "table", "n_elements": 2}
    content = _written(
        FramesCsv,
        located(0, pixel_size_nm=0.5, **about),  # type: ignore[arg-type]
        rejected(1),
        failed(2, 'ValueError: "axis", no such'),
    )
    header, *rows, end = content.decode().split("\n")
    assert (header, end) == (FRAMES_HEADER, "")
    assert [row.partition(",survey/")[2] for row in rows] == [
        "particle-0000.tif,located,,Au40Cu60,table,2,3,4,512,1024,0.5,8,16,900,500,2,8192.0,1,5.0,",
        "particle-0001.tif,rejected,no particle: contrast 0.01,,,,,,512,1024,,,,,,0,,1,1.5,",
        'particle-0002.tif,failed,"ValueError: ""axis"", no such",,,,,,,,,,,,,0,,1,3.75,',
    ]


@pytest.mark.parametrize("size", [None, 0.0, -1.0, float("nan"), float("inf"), 1e-300])
def test_nanometres_are_empty_and_never_one_when_the_pixel_size_is_not_known(
    size: float | None,
) -> None:
    frame = located(0, pixel_size_nm=size) if size is not None else located(0)
    (row, _) = _rows(_written(BoxesCsv, frame))
    assert (row["x_center_nm"], row["y_center_nm"], row["size_nm"]) == ("", "", "")
    (frame_row,) = _rows(_written(FramesCsv, frame))
    assert frame_row["pixel_size_nm"] == ""
    batch = json.loads(_written(BoxesJsonl, frame))
    assert batch["pixel_size_nm"] is None
    assert batch["boxes"][0]["x_center_nm"] is None
    assert _parquet(_written(BoxesParquet, frame))[0]["size_nm"] is None


def test_fractions_and_nanometres_count_from_corner_and_centre() -> None:
    whole = box_columns(located(0, [[0, 0, 512]], height=512, width=1024, pixel_size_nm=2.0))
    assert (whole.x_center_frac[0], whole.y_center_frac[0]) == (0.25, 0.5)
    assert (whole.width_frac[0], whole.height_frac[0]) == (0.5, 1.0)
    assert whole.x_center_nm is not None
    assert whole.y_center_nm is not None
    assert (whole.x_center_nm[0], whole.y_center_nm[0]) == (-512.0, 0.0)


@given(frame=MESSAGES["Located"])
def test_pixels_follow_from_the_fractions(frame: Located) -> None:
    columns = box_columns(frame)
    width, height = frame.grid.parent_width, frame.grid.parent_height
    x0 = (columns.x_center_frac - columns.width_frac / 2) * width
    y0 = (columns.y_center_frac - columns.height_frac / 2) * height
    np.testing.assert_array_equal(np.rint(x0), columns.x_px)
    np.testing.assert_array_equal(np.rint(y0), columns.y_px)
    assert (columns.x_center_frac <= 1).all()


_OUTCOME = st.one_of(MESSAGES["Located"], MESSAGES["Rejected"], MESSAGES["Failed"])


@settings(max_examples=40)
@given(outcomes=st.lists(_OUTCOME, min_size=1, max_size=4))
def test_all_formats_hold_equal_values(outcomes: list[Outcome]) -> None:
    boxes_csv = _rows(_written(BoxesCsv, *outcomes))
    frames_csv = _rows(_written(FramesCsv, *outcomes))
    batches = [json.loads(line) for line in _written(BoxesJsonl, *outcomes).splitlines()]
    boxes_parquet = _parquet(_written(BoxesParquet, *outcomes))
    frames_parquet = _parquet(_written(FramesParquet, *outcomes))
    assert len(batches) == len(frames_csv) == len(frames_parquet) == len(outcomes)
    boxes_json = [
        {"parent_id": batch["parent_id"], "source": batch["source"], **box}
        for batch in batches
        for box in batch["boxes"]
    ]
    assert boxes_json == boxes_parquet
    assert [{key: cell_value(v) for key, v in row.items()} for row in boxes_parquet] == boxes_csv
    assert [{key: cell_value(v) for key, v in row.items()} for row in frames_parquet] == frames_csv


def cell_value(value: str | float | None) -> str:
    """Read a cell back as a CSV reader does: without its quotes."""
    (read,) = next(csv.reader(io.StringIO(cell(value) + ",", newline="")))[:-1]
    return read


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_no_text_is_a_formula_and_every_text_can_be_had_back(text: str) -> None:
    read = cell_value(text)
    assert not read.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert read.removeprefix("'") == text


@pytest.mark.parametrize("evil", ["=1+1", "+1", "-2", "@SUM(A1)", "\t=1", "'=1", '=HYPERLINK("x")'])
def test_a_formula_in_a_name_is_disarmed_in_every_csv_column(evil: str) -> None:
    frame = located(0, parent_id=evil, source=evil, composition=evil)
    for row in _rows(_written(BoxesCsv, frame)):
        assert row["parent_id"] == row["source"] == "'" + evil
    (row,) = _rows(_written(FramesCsv, rejected(1, reason=evil)))
    assert row["reason"] == "'" + evil
    (row,) = _rows(_written(FramesCsv, frame))
    assert row["composition"] == "'" + evil


def test_line_ends_in_a_name_stay_within_one_cell() -> None:
    (row,) = _rows(_written(FramesCsv, rejected(0, reason="first\r\nsecond", source="a\nb,c")))
    assert (row["reason"], row["source"]) == ("first\r\nsecond", "a\nb,c")
    assert text_cell("a\nb") == '"a\nb"'


def test_a_batch_states_its_conventions_and_where_it_comes_from() -> None:
    batch = json.loads(
        _written(BoxesJsonl, located(7, extra={"holder": "β-tilt"}, scan_rotation_deg=12.5))
    )
    boxes, provenance = batch.pop("boxes"), batch.pop("provenance")
    assert batch == {
        "schema": "haadflow.boxes/1",
        "batch_id": "run-1/7",
        "parent_id": "particle-0007",
        "source": "survey/particle-0007.tif",
        "frame_index": 7,
        "created_utc": "2027-01-15T08:00:00.000Z",
        "parent_height": 512,
        "parent_width": 1024,
        "pixel_size_nm": None,
        "scan_rotation_deg": 12.5,
        "origin": "top-left",
        "convention": "half-open pixel edges",
        "outcome": "located",
        "stage": None,
        "reason": None,
        "replay_of": None,
        "composition": None,
        "composition_from": None,
        "n_elements": None,
        "n_peaks": 3,
        "k": 4,
        "bounding_box_px": [8, 16, 900, 500],
        "extra": {"holder": "β-tilt"},
        "n_boxes": 2,
    }
    assert [box["box_id"] for box in boxes] == [0, 1]
    assert provenance["software"] == "haadflow 9.9"
    assert provenance["wire_version"] == 1
    assert provenance["intensity_scaling"] == {"black": 15131.0, "white": 19023.0}
    assert provenance["parameters"]["preprocessing"] == {"sharpen_sigma": 5.0}
    assert provenance["findings"]["quality_gate"] == {"quality": {"contrast": 0.41}}
    assert provenance["findings"]["preprocessing"]["cutoff"] == 57
    assert provenance["stage_ms"]["preprocessing"] == 2.25
    assert provenance["attempts"] == 1
    assert provenance["setbacks"] == []


def test_there_is_a_batch_for_a_parent_without_boxes() -> None:
    content = _written(BoxesJsonl, located(0, []), rejected(1), failed(2))
    batches = [json.loads(line) for line in content.splitlines()]
    assert [batch["outcome"] for batch in batches] == ["located", "rejected", "failed"]
    assert all(batch["boxes"] == [] and batch["n_boxes"] == 0 for batch in batches)
    assert batches[1]["reason"] == "no particle: contrast 0.01"
    assert batches[2]["stage"] == "clustering"


def test_parquet_row_groups_keep_a_large_table_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("services.results.parquet.BOX_ROWS", 1000)
    monkeypatch.setattr("services.results.parquet.FRAME_ROWS", 3)
    frames = [located(seq, walked(seq, 600)) for seq in range(5)]
    boxes = parquet.ParquetFile(io.BytesIO(_written(BoxesParquet, *frames)))
    assert [boxes.metadata.row_group(n).num_rows for n in range(boxes.num_row_groups)] == [
        1200,
        1200,
        600,
    ]
    table = boxes.read()
    expected = np.concatenate([frame.boxes[:, 0] for frame in frames])
    np.testing.assert_array_equal(table["x_px"].to_numpy(), expected)
    assert table["parent_id"].to_pylist()[599:601] == ["particle-0000", "particle-0001"]
    assert table.schema.field("x_center_nm").metadata == {b"unit": b"nm"}
    rows = parquet.ParquetFile(io.BytesIO(_written(FramesParquet, *frames)))
    assert rows.num_row_groups == 2


def test_process_time_is_the_sum_of_the_stages() -> None:
    assert frame_row(located(0)).process_ms == pytest.approx(5.0)
    assert frame_row(rejected(0)).process_ms == pytest.approx(1.5)


def test_a_table_of_the_store_is_a_table_of_what_was_committed(tmp_path: Path) -> None:
    frames = [located(seq, walked(seq, 300)) for seq in range(3)]
    with ResultStore(tmp_path / "r.sqlite", writer=WRITER, clock=lambda: 1.8e9) as store:
        store.commit(frames)
        export_tables(store, tmp_path)
    assert (tmp_path / "boxes.csv").read_bytes() == _written(BoxesCsv, *frames)
    assert (tmp_path / "boxes.jsonl").read_bytes() == _written(BoxesJsonl, *frames)


def test_every_column_and_field_is_described() -> None:
    text = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
    batch = json.loads(_written(BoxesJsonl, located(0)))
    summary = summarise(Statistics()).__struct_fields__
    provenance = [f"provenance.{name}" for name in batch.pop("provenance")]
    for name in (*BOX_COLUMNS, PARTICLE, *FRAME_COLUMNS, *batch, *summary, *provenance):
        assert f"`{name}`" in text, name
