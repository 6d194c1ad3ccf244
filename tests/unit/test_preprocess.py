"""Finding the particle, and setting its background to zero."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pipeline import NothingFound, Preprocessed, PreprocessParams, preprocess
from pipeline.preprocess import (
    border_is_mostly,
    diagonal,
    enclose,
    filter_particle,
    find_bounding_box,
    find_cutoff,
    percent,
)
from tests.helpers import reference_masks, reference_preprocess

PICTURES = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))
MASKS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))

PARAMS = PreprocessParams()


def disc(
    shape: tuple[int, int] = (128, 128),
    center: tuple[float, float] = (64, 64),
    radius: float = 30,
    noise: float = 0.0,
) -> NDArray[np.uint8]:
    """A particle of 120 on a background of 20; center is x, y."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    distance = np.hypot(x - center[0], y - center[1])
    levels = 20 + 100 * np.clip(radius - distance + 0.5, 0, 1)
    levels = levels + np.random.default_rng(1).normal(0, 1, shape) * noise
    picture: NDArray[np.uint8] = np.clip(levels, 0, 255).astype(np.uint8)
    return picture


def found(picture: NDArray[np.uint8]) -> Preprocessed:
    result = preprocess(picture)
    assert isinstance(result, Preprocessed)
    return result


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(st.integers(30, 128), st.integers(30, 128)),
    st.floats(0.3, 0.7),
    st.floats(0.15, 0.3),
    st.sampled_from([0.0, 2.0, 5.0]),
)
def test_the_step_agrees_with_the_one_in_floating_point(
    shape: tuple[int, int], place: float, size: float, noise: float
) -> None:
    picture = disc(shape, (place * shape[1], place * shape[0]), size * min(shape), noise)
    result = found(picture)
    expected = reference_preprocess.bounding_box(picture)
    # A pixel at the threshold may fall to either side with the last bit of a float.
    assert np.abs(np.subtract(result.bounding_box, expected)).max() <= 2
    x0, y0, x1, y1 = result.bounding_box
    crop = picture[y0:y1, x0:x1]
    assert reference_preprocess.cutoff(crop) == (result.cutoff, result.contrast)
    theirs = reference_preprocess.filtered(crop, result.cutoff, result.contrast).astype(int)
    assert np.abs(result.filtered - theirs).max() <= 1


@pytest.mark.parametrize("center", [(64, 64), (30, 90), (5, 64), (64, 124), (2, 2), (127, 0)])
def test_the_bounding_box_encloses_the_particle_also_at_the_border_and_in_the_corner(
    center: tuple[float, float],
) -> None:
    picture = disc(center=center, noise=1.0)
    box = find_bounding_box(picture, PARAMS)
    assert box is not None
    x0, y0, x1, y1 = box
    outside = picture > 70
    assert outside.any()
    outside[y0:y1, x0:x1] = False
    assert not outside.any()
    assert (x1 - x0) * (y1 - y0) < 0.6 * picture.size


def test_the_last_row_and_column_of_the_foreground_belong_to_the_box() -> None:
    picture = disc(center=(64, 64))
    mirrored = np.ascontiguousarray(picture[::-1, ::-1])
    x0, y0, x1, y1 = found(picture).bounding_box
    assert found(mirrored).bounding_box == (128 - x1, 128 - y1, 128 - x0, 128 - y0)


def test_the_mask_is_the_particle_and_the_filtered_crop_is_zero_far_from_it() -> None:
    picture = disc(noise=1.5)
    result = found(picture)
    x0, y0, x1, y1 = result.bounding_box
    truth = disc()[y0:y1, x0:x1] > 70
    assert np.count_nonzero(result.mask ^ truth) < 0.08 * np.count_nonzero(truth)
    assert result.filtered[truth].min() > 0
    assert np.count_nonzero(result.filtered[~result.mask]) < 0.02 * truth.size
    assert result.mask.shape == result.filtered.shape == (y1 - y0, x1 - x0)


def test_brightening_saturates_and_does_not_wrap_around() -> None:
    crop = np.full((40, 40), 250, np.uint8)
    bright = filter_particle(crop, np.ones(crop.shape, bool), 100, PARAMS)
    assert bright.min() == 255


@settings(max_examples=60, deadline=None)
@given(PICTURES, st.integers(0, 255), st.integers(0, 2**32 - 1))
def test_brightening_alone_adds_inside_the_mask_and_clears_the_rest(
    picture: NDArray[np.uint8], contrast: int, seed: int
) -> None:
    mask = np.random.default_rng(seed).random(picture.shape) < 0.5
    alone = PreprocessParams(sharpen_amount=0, median=1)
    brighter = np.minimum(picture.astype(int) + percent(20, contrast), 255)
    assert np.array_equal(
        filter_particle(picture, mask, contrast, alone), np.where(mask, brighter, 0)
    )


