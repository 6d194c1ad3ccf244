"""The grid and the way back to the parent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import CELLS, Grid

SIDES = st.integers(16, 5000)


@pytest.mark.parametrize(
    ("height", "width", "shape"),
    [
        (1024, 1024, (128, 128)),
        (512, 1024, (64, 128)),
        (301, 512, (75, 128)),
        (512, 301, (128, 75)),
        (400, 400, (128, 128)),
        (112, 112, (112, 112)),
        (68, 68, (68, 68)),
        (16, 16, (16, 16)),
        (16, 1000, (16, 128)),
        (64, 2048, (16, 128)),
        (3, 3, (3, 3)),
    ],
)
def test_the_longer_side_has_128_cells_and_cells_are_as_square_as_can_be(
    height: int, width: int, shape: tuple[int, int]
) -> None:
    assert Grid.for_parent(height, width).shape == shape


@settings(max_examples=200, deadline=None)
@given(SIDES, SIDES)
def test_no_cell_is_smaller_than_a_pixel_and_no_grid_larger_than_128(
    height: int, width: int
) -> None:
    grid = Grid.for_parent(height, width)
    assert 16 <= grid.rows <= min(height, CELLS)
    assert 16 <= grid.columns <= min(width, CELLS)
    assert max(grid.shape) == min(CELLS, max(height, width))


@settings(max_examples=40, deadline=None)
@given(SIDES, SIDES, st.integers(0, 2**32 - 1))
def test_boxes_in_parent_pixels_are_square_inside_and_apart(
    height: int, width: int, seed: int
) -> None:
    grid = Grid.for_parent(height, width)
    size = int(np.random.default_rng(seed).integers(1, 6))
    corners = [
        (x, y, size)
        for y in range(0, grid.rows - size + 1, size)
        for x in range(0, grid.columns - size + 1, size)
    ]
    boxes = grid.to_parent(np.array(corners, np.int32))
    assert boxes.dtype == np.int32
    assert boxes.min() >= 0
    assert boxes[:, 2].min() >= size
    assert np.all(boxes[:, 0] + boxes[:, 2] <= width)
    assert np.all(boxes[:, 1] + boxes[:, 2] <= height)
    for (x, y, _), (left, top, side) in zip(corners, boxes.tolist(), strict=True):
        # within its own cells, so it cannot meet the box of other cells
        x0, y0, x1, y1 = grid.rectangle_to_parent((x, y, x + size, y + size))
        assert (left, top) == (x0, y0)
        assert left + side <= x1
        assert top + side <= y1


def test_a_parent_that_128_divides_is_covered_without_gaps() -> None:
    grid = Grid.for_parent(512, 1024)
    assert grid.to_parent(np.array([[3, 5, 2]], np.int32)).tolist() == [[24, 40, 16]]
    assert grid.rectangle_to_parent((0, 0, 128, 64)) == (0, 0, 1024, 512)


@settings(max_examples=100, deadline=None)
@given(st.integers(16, 700), st.integers(16, 700), st.booleans(), st.integers(0, 2**32 - 1))
def test_a_box_is_placed_and_measured_as_the_pixels_under_its_cells(
    height: int, width: int, whole: bool, seed: int
) -> None:
    # half of the time with cells of a whole number of pixels, which need not be square
    grid = Grid(
        rows=16,
        columns=16,
        parent_height=height * 16 if whole else height,
        parent_width=width * 16 if whole else width,
    )
    x, y, size = np.random.default_rng(seed).integers(0, [9, 9, 8]).tolist()
    x0, y0, x1, y1 = grid.rectangle_to_parent((x, y, x + size, y + size))
    expected = [x0, y0, min(x1 - x0, y1 - y0)]
    assert grid.to_parent(np.array([[x, y, size]], np.int32)).tolist() == [expected]


def test_no_boxes_stay_no_boxes() -> None:
    assert Grid.for_parent(400, 400).to_parent(np.zeros((0, 3), np.int32)).shape == (0, 3)


@pytest.mark.parametrize(("rows", "columns"), [(0, 4), (4, 33)])
def test_impossible_grids_are_refused(rows: int, columns: int) -> None:
    with pytest.raises(ValueError, match="expected at least one cell, and no more cells than"):
        Grid(rows=rows, columns=columns, parent_height=32, parent_width=32)
