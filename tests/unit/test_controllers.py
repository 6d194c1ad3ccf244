"""What all adapters share: bounds, points, the order of acquisition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from protocols.scanning import ORDERS, Order
from services.controllers.bounds import View, refusals
from services.controllers.controller import Box, Limits, SettingError, settings_from
from services.controllers.files import FileSettings
from services.controllers.order import acquisition_order, travel_px
from services.controllers.points import expand
from services.controllers.registry import build_controller, names

SUBSCAN = Limits(family="sub-scan")


def boxes_of(*squares: tuple[int, int, int]) -> list[Box]:
    return [Box(place, x, y, size, region=1) for place, (x, y, size) in enumerate(squares)]


@pytest.mark.parametrize(
    ("square", "limits", "says"),
    [
        ((-1, 0, 4), SUBSCAN, "outside_parent: x_px -1, y_px 0, size_px 4"),
        ((0, -1, 4), SUBSCAN, "outside_parent"),
        ((61, 0, 4), SUBSCAN, "outside_parent.* 64 x 32"),
        ((0, 29, 4), SUBSCAN, "outside_parent"),
        ((0, 0, 0), SUBSCAN, "outside_parent"),
        ((0, 0, 4), Limits(family="sub-scan", smallest_px=5), "too_small: size_px 4"),
        ((0, 0, 4), Limits(family="sub-scan", largest_px=3), "too_large: size_px 4"),
        ((0, 0, 4), Limits(family="point list", points_per_edge=5), "too_fine: 5 x 5"),
        (
            (0, 0, 4),
            Limits(family="sub-scan", grid_height=64, grid_width=32),
            "outside_grid: the parent is 64 x 32 .* grid 32 x 64",
        ),
    ],
)
def test_a_box_that_does_not_fit_is_refused_by_name(
    square: tuple[int, int, int], limits: Limits, says: str
) -> None:
    found = refusals(boxes_of((0, 0, 4), square), View(32, 64), limits)
    assert 1 in found
    with pytest.raises(ValueError, match=says):
        raise ValueError(found[1])


def test_boxes_at_the_edges_are_taken_as_they_are() -> None:
    limits = Limits(family="sub-scan", grid_height=32, grid_width=64)
    assert refusals(boxes_of((60, 28, 4), (0, 0, 32), (32, 0, 32)), View(32, 64), limits) == {}


@pytest.mark.parametrize(
    ("pixel_size_nm", "scan_rotation_deg", "says"),
    [
        (0.51, None, "another_field: the parent is 16.32 nm high, the controller's field 16 nm"),
        (0.49, 0.0, "another_field"),
        (0.5, 0.2, "another_rotation: the parent was scanned at 0.2 degrees; expected 0"),
        (None, -0.2, "another_rotation"),
        (0.504, -0.1, None),
        (None, None, None),
    ],
)
def test_a_parent_that_shows_another_field_is_refused_where_that_is_known(
    pixel_size_nm: float | None, scan_rotation_deg: float | None, says: str | None
) -> None:
    parent = View(32, 64, pixel_size_nm, scan_rotation_deg)
    limits = Limits(family="sub-scan", grid_height=32, grid_width=64, field_height_nm=16.0)
    assert refusals(boxes_of((0, 0, 4)), parent, SUBSCAN) == {}
    found = refusals(boxes_of((0, 0, 4)), parent, limits)
    assert [why.startswith(says or "never") for why in found.values()] == [True] * bool(says)


SQUARES = st.lists(
    st.tuples(st.integers(0, 500), st.integers(0, 500), st.integers(1, 64)), max_size=40
)


def array(squares: list[tuple[int, int, int]]) -> NDArray[np.int32]:
    return np.array(squares, np.int32).reshape(-1, 3)


@given(SQUARES, st.sampled_from(ORDERS))
def test_every_order_visits_every_box_once(
    squares: list[tuple[int, int, int]], order: Order
) -> None:
    places = acquisition_order(array(squares), order)
    assert sorted(places.tolist()) == list(range(len(squares)))


@given(SQUARES)
def test_nearest_always_goes_to_a_box_that_is_nearest(squares: list[tuple[int, int, int]]) -> None:
    boxes = array(squares)
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    places = acquisition_order(boxes, "nearest").tolist()
    if len(places) < 3:
        return
    for at, place in enumerate(places[:-1]):
        left = places[at + 1 :]
        ways = [np.hypot(*(centres[other] - centres[place])) for other in left]
        assert ways[0] == pytest.approx(min(ways))


def test_serpentine_turns_at_the_end_of_each_band() -> None:
    squares = [(x, y, 8) for y in (0, 8, 40) for x in (0, 8, 16)]
    places = acquisition_order(array(squares), "serpentine").tolist()
    assert places == [0, 1, 2, 5, 4, 3, 6, 7, 8]
    assert travel_px(array(squares)[places]) < travel_px(array(squares))


def test_the_beams_way_is_from_centre_to_centre() -> None:
    assert travel_px(array([(0, 0, 2), (3, 4, 2), (3, 4, 2)])) == 5.0
    assert travel_px(array([(0, 0, 2)])) == travel_px(array([])) == 0.0


def test_one_point_is_the_centre_of_its_box() -> None:
    points = expand(boxes_of((4, 6, 3), (0, 0, 2)), 1)
    assert points.x_px.tolist() == [5.5, 1.0]
    assert points.y_px.tolist() == [7.5, 1.0]
    assert points.place.tolist() == [0, 1]


def test_as_many_points_as_pixels_are_the_pixels_row_by_row() -> None:
    points = expand(boxes_of((10, 20, 3)), 3)
    assert points.columns.tolist() == [10, 11, 12] * 3
    assert points.rows.tolist() == [20] * 3 + [21] * 3 + [22] * 3
    assert points.x_px[0] == 10.5
    assert points.y_px[0] == 20.5


@given(SQUARES, st.integers(1, 9))
def test_points_lie_inside_their_box(squares: list[tuple[int, int, int]], n: int) -> None:
    points = expand(boxes_of(*squares), n)
    x, y, size = array(squares)[points.place].T
    assert len(points.x_px) == n * n * len(squares)
    assert ((points.columns >= x) & (points.columns < x + size)).all()
    assert ((points.rows >= y) & (points.rows < y + size)).all()


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(SettingError, match=r"files: unknown setting 'dwel'; expected one of"):
        settings_from("files", {"dwel": 1}, FileSettings)
    with pytest.raises(SettingError, match=r"files: .*dwell_us"):
        settings_from("files", {"out": "o", "dwell_us": "soon"}, FileSettings)
    assert settings_from("files", {"out": "o", "dwell_us": "2.5"}, FileSettings).dwell_us == 2.5


def test_an_adapter_is_found_by_its_file(tmp_path: Path) -> None:
    assert "files" in names()
    made = build_controller("files", {"out": str(tmp_path)})
    assert made.describe().family == "sub-scan"
    with pytest.raises(SettingError, match=r"'nobody': no such controller; expected .*'files'"):
        build_controller("nobody", {})
