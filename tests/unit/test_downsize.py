"""The parent image on the grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from skimage.transform import resize

from pipeline import Grid, Scaling, as_image, downsize, find_scaling
from pipeline.gaussian import WEIGHT_BITS
from tests.helpers.reference_downsize import downsize_levels, integer_matrix, resampling_matrix

AS_IS = Scaling(low=0.0, high=255.0, method="8-bit as is")
SHAPES = [(1024, 1024), (512, 512), (400, 400), (301, 512), (130, 500), (16, 1000), (112, 68)]


def picture(shape: tuple[int, int], seed: int = 3) -> NDArray[np.uint8]:
    """A disc, a slope and noise."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    disc = (x - shape[1] / 2) ** 2 + (y - shape[0] / 2) ** 2 < (min(shape) / 3) ** 2
    noise = np.random.default_rng(seed).normal(0, 25, shape)
    levels: NDArray[np.float64] = np.clip(40 + 130 * disc + 30 * x / shape[1] + noise, 0, 255)
    return levels.astype(np.uint8)


@st.composite
def parents(draw: st.DrawFn) -> NDArray[np.uint8]:
    shape = draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    return draw(hnp.arrays(np.uint8, shape))


@st.composite
def grids_for(draw: st.DrawFn, shape: tuple[int, int]) -> Grid:
    height, width = shape
    return Grid(
        rows=draw(st.integers(1, height)),
        columns=draw(st.integers(1, width)),
        parent_height=height,
        parent_width=width,
    )


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_8_bit_images_agree_with_whole_matrices_in_unbounded_integers(data: st.DataObject) -> None:
    parent = data.draw(parents())
    grid = data.draw(grids_for((parent.shape[0], parent.shape[1])))
    levels = parent.astype(np.int64) * 16
    expected = downsize_levels(levels, np.ones(parent.shape, bool), grid.shape)
    assert np.array_equal(downsize(parent, AS_IS, grid), expected)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_floats_with_invalid_pixels_agree_with_whole_matrices_too(data: st.DataObject) -> None:
    steps = data.draw(parents()).astype(np.int64) * 16
    grid = data.draw(grids_for((steps.shape[0], steps.shape[1])))
    valid = data.draw(hnp.arrays(bool, steps.shape, elements=st.booleans(), fill=st.just(True)))
    parent = np.where(valid, steps / 16.0, data.draw(st.sampled_from([np.nan, np.inf, -np.inf])))
    scaling = Scaling(low=0.0, high=255.0, method="percentiles")
    expected = downsize_levels(steps, valid, grid.shape)
    assert np.array_equal(downsize(parent, scaling, grid), expected)


@pytest.mark.parametrize(
    ("pixels", "cells"), [(1024, 128), (512, 128), (400, 128), (130, 128), (37, 16), (200, 3)]
)
def test_the_integer_weights_are_those_of_blur_and_interpolation_rounded(
    pixels: int, cells: int
) -> None:
    exact = resampling_matrix(pixels, cells)
    rounded = integer_matrix(pixels, cells)
    assert np.all(rounded.sum(axis=1) == 2**WEIGHT_BITS)
    # the largest weight of a row also takes what rounding left over
    assert np.abs(rounded / 2**WEIGHT_BITS - exact).max() < 2e-4
    assert np.median(np.abs(rounded - exact * 2**WEIGHT_BITS)[rounded > 0]) <= 0.5


@pytest.mark.parametrize("shape", SHAPES)
def test_it_agrees_with_scikit_image_to_a_gray_level(shape: tuple[int, int]) -> None:
    parent = picture(shape)
    grid = Grid.for_parent(*shape)
    reference = 255.0 * resize(  # type: ignore[no-untyped-call] # scikit-image has no types
        parent, grid.shape, order=1, mode="reflect", anti_aliasing=True
    )
    ours = downsize(parent, AS_IS, grid)
    assert np.all(np.abs(ours - (reference - 0.5)) <= 1.0)
    assert np.mean(ours != np.floor(reference + 1e-9)) < 0.01


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u2", "u4", "u8", "f2", "f4", "f8"])
def test_every_number_type_gives_the_same_picture(dtype: str) -> None:
    parent = picture((200, 160)) // 2
    grid = Grid.for_parent(200, 160)
    scaling = Scaling(low=0.0, high=127.0, method="percentiles")
    expected = downsize(as_image(parent.astype(np.float64)), scaling, grid)
    assert np.array_equal(downsize(as_image(parent.astype(dtype)), scaling, grid), expected)


@pytest.mark.parametrize("value", [0, 1, 100, 254, 255])
@pytest.mark.parametrize("shape", [(300, 177), (1024, 16), (16, 16)])
def test_flat_areas_keep_their_value(value: int, shape: tuple[int, int]) -> None:
    parent = np.full(shape, value, np.uint8)
    assert np.all(downsize(parent, AS_IS, Grid.for_parent(*shape)) == value)


def test_a_parent_smaller_than_the_grid_is_scaled_only() -> None:
    parent = picture((100, 90))
    assert np.array_equal(downsize(parent, AS_IS, Grid.for_parent(100, 90)), parent)


def test_dead_pixels_do_not_darken_their_surroundings() -> None:
    parent = np.full((256, 256), 500.0, np.float32)
    parent[::17, ::5] = np.nan
    parent[100:140, 100:140] = np.inf
    levels = downsize(
        parent, Scaling(low=0.0, high=1000.0, method="percentiles"), Grid.for_parent(256, 256)
    )
    assert set(np.unique(levels)) <= {0, 127}
    assert levels[60, 60] == 0
    assert np.mean(levels == 127) > 0.95


def test_a_flat_scaling_gives_black() -> None:
    parent = as_image(np.full((64, 64), 3.5))
    assert not downsize(parent, find_scaling(parent), Grid.for_parent(64, 64)).any()


@pytest.mark.parametrize("high", [5e-324, 1.7e308])
def test_extreme_ranges_do_not_overflow(high: float) -> None:
    parent = as_image(np.where(picture((64, 64)) < 99, -high, high))
    scaling = Scaling(low=-high, high=high, method="percentiles")
    assert downsize(parent, scaling, Grid.for_parent(64, 64)).shape == (64, 64)


def test_large_integers_keep_their_contrast() -> None:
    step = 2**40
    parent = as_image(2**62 + step * picture((64, 64)).astype(np.uint64))
    scaling = Scaling(low=float(2**62), high=float(2**62 + step * 255), method="percentiles")
    assert np.array_equal(downsize(parent, scaling, Grid.for_parent(64, 64)), picture((64, 64)))


@pytest.mark.parametrize(
    ("image", "grid", "said"),
    [
        (np.zeros((40, 40), np.uint8), Grid.for_parent(40, 41), "grid: came one for a parent of"),
        (np.zeros((40, 40), np.uint16), Grid.for_parent(40, 40), "'8-bit as is' for uint16"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    image: NDArray[np.generic], grid: Grid, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        downsize(image, AS_IS, grid)
