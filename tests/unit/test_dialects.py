"""What instruments are told: read back, it is the boxes or points that were meant."""

from __future__ import annotations

import csv
import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.controllers.controller import Box
from services.controllers.dialects import (
    Boxes,
    Dialect,
    Parent,
    Request,
    Unrepresentable,
    autoscript,
    in_dialect,
    jeol,
    open_beam,
    scan_table,
)
from services.controllers.points import expand

PARENT = Parent(height=384, width=640)
BOXES = np.array([[0, 0, 8], [632, 376, 8], [100, 51, 1], [8, 0, 16]], np.int32)


@st.composite
def boxes_on_parents(draw: st.DrawFn) -> tuple[Parent, Boxes]:
    height, width = (draw(st.integers(1, 4096)) for _ in range(2))
    boxes = []
    for _ in range(draw(st.integers(0, 6))):
        size = draw(st.integers(1, min(height, width)))
        corner = draw(st.integers(0, width - size)), draw(st.integers(0, height - size))
        boxes.append((*corner, size))
    return Parent(height, width), np.array(boxes, np.int32).reshape(-1, 3)


@given(boxes_on_parents())
def test_relative_rectangles_come_back_as_the_boxes(drawn: tuple[Parent, Boxes]) -> None:
    parent, boxes = drawn
    assert (autoscript.read(parent, autoscript.write(parent, boxes)) == boxes).all()


@given(boxes_on_parents())
def test_areas_of_4096ths_come_back_as_the_boxes(drawn: tuple[Parent, Boxes]) -> None:
    parent, boxes = drawn
    assert (jeol.read(parent, jeol.write(parent, boxes)) == boxes).all()


@given(boxes_on_parents(), st.sampled_from([1, 2, 3]))
def test_points_come_back_to_half_a_code_or_as_their_pixel(
    drawn: tuple[Parent, Boxes], per_edge: int
) -> None:
    parent, boxes = drawn
    some = boxes[boxes[:, 2] >= per_edge][:1]
    points = expand([Box(0, x, y, size, region=1) for x, y, size in some.tolist()], per_edge)
    xy = np.stack([points.x_px, points.y_px], axis=1)
    written = open_beam.write(parent, points, dwell_us=2.0)
    half_a_code = np.array([parent.width, parent.height]) / open_beam.CODES / 2
    assert (np.abs(open_beam.read(parent, written) - xy) <= half_a_code * (1 + 1e-6)).all()
    pixels = {"rows": parent.height, "columns": parent.width}
    table = scan_table.read(parent, scan_table.write(parent, points, **pixels), **pixels)
    assert (np.floor(table) == np.floor(xy)).all()


def said(dialect: Dialect, boxes: Boxes = BOXES, **asked: object) -> str:
    request = msgspec.convert({"dialect": dialect, **asked}, Request)
    return in_dialect(PARENT, boxes, request).decode()


def test_autoscript_is_told_fractions_of_width_and_height() -> None:
    assert json.loads(said("autoscript"))[1] == {
        "left": 632 / 640,
        "top": 376 / 384,
        "width": 8 / 640,
        "height": 8 / 384,
    }


def test_jeol_is_told_4096ths_and_boxes_that_touch_still_do() -> None:
    areas = json.loads(said("jeol"))
    assert areas[0] == {"X": 0, "Y": 0, "Width": 51, "Height": 85}
    assert areas[3]["X"] == areas[0]["X"] + areas[0]["Width"]
    assert areas[1]["X"] + areas[1]["Width"] == areas[1]["Y"] + areas[1]["Height"] == 4096


def test_open_beam_is_told_codes_and_units_of_125_ns() -> None:
    lines = list(csv.reader(said("obi-csv", dwell_us=1.0).splitlines()))
    assert lines[0] == [str(4 * 16384 // 640), str(4 * 16384 // 384), "8"]


def test_a_scan_table_is_told_whole_positions_x_first() -> None:
    assert said("qd-xy").splitlines() == ["4,4", "636,380", "100,51", "16,8"]
    assert said("de-xy", columns=320, rows=192).splitlines() == ["2,2", "318,190", "50,25", "8,4"]
    one = np.array([[10, 20, 2]], np.int32)
    assert said("qd-xy", one, points_per_edge=2).splitlines() == [
        "10,20",
        "11,20",
        "10,21",
        "11,21",
    ]


def test_boxes_come_in_the_order_that_was_asked_for() -> None:
    row = np.array([[0, 0, 4], [40, 0, 4], [10, 0, 4]], np.int32)
    assert said("qd-xy", row, order="nearest").splitlines() == ["2,2", "12,2", "42,2"]


@pytest.mark.parametrize(
    ("dialect", "box", "asked", "named"),
    [
        ("autoscript", (636, 0, 8), {}, "box 0: x 636, y 0, size 8 is no square inside"),
        ("jeol", (0, -1, 8), {}, "box 0: x 0, y -1, size 8 is no square inside"),
        ("qd-xy", (0, 0, 0), {}, "size 0 is no square"),
        ("qd-xy", (0, 0, 2), {"points_per_edge": 3}, "would visit some twice"),
        ("de-xy", (0, 0, 8), {"points_per_edge": 8, "columns": 64, "rows": 64}, "scanned twice"),
        ("obi-csv", (0, 0, 8), {"dwell_us": 0.01}, "a dwell of 0.01 us"),
        ("obi-csv", (0, 0, 8), {"dwell_us": 1e5}, "a dwell of 100000.0 us; .* up to 8191.875 us"),
        ("obi-csv", (0, 0, 8), {"dwell_us": 8191.876}, "a dwell of 8191.876 us"),
        ("obi-csv", (0, 0, 8), {"dwell_us": 10.1}, "a dwell of 10.1 us; it goes in steps of 0.125"),
        ("obi-csv", (0, 0, 8), {"dwell_us": float("inf")}, "a dwell of inf us"),
    ],
)
def test_what_cannot_be_said_is_refused_and_not_clamped(
    dialect: Dialect, box: tuple[int, int, int], asked: dict[str, object], named: str
) -> None:
    with pytest.raises(Unrepresentable, match=named):
        said(dialect, np.array([box], np.int32), **asked)


@pytest.mark.parametrize("square", [(0, 0, 1), (0, 0, 50), (1, 0, 4999)])
def test_a_box_that_4096ths_would_move_is_refused(square: tuple[int, int, int]) -> None:
    x, y, size = square
    with pytest.raises(Unrepresentable, match=f"{size} px at x {x}, y {y} do not begin and end"):
        jeol.write(Parent(10_000, 10_000), np.array([square], np.int32))
    whole = np.array([[0, 0, 5000], [5000, 5000, 5000]], np.int32)
    assert np.array_equal(
        jeol.read(Parent(10_000, 10_000), jeol.write(Parent(10_000, 10_000), whole)), whole
    )


def test_a_refused_box_is_named_by_its_number_and_not_by_its_turn() -> None:
    boxes = np.array([[0, 0, 8], [40, 0, 2], [10, 0, 8]], np.int32)
    with pytest.raises(Unrepresentable, match="box 1: 3 x 3 points in 2 x 2 pixels"):
        said("qd-xy", boxes, order="nearest", points_per_edge=3)
