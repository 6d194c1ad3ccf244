"""The boxes of Algorithms 1 and 2."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pipeline import BoxParams, box
from pipeline.box import Algorithm, largest_box
from tests.helpers import reference_box

REFERENCES = {1: reference_box.largest_first, 2: reference_box.first_fit}
ALGORITHMS = st.sampled_from(get_args(Algorithm))


@st.composite
def label_maps(draw: st.DrawFn) -> NDArray[np.uint8]:
    """Noise, and large areas with some noise on them, so that squares of all sizes fit."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=16))
    noise = draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 3), fill=st.integers(0, 3)))
    split = draw(st.integers(0, shape[1]))
    areas = np.where(np.arange(shape[1]) < split, draw(st.integers(0, 3)), draw(st.integers(0, 3)))
    few = draw(hnp.arrays(np.bool_, shape, elements=st.booleans(), fill=st.just(False)))
    labels: NDArray[np.uint8] = np.where(few, noise, areas).astype(np.uint8)
    return labels if draw(st.booleans()) else noise


@settings(max_examples=100, deadline=None)
@given(label_maps(), ALGORITHMS, st.integers(1, 100))
def test_the_kernels_take_the_squares_of_the_literal_algorithms_in_their_order(
    labels: NDArray[np.uint8], algorithm: Algorithm, percent: int
) -> None:
    boxes, regions = box(labels, BoxParams(algorithm=algorithm, max_box_percent=percent))
    expected = REFERENCES[algorithm](labels, largest_box(labels.shape, percent))
    taken = np.column_stack([boxes, regions])
    assert taken.tolist() == [list(square) for square in expected]


@settings(max_examples=60, deadline=None)
@given(label_maps(), ALGORITHMS)
def test_boxes_cover_each_region_exactly_once_and_nothing_else(
    labels: NDArray[np.uint8], algorithm: Algorithm
) -> None:
    boxes, regions = box(labels, BoxParams(algorithm=algorithm))
    painted = np.zeros(labels.shape, int)
    for (x, y, size), region in zip(boxes.tolist(), regions.tolist(), strict=True):
        assert size >= 1
        painted[y : y + size, x : x + size] += region
        assert np.all(labels[y : y + size, x : x + size] == region)
    assert np.array_equal(painted, labels)


def test_the_largest_box_is_a_fifth_of_the_shorter_side_rounded_up() -> None:
    assert largest_box((80, 100), 20) == 16
    assert largest_box((100, 81), 20) == 17
    assert largest_box((3, 50), 20) == 1
    boxes, _ = box(np.ones((80, 100), np.uint8))
    assert boxes[:, 2].max() == 16


def test_algorithm_1_starts_with_the_largest_square_and_algorithm_2_with_the_first_pixel() -> None:
    labels = np.zeros((10, 10), np.uint8)
    labels[0, 0:8] = 1
    labels[4:8, 4:8] = 1
    first_of = {
        algorithm: box(labels, BoxParams(algorithm=algorithm, max_box_percent=100))[0][0].tolist()
        for algorithm in get_args(Algorithm)
    }
    assert first_of == {1: [4, 4, 4], 2: [0, 0, 1]}


def test_background_alone_has_no_boxes() -> None:
    boxes, regions = box(np.zeros((5, 7), np.uint8))
    assert boxes.shape == (0, 3)
    assert boxes.dtype == np.int32
    assert regions.shape == (0,)
    assert regions.dtype == np.uint8


def test_labels_are_not_written_to_and_any_layout_gives_the_same_boxes() -> None:
    labels = np.ones((9, 12), np.uint8)
    labels[3, 4] = 2
    labels.setflags(write=False)
    expected = box(labels)[0]
    assert np.array_equal(box(np.asfortranarray(labels))[0], expected)
    assert np.array_equal(box(np.repeat(labels, 2, axis=1)[:, ::2])[0], expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"algorithm": 3}, "algorithm: came 3"), ({"max_box_percent": 0}, "max_box_percent: came 0")],
)
def test_parameters_out_of_range_are_named(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BoxParams(**arguments)  # type: ignore[arg-type] # that is the test
