"""Which particle a box is of: in every table where particles are told apart, and in no other."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from protocols.messages import Located, StageRecord
from services.results import ResultStore, StoreError, Writer
from services.results.export import export_tables
from services.results.overlay import picture_of
from services.results.particles import has_particles, owners_of, particles_of
from tests.helpers.outcomes import located, rejected

WRITER = Writer(software="haadflow 9.9", wire_version=1)
SQUARES = [[10, 20, 4], [20, 20, 4], [14, 20, 4], [200, 100, 8]]
TWO = [
    {"bounding_box": [10, 20, 40, 60], "first_box": 0, "boxes": 3, "k": 2},
    {"bounding_box": [190, 90, 260, 160], "first_box": 3, "boxes": 1, "k": 1},
]


def refined(seq: int, particles: object = TWO) -> Located:
    """Make a located frame with particles in its record."""
    frame = located(seq, SQUARES, pixel_size_nm=0.5)
    record = StageRecord(
        stage="refined", milliseconds=3.0, parameters={}, findings={"particles": particles}
    )
    return msgspec.structs.replace(
        frame, envelope=msgspec.structs.replace(frame.envelope, stages=(record,))
    )


def exported(folder: Path, *outcomes: Any) -> Path:  # noqa: ANN401
    with ResultStore(folder / "r.sqlite", writer=WRITER, clock=lambda: 1.8e9) as store:
        store.commit(outcomes)
        export_tables(store, folder)
    return folder


def boxes_csv(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((folder / "boxes.csv").read_text())))


def test_the_particle_is_the_last_column_of_each_table(tmp_path: Path) -> None:
    out = exported(tmp_path, located(0), refined(1), rejected(2))
    rows = boxes_csv(out)
    assert list(rows[0])[-2:] == ["region", "particle"]
    assert [row["particle"] for row in rows] == ["", "", "0", "0", "0", "1"]
    plain, told, refused = map(json.loads, (out / "boxes.jsonl").read_text().splitlines())
    assert all("particle" not in box for box in plain["boxes"])
    assert [box["particle"] for box in told["boxes"]] == [0, 0, 0, 1]
    assert told["provenance"]["findings"]["refined"]["particles"] == TWO
    assert refused["boxes"] == []
    parquet = pytest.importorskip("pyarrow.parquet").read_table(out / "boxes.parquet")
    assert parquet.column_names[-1] == "particle"
    assert parquet["particle"].to_pylist() == [None, None, 0, 0, 0, 1]


@pytest.mark.parametrize("name", ["particles", "éparticles", "x"])
def test_a_run_without_particles_has_no_such_column(name: str, tmp_path: Path) -> None:
    frame = located(0, source=f"{name}/a.png", extra={name: "1"})
    out = exported(tmp_path, frame)
    assert "particle" not in boxes_csv(out)[0]
    assert b"particle" not in (out / "boxes.csv").read_bytes().splitlines()[0]
    parquet = pytest.importorskip("pyarrow.parquet").read_table(out / "boxes.parquet")
    assert "particle" not in parquet.column_names


def test_a_particle_behind_many_frames_without_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.results.store._SHORT_ROWS", 4)
    with ResultStore(tmp_path / "r.sqlite", writer=WRITER) as store:
        store.commit([located(seq) for seq in range(9)])
        assert not has_particles(store)
        store.commit([refined(9)])
        assert has_particles(store)


def test_a_damaged_header_is_named_with_its_frame(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    with ResultStore(path, writer=WRITER) as store:
        store.commit([located(0), refined(7)])
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE outcomes SET header = x'00' WHERE seq = 7")
    with (
        ResultStore(path) as store,
        pytest.raises(StoreError, match="frame run-1/7 is damaged: not a header"),
    ):
        has_particles(store)


def changed(at: int, **fields: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    return [one | fields if place == at else one for place, one in enumerate(TWO)]


@pytest.mark.parametrize(
    "particles",
    [
        [],
        "two",
        [1, 2],
        [{"k": 2}],
        TWO[:1],
        changed(1, first_box=2),
        changed(1, boxes=2),
        changed(0, boxes=-3),
        changed(0, boxes=2.5),
        changed(0, bounding_box=[10, 20, 1 << 30, 60]),
        changed(0, bounding_box=[40, 20, 10, 60]),
        changed(0, bounding_box=[10, 20, 40]),
    ],
)
def test_findings_that_do_not_fit_the_frame_tell_nothing_apart(
    particles: object, tmp_path: Path
) -> None:
    frame = refined(0, particles)
    assert particles_of(frame) == ()
    assert owners_of(frame) is None
    rows = boxes_csv(exported(tmp_path, frame))
    assert [row.get("particle", "") for row in rows] == [""] * 4


def test_a_particle_whose_boxes_were_all_left_out_is_still_counted() -> None:
    frame = refined(0, [TWO[0], {**TWO[1], "boxes": 0}, {**TWO[1], "first_box": 3}])
    owners = owners_of(frame)
    assert owners is not None
    assert owners.tolist() == [0, 0, 0, 2]


def white_along(frame: Located) -> Callable[[int, int, int, int], bool]:
    """Say whether a dash of a picture's bounding box begins at each corner of two sides."""
    flat = np.full((frame.grid.parent_height, frame.grid.parent_width), 100, np.uint16)
    flat[0, 0] = 0
    picture = picture_of(flat, frame, frame.grid.parent_width)

    def drawn(x0: int, y0: int, x1: int, y1: int) -> bool:
        places = (picture[y0, x0], picture[y1 - 1, x0 + 1], picture[y0 + 1, x1 - 1])
        return all(int(place.min()) > 200 for place in places)

    return drawn


def test_a_picture_has_one_bounding_box_a_particle() -> None:
    frame = refined(0)
    whole = msgspec.structs.astuple(frame.bounding_box)
    drawn = white_along(frame)
    assert all(drawn(*one["bounding_box"]) for one in TWO)  # type: ignore[misc]
    assert not drawn(*whole)
    drawn = white_along(located(0, SQUARES))
    assert drawn(*whole)
    assert not any(drawn(*one["bounding_box"]) for one in TWO)  # type: ignore[misc]
