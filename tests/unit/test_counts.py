"""16-bit counts become steps in whole numbers as they do in floating point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline import Grid, Scaling, as_image, downsize
from pipeline.counts import MOST, count_factors
from pipeline.downsize import TOP
from pipeline.pair_kernels import count_steps
from tests.helpers.reference_downsize import downsize_levels
from tests.helpers.reference_pairs import step_in_fractions, steps_in_floating_point

SPANS = st.integers(1, MOST) | st.sampled_from([2**n for n in range(16)]) | st.integers(1, 300)
ROUNDED_DOWN = [800, 928, 1600, 2912]
"""In these spans floating point rounds some halves down."""


@settings(max_examples=80, deadline=None)
@given(SPANS)
def test_every_count_of_a_span_becomes_the_same_step_as_in_floating_point(span: int) -> None:
    factors = count_factors(span, TOP, span + 1)
    counts = np.arange(span + 1)
    expected = steps_in_floating_point(counts, span, TOP)
    if factors is None:
        assert any(step_in_fractions(at, span, TOP) != step for at, step in enumerate(expected))
        return
    steps = np.empty(span + 1, np.int16)
    count_steps(counts.astype(np.uint16), (0, span, *factors), steps)
    assert np.array_equal(steps, expected)


@pytest.mark.parametrize("span", ROUNDED_DOWN)
def test_a_span_in_which_floating_point_rounds_halves_down_is_left_to_it(span: int) -> None:
    assert count_factors(span, TOP, 4) is None
    counts = np.arange(span + 1)[np.newaxis]
    grid = Grid(rows=1, columns=span + 1, parent_height=1, parent_width=span + 1)
    expected = steps_in_floating_point(counts, span, TOP) // 16
    scaling = Scaling(low=0.0, high=float(span), method="percentiles")
    assert np.array_equal(downsize(as_image(counts.astype(np.uint16)), scaling, grid), expected)


@settings(max_examples=60, deadline=None)
@given(SPANS, st.data())
def test_counts_beyond_the_limits_are_clipped(span: int, data: st.DataObject) -> None:
    low = data.draw(st.integers(0, MOST - span))
    drawn = data.draw(st.lists(st.integers(0, MOST), max_size=60))
    counts = np.array([*drawn, low, low + span, 0, MOST])
    factors = count_factors(span, TOP, len(counts))
    assume(factors is not None)
    assert factors is not None
    steps = np.empty(len(counts), np.int16)
    count_steps(counts.astype(np.uint16), (low, span, *factors), steps)
    clipped = np.clip(counts - low, 0, span)
    assert np.array_equal(steps, steps_in_floating_point(clipped, span, TOP))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), SPANS, st.integers(0, 2**32))
def test_pictures_of_counts_agree_with_whole_matrices_in_unbounded_integers(
    height: int, width: int, span: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    counts = random.integers(0, MOST + 1, (height, width))
    low = int(random.integers(0, MOST - span + 1))
    rows, columns = random.integers(1, height + 1), random.integers(1, width + 1)
    grid = Grid(rows=int(rows), columns=int(columns), parent_height=height, parent_width=width)
    steps = steps_in_floating_point(np.clip(counts - low, 0, span), span, TOP)
    scaling = Scaling(low=float(low), high=float(low + span), method="percentiles")
    expected = downsize_levels(steps, np.ones(counts.shape, bool), grid.shape)
    assert np.array_equal(downsize(as_image(counts.astype(np.uint16)), scaling, grid), expected)


@pytest.mark.parametrize(("low", "high"), [(0.5, 100.5), (-3.0, 90.0), (5.0, 70_000.0), (7.0, 7.0)])
def test_limits_that_are_no_counts_are_scaled_in_floating_point(low: float, high: float) -> None:
    counts = np.arange(2_000).reshape(40, 50)
    scaling = Scaling(low=low, high=high, method="percentiles")
    grid = Grid.for_parent(40, 50)
    as_floats = downsize(as_image(counts.astype(np.float64)), scaling, grid)
    assert np.array_equal(downsize(as_image(counts.astype(np.uint16)), scaling, grid), as_floats)
