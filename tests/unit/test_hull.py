"""The convex hull of a mask."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from skimage.morphology import convex_hull_image

from pipeline.hull import convex_hull
from tests.helpers import reference_hull

MASKS = hnp.arrays(
    bool,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=18),
    elements=st.booleans(),
    fill=st.just(False),
)


@settings(max_examples=150, deadline=None)
@given(MASKS)
def test_the_hull_is_the_literal_one_and_holds_the_mask(mask: NDArray[np.bool_]) -> None:
    hull = convex_hull(mask)
    assert np.array_equal(hull, reference_hull.convex_hull(mask))
    assert not np.any(mask & ~hull)


@settings(max_examples=60, deadline=None)
@given(MASKS.filter(np.any))
def test_the_hull_is_scikit_images(mask: NDArray[np.bool_]) -> None:
    theirs = convex_hull_image(mask)  # type: ignore[no-untyped-call] # scikit-image has no types
    assert np.array_equal(convex_hull(mask), theirs)


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_the_hull_of_a_turned_mask_is_the_turned_hull(mask: NDArray[np.bool_]) -> None:
    turned = np.ascontiguousarray(np.rot90(mask))
    assert np.array_equal(convex_hull(turned), np.rot90(convex_hull(mask)))


def test_a_thin_diagonal_stays_one_pixel_thin() -> None:
    assert np.array_equal(convex_hull(np.eye(9, dtype=bool)), np.eye(9, dtype=bool))


def test_no_mask_has_no_hull() -> None:
    assert not convex_hull(np.zeros((4, 5), bool)).any()
