"""The gray-level histogram."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pipeline.histogram import gray_levels

PICTURES = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=2, max_side=24))


@settings(max_examples=100, deadline=None)
@given(PICTURES)
def test_every_pixel_is_counted_at_its_level(picture: NDArray[np.uint8]) -> None:
    histogram = gray_levels(picture)
    assert histogram.dtype == np.int64
    assert np.array_equal(histogram, np.bincount(picture.ravel(), minlength=256))


def test_memory_layout_does_not_matter() -> None:
    picture = np.arange(24 * 36, dtype=np.uint16).astype(np.uint8).reshape(24, 36)
    expected = gray_levels(picture)
    for view in (np.asfortranarray(picture), picture[::-1], np.repeat(picture, 2, axis=1)[:, ::2]):
        assert np.array_equal(gray_levels(view), expected)
