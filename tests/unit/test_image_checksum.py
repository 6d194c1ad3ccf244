"""What tells a repeated offer from another image."""

from __future__ import annotations

import numpy as np
import pytest

from services.image_checksum import checksum_of

NOISE = np.random.default_rng(4).integers(0, 256, (300, 1000), np.uint8)


@pytest.mark.parametrize("image", [NOISE, NOISE[:30], NOISE[:1], NOISE[:0], NOISE.view(np.float64)])
def test_the_same_image_has_the_same_checksum(image: np.ndarray) -> None:
    assert checksum_of(image) == checksum_of(image.copy())


def test_an_image_that_differs_by_noise_has_another() -> None:
    shots = np.random.default_rng(5).poisson(3.0, (50, 512, 512)).astype(np.uint16)
    assert len({checksum_of(shot) for shot in shots}) == len(shots)


@pytest.mark.parametrize("row", [0, 150, 299])
def test_so_has_one_in_which_a_few_rows_differ(row: int) -> None:
    other = NOISE.copy()
    other[row : row + 8] ^= 1
    other[row - 7 : row + 1] ^= 1
    assert checksum_of(other) != checksum_of(NOISE)


def test_of_a_small_image_every_pixel_counts() -> None:
    small = NOISE[:30]
    for place in np.ndindex(small.shape[0]):
        other = small.copy()
        other[place, 500] ^= 1
        assert checksum_of(other) != checksum_of(small)


def test_shape_and_kind_of_the_pixels_count() -> None:
    views = (NOISE, NOISE.reshape(1000, 300), NOISE.view(np.int8), NOISE.view(np.uint16))
    assert len({checksum_of(view) for view in views}) == len(views)
