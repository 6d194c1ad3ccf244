"""Weights cut into pairs of 16-bit numbers add up to what they were."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.gaussian import WEIGHT_BITS, gaussian_weights, window_weights
from pipeline.pairs import MOST, line_taps, pixel_taps, window_taps
from tests.helpers.reference_downsize import integer_matrix
from tests.helpers.reference_pairs import matrix_of_lines, matrix_of_pixels, window_of

SIDES = st.integers(1, 700).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, min(n, 128))))


@settings(max_examples=60, deadline=None)
@given(SIDES)
def test_pairs_of_lines_and_vectors_of_pixels_are_the_resampling(sides: tuple[int, int]) -> None:
    pixels, cells = sides
    expected = integer_matrix(pixels, cells)
    assert np.array_equal(matrix_of_lines(line_taps(pixels, cells), pixels), expected)
    assert np.array_equal(matrix_of_pixels(pixel_taps(pixels, cells), pixels), expected)


@settings(max_examples=60, deadline=None)
@given(SIDES)
def test_every_pair_that_a_cell_needs_is_still_at_hand(sides: tuple[int, int]) -> None:
    pairs, _, needed, held = line_taps(*sides)
    assert held & (held - 1) == 0
    assert np.all(np.diff(needed) >= 0)
    assert np.all(pairs < needed[:, np.newaxis])
    assert np.all(pairs >= needed[:, np.newaxis] - held)
    assert needed[-1] == -(-sides[0] // 2)


@pytest.mark.parametrize("sigma", [0.5, 3.0, 5.0, 32.0])
def test_the_pairs_of_a_window_are_its_weights(sigma: float) -> None:
    weights = gaussian_weights(sigma)
    assert np.array_equal(window_of(window_taps(weights.tobytes()), weights.size), weights)
    small = window_weights(15)
    assert np.array_equal(window_of(window_taps(small.tobytes()), 15), small)


def test_a_weight_of_any_size_is_cut_into_parts_of_15_bits() -> None:
    whole = np.array([2**WEIGHT_BITS], np.int32)
    _, pairs = window_taps(whole.tobytes())
    assert len(pairs) == -(-(2**WEIGHT_BITS) // MOST)
    assert pairs.max() <= MOST
    nothing = window_taps(np.zeros(3, np.int32).tobytes())
    assert not window_of(nothing, 3).any()
