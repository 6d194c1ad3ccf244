"""Integer Gaussian weights, and the filters made of them."""

from __future__ import annotations

from hashlib import sha256

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pipeline.filters import darker_than_surroundings, unsharp_mask, weighted_sums, window_blur
from pipeline.gaussian import (
    WEIGHT_BITS,
    WINDOW_BITS,
    EdgeRule,
    edge_index,
    gaussian_weights,
    resampling,
    window_weights,
)
from tests.helpers import reference_filters

RULES: tuple[EdgeRule, ...] = ("reflect", "mirror", "nearest")
PICTURES = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24))
WINDOWS = st.integers(0, 15).map(lambda radius: 2 * radius + 1)


def digest(*arrays: NDArray[np.int32] | NDArray[np.int64]) -> str:
    return sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()[:16]


def test_the_weights_are_the_ones_that_were_written_down() -> None:
    # They come out of exp() once; on a machine where its last bit differed, this would say so.
    assert digest(gaussian_weights(5.0)) == "a1d4f316f8bca9df"
    assert digest(gaussian_weights(3.0)) == "21db8bf9883f29e7"
    assert digest(window_weights(15)) == "6390394fcd560434"
    assert [digest(*resampling(pixels, 128)) for pixels in (512, 1024, 2048)] == [
        "92eae30677518dee",
        "4b1330130072f992",
        "11b415a496e2295c",
    ]


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.6, 3.0, 5.0, 17.5])
def test_gaussian_weights_are_symmetric_and_add_up(sigma: float) -> None:
    weights = gaussian_weights(sigma)
    assert weights.sum() == 2**WEIGHT_BITS
    assert np.array_equal(weights, weights[::-1])
    assert weights.size == 2 * round(4 * sigma) + 1


@pytest.mark.parametrize("size", range(1, 32, 2))
def test_window_weights_add_up(size: int) -> None:
    assert window_weights(size).sum() == 2**WINDOW_BITS


@settings(max_examples=100, deadline=None)
@given(
    PICTURES,
    st.sampled_from([0.5, 1.0, 3.0, 5.0]),
    st.sampled_from(RULES),
)
def test_sums_are_exact(picture: NDArray[np.uint8], sigma: float, rule: EdgeRule) -> None:
    weights = gaussian_weights(sigma)
    expected = reference_filters.weighted_sums(picture, weights, rule)
    assert np.array_equal(weighted_sums(picture, weights, rule), expected)


@settings(max_examples=100, deadline=None)
@given(PICTURES, WINDOWS)
def test_the_blur_is_opencvs(picture: NDArray[np.uint8], size: int) -> None:
    assert np.array_equal(window_blur(picture, size), cv2.GaussianBlur(picture, (size, size), 0))


@settings(max_examples=100, deadline=None)
@given(PICTURES, st.sampled_from([3, 5, 7]), st.integers(0, 20))
def test_the_threshold_is_opencvs(picture: NDArray[np.uint8], size: int, offset: int) -> None:
    bright = cv2.adaptiveThreshold(
        picture, 255, cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY, size, offset
    )
    assert np.array_equal(darker_than_surroundings(picture, size, offset), bright == 0)


@settings(max_examples=100, deadline=None)
@given(PICTURES, st.sampled_from([(5.0, 5), (3.0, 3), (1.0, 0)]))
def test_the_unsharp_mask_is_the_one_in_floating_point_to_a_gray_level(
    picture: NDArray[np.uint8], constants: tuple[float, int]
) -> None:
    exact = reference_filters.unsharp_mask(picture, *constants).astype(int)
    assert np.all(np.abs(unsharp_mask(picture, *constants) - exact) <= 1)


def test_the_unsharp_mask_of_a_flat_picture_is_the_picture() -> None:
    for value in range(256):
        flat = np.full((20, 30), value, np.uint8)
        assert np.array_equal(unsharp_mask(flat, 5.0, 5), flat)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("reflect", [1, 0, 0, 1, 2, 2, 1]),
        ("mirror", [2, 1, 0, 1, 2, 1, 0]),
        ("nearest", [0, 0, 0, 1, 2, 2, 2]),
    ],
)
def test_edges_follow_their_rule(rule: EdgeRule, expected: list[int]) -> None:
    assert edge_index(3, 2, rule).tolist() == expected


@pytest.mark.parametrize("rule", RULES)
def test_edges_reach_over_lines_shorter_than_the_window(rule: EdgeRule) -> None:
    for length in (1, 2, 3):
        index = edge_index(length, 20, rule)
        assert index.size == length + 40
        assert index.min() == 0
        assert index.max() == length - 1