@settings(max_examples=100, deadline=None)
@given(MASKS, st.booleans())
def test_the_border_and_the_enclosing_box_are_the_literal_ones(
    mask: NDArray[np.bool_], side: bool
) -> None:
    assert border_is_mostly(mask) == reference_masks.border_is_mostly(mask)
    assert enclose(mask, side) == reference_masks.enclose(mask, side)


def test_the_diagonal_runs_from_corner_to_corner() -> None:
    tall = np.arange(60, dtype=np.uint8).reshape(20, 3)
    assert diagonal(tall).tolist() == [0, 19, 41]
    square = np.arange(16, dtype=np.uint8).reshape(4, 4)
    assert diagonal(square).tolist() == [0, 5, 10, 15]


@pytest.mark.parametrize(
    ("levels", "cutoff"),
    [
        ([10, 10, 10, 110], 20),  # the first value counts
        ([0, 5, 5, 100, 100], 15),  # flat and low: the second 5
        ([0, 5, 7, 100, 100], 10),  # a step of 2 is not flat where R is 100
        ([0, 0, 0, 0], 0),
        ([40, 3, 3, 200, 200], 60),  # the first value counts even where it is high
    ],
)
def test_the_cutoff_lies_a_tenth_of_the_range_above_the_highest_flat_low_level(
    levels: list[int], cutoff: int
) -> None:
    assert find_cutoff(np.array(levels), PARAMS)[0] == cutoff


@settings(max_examples=100, deadline=None)
@given(PICTURES)
def test_the_cutoff_is_the_literal_one(picture: NDArray[np.uint8]) -> None:
    for crop in (picture, picture // 100):  # the second has flat stretches
        assert find_cutoff(diagonal(crop), PARAMS) == reference_preprocess.cutoff(crop)


@given(st.integers(0, 100), st.integers(0, 255))
def test_percentages_are_rounded_up_exactly(part: int, whole: int) -> None:
    assert percent(part, whole) * 100 >= part * whole > (percent(part, whole) - 1) * 100


def test_a_flat_picture_has_nothing_and_says_so() -> None:
    result = preprocess(np.full((128, 128), 60, np.uint8))
    assert isinstance(result, NothingFound)
    assert result.reason.startswith("empty: no cell is 2 gray levels darker")


def test_a_particle_that_covers_the_start_of_the_diagonal_is_not_guessed_at() -> None:
    # The first level counts as background (published), so nothing is above the cutoff.
    result = preprocess(disc(center=(2, 2)))
    assert isinstance(result, NothingFound)
    assert result.reason.startswith("no particle: ")


def test_a_dark_body_on_bright_ground_is_no_particle() -> None:
    result = preprocess(255 - disc())
    assert isinstance(result, NothingFound)
    assert result.reason.startswith("no particle: no cell of the bounding box")


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40)))
def test_any_picture_gets_an_answer_and_stays_as_it_was(picture: NDArray[np.uint8]) -> None:
    before = picture.copy()
    result = preprocess(picture)
    assert np.array_equal(picture, before)
    if isinstance(result, Preprocessed):
        x0, y0, x1, y1 = result.bounding_box
        assert 0 <= x0 < x1 <= picture.shape[1]
        assert 0 <= y0 < y1 <= picture.shape[0]
        assert result.filtered.shape == (y1 - y0, x1 - x0)
    else:
        assert result.reason.split(":")[0] in ("empty", "no particle")


def test_any_memory_layout_gives_the_same_answer() -> None:
    picture = disc(noise=2.0)
    expected = found(picture)
    for view in (np.asfortranarray(picture), np.repeat(picture, 2, axis=1)[:, ::2]):
        assert found(view).bounding_box == expected.bounding_box
        assert np.array_equal(found(view).filtered, expected.filtered)


def test_a_bounding_box_of_nothing_is_none() -> None:
    assert find_bounding_box(np.zeros((20, 20), np.uint8), PARAMS) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("find_blur", 14), ("threshold_window", 1), ("flat_percent", 101), ("sharpen_sigma", 0.0)],
)
def test_parameters_out_of_range_are_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name}: came {value}; expected"):
        PreprocessParams(**{name: value})  # type: ignore[arg-type] # that is the test
