"""How intensities are brought to 8 bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pipeline import Scaling, as_image, find_scaling
from pipeline.scale import SAMPLE, TAIL


def noise(shape: tuple[int, int] = (200, 200)) -> NDArray[np.float64]:
    return np.random.default_rng(5).normal(1000.0, 50.0, shape)


def test_8_bit_images_are_taken_as_they_are() -> None:
    scaling = find_scaling(as_image(np.full((20, 20), 7, np.uint8)))
    assert (scaling.low, scaling.high, scaling.method) == (0.0, 255.0, "8-bit as is")


def test_a_few_hot_dead_and_invalid_pixels_hardly_move_the_scaling() -> None:
    image = noise()
    clean = find_scaling(as_image(image))
    image[10, 10:16] = 1e9
    image[20, 10:16] = -1e9
    image[30, 10:16] = [np.nan, np.inf, -np.inf] * 2
    scaling = find_scaling(as_image(image))
    assert scaling.low == pytest.approx(clean.low, abs=25)
    assert scaling.high == pytest.approx(clean.high, abs=25)
    assert scaling.invalid == 6
    assert scaling.sampled == 200 * 200 - 6


def test_one_hot_pixel_does_not_matter_even_in_the_smallest_image() -> None:
    image = noise((16, 16))
    image[3, 3] = 1e12
    assert find_scaling(as_image(image)).high < 1300


@pytest.mark.parametrize(("gain", "offset"), [(4.0, 0.0), (1.0, -7000.0), (2.0, 15131.0)])
def test_gain_and_offset_of_the_detector_do_not_matter(gain: float, offset: float) -> None:
    image = np.round(noise())
    plain, shifted = find_scaling(as_image(image)), find_scaling(as_image(image * gain + offset))
    assert shifted.low == plain.low * gain + offset
    assert shifted.high == plain.high * gain + offset


def test_the_saturated_fraction_is_the_share_at_the_maximum() -> None:
    image = np.zeros((100, 100), np.uint16)
    image[:25] = 4095
    assert find_scaling(as_image(image)).saturated_fraction == 0.25


@pytest.mark.parametrize("shape", [(16, 16), (256, 256), (257, 300), (700, 512), (40, 9_000)])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_saturation_is_counted_on_the_densest_lattice_allowed(
    shape: tuple[int, int], dtype: str
) -> None:
    image = np.random.default_rng(shape[1]).binomial(9, 0.6, shape).astype(dtype)
    sample = next(
        lattice
        for lattice in (image[::step, ::step] for step in range(1, 99))
        if lattice.size <= SAMPLE
    )
    scaling = find_scaling(as_image(image))
    assert scaling.sampled == sample.size
    assert scaling.saturated_fraction == np.mean(sample == sample.max())


def test_a_flat_image_has_an_empty_range() -> None:
    scaling = find_scaling(as_image(np.full((50, 50), 3.5)))
    assert scaling.low == scaling.high == 3.5
    assert scaling.saturated_fraction == 1.0


def test_the_sample_is_bounded_and_regular() -> None:
    image = noise((1000, 700))
    assert find_scaling(as_image(image)).sampled <= SAMPLE
    assert find_scaling(as_image(image)) == find_scaling(as_image(image.copy()))


def test_finite_pixels_between_the_sampled_ones_are_found() -> None:
    image = np.full((512, 512), np.nan)
    image[1, 1::2] = np.arange(256)
    scaling = find_scaling(as_image(image))
    assert 0 <= scaling.low < scaling.high <= 255
    assert scaling.invalid == 256 * 256


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_range_is_the_sorted_sample_without_its_tails(data: st.DataObject) -> None:
    dtype = np.dtype(data.draw(st.sampled_from(["i1", "u2", "i2", "u4", "i4", "u8", "i8", "f8"])))
    offset = data.draw(st.sampled_from([0, -100] if dtype.kind != "u" else [0, 50_000]))
    level = st.integers(offset, offset + (100 if dtype.itemsize == 1 else 9_000))
    few_far_away = data.draw(st.booleans()) and dtype.itemsize > 2
    elements = level | st.integers(10**8, 10**9) if few_far_away else level
    image = data.draw(hnp.arrays(np.int64, (64, 64), elements=elements)).astype(dtype)
    cut = image.size // TAIL
    ordered = sorted(image.ravel().tolist())
    scaling = find_scaling(as_image(image))
    assert (scaling.low, scaling.high) == (ordered[cut], ordered[-1 - cut])


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 600), st.integers(1, 600), st.integers(1, 4), st.integers(0, 1_000))
def test_of_8_bit_images_the_lattice_is_looked_at_and_nothing_between(
    height: int, width: int, levels: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    image = random.integers(0, levels, (height, width)).astype(np.uint8)
    step = next(n for n in range(1, 9) if image[::n, ::n].size <= SAMPLE)
    sample = image[::step, ::step].copy()
    off_the_lattice = np.arange(width) % step != 0
    image[:, off_the_lattice] += random.integers(0, 2, height, np.uint8)[:, np.newaxis]
    scaling = find_scaling(as_image(image))
    assert scaling.sampled == sample.size
    assert scaling.saturated_fraction == (sample == sample.max()).mean()


@pytest.mark.parametrize(
    ("low", "high", "method"),
    [(2.0, 1.0, "percentiles"), (float("nan"), 1.0, "percentiles"), (0.0, 200.0, "8-bit as is")],
)
def test_impossible_scalings_are_refused(low: float, high: float, method: str) -> None:
    with pytest.raises(ValueError, match="low, high: came"):
        Scaling(low=low, high=high, method=method)  # type: ignore[arg-type] # a plain str here
