"""The judge: criteria against the truth, and variance explained without it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.evaluation import (
    by_gain,
    explained,
    explained_by_grid,
    judge,
    particle_domain,
    uniform_grid,
)


def two_phases() -> NDArray[np.uint8]:
    truth = np.zeros((64, 64), np.uint8)
    truth[16:48, 16:32] = 1
    truth[16:48, 32:48] = 2
    return truth


def boxes(*squares: tuple[int, int, int]) -> NDArray[np.int32]:
    return np.array(squares, np.int32).reshape(-1, 3)


HALVES = boxes((16, 16, 16), (16, 32, 16), (32, 16, 16), (32, 32, 16))
AROUND = (16, 16, 48, 48)


def test_boxes_that_are_the_phases_are_good() -> None:
    verdict = judge(two_phases(), HALVES, AROUND)
    assert verdict.good
    assert (verdict.coverage, verdict.outside, verdict.purity) == (1.0, 0.0, 1.0)


def test_one_box_over_two_phases_is_not_pure() -> None:
    verdict = judge(two_phases(), boxes((16, 16, 32)), AROUND)
    assert verdict.purity == 0.5
    assert (verdict.covered, verdict.pure, verdict.good) == (True, False, False)


def test_a_missing_quarter_is_missed() -> None:
    verdict = judge(two_phases(), HALVES[:3], AROUND)
    assert verdict.coverage == 0.75
    assert not verdict.covered


def test_film_in_boxes_is_outside_also_beyond_the_picture() -> None:
    verdict = judge(two_phases(), np.concatenate([HALVES, boxes((56, 0, 16))]), AROUND)
    assert verdict.outside == pytest.approx(256 / 1280)
    assert not verdict.covered


def test_a_box_counted_twice_covers_once() -> None:
    assert judge(two_phases(), np.concatenate([HALVES, HALVES]), AROUND).coverage == 1.0


def test_a_particle_may_stick_out_by_about_a_cell() -> None:
    assert judge(two_phases(), HALVES, (16, 16, 48, 47)).sticks_out == 1.0
    assert not judge(two_phases(), HALVES, (16, 16, 48, 47)).enclosed
    large = np.kron(two_phases(), np.ones((8, 8), np.uint8))
    assert judge(large, 8 * HALVES, (128, 128, 384, 380)).enclosed
    assert not judge(large, 8 * HALVES, None).enclosed


def test_where_nothing_is_to_be_found_only_no_box_is_good() -> None:
    empty = np.zeros((32, 32), np.uint8)
    assert judge(empty, boxes(), None).good
    assert not judge(empty, boxes((0, 0, 4)), (0, 0, 4, 4)).good
    assert judge(two_phases(), boxes(), None, refuse=True).good
    assert not judge(two_phases(), HALVES, AROUND, refuse=True).good


def test_boxes_over_even_areas_explain_everything() -> None:
    truth = two_phases()
    shares = explained(truth * 10, truth > 0, HALVES)
    assert shares[0] == 0.0
    assert shares[-1] == pytest.approx(1.0)
    assert np.all(np.diff(shares) >= 0.0)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 16))
def test_the_first_by_gain_explain_the_most(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(32, 32))
    domain = np.ones((32, 32), np.bool_)
    tiles = boxes(*((8 * x, 8 * y, 8) for x in range(4) for y in range(4)))
    ranked = tiles[by_gain(image, domain, tiles)]
    best = explained(image, domain, ranked)[n]
    other = tiles[rng.permutation(16)[:n]]
    assert explained(image, domain, other)[-1] <= best + 1e-12


def test_a_uniform_grid_has_the_points_it_was_asked_for() -> None:
    y, x = np.mgrid[0:200, 0:200]
    disc = (x - 100) ** 2 + (y - 100) ** 2 < 80**2
    for n in (4, 50, 500):
        _, _, side = uniform_grid(disc, n)
        assert np.count_nonzero(disc) / side**2 <= n
    assert explained_by_grid(x * 1.0, disc, 1) == pytest.approx(0.0, abs=1e-12)
    assert explained_by_grid(x * 1.0, disc, 500) > explained_by_grid(x * 1.0, disc, 50) > 0.9


def test_the_domain_is_the_particle_and_not_the_film() -> None:
    rng = np.random.default_rng(3)
    image = 20.0 + rng.normal(size=(256, 256))
    image[80:160, 60:200] += 60.0
    domain = particle_domain(image)
    inside = np.zeros_like(domain)
    inside[80:160, 60:200] = True
    assert np.count_nonzero(domain & inside) / np.count_nonzero(domain | inside) > 0.9
