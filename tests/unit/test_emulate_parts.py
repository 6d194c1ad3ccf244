"""The parts of the emulator, each against what it should be by definition."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.emulation.body import SHAPES, Shape, draw_body
from pipeline.emulation.detector import Exposure, record
from pipeline.emulation.draws import Draws
from pipeline.emulation.film import draw_film
from pipeline.emulation.recipe import ATOMIC_NUMBERS, Phase, composition, draw_phases


def centres(half: float, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    line = np.linspace(-half, half, count, dtype=np.float32)
    return line[None, :], line[:, None]


def test_draws_are_the_ones_that_were_written_down() -> None:
    draws = Draws(1, 2)
    assert [draws.below(1000) for _ in range(4)] == [448, 430, 419, 277]
    assert draws.words((1, 3)).tolist() == [[27826, 53177, 56668]]


@given(seed=st.integers(0, 2**63 - 1), low=st.floats(-10, 0), high=st.floats(1, 10))
def test_draws_keep_their_bounds(seed: int, low: float, high: float) -> None:
    draws = Draws(seed, 0)
    assert low <= draws.between(low, high) <= high
    assert 1.0 <= draws.log_between(1.0, high + 1.0) <= high + 1.0
    assert 0 <= draws.below(7) < 7
    assert sorted(draws.sample(range(5), 5)) == [0, 1, 2, 3, 4]


def test_words_are_uniform_whatever_their_number() -> None:
    words = Draws(3, 0).words((301, 333)).astype(np.float64)
    assert words.mean() == pytest.approx(32_767.5, abs=200.0)
    assert np.bincount((words // 4096).astype(int).ravel()).min() > 5_900


@pytest.mark.parametrize("expected", [3.0, 10.0, 100.0])
@pytest.mark.parametrize("readout", [0.5, 2.0])
def test_noise_has_the_moments_of_poisson_plus_readout(expected: float, readout: float) -> None:
    exposure = Exposure(peak=100.0, film=5.0, readout=readout, line_noise=0.0)
    field = np.full((1000, 1000), expected, dtype=np.float32)
    seen = record(Draws(5, 0), field, exposure).astype(np.float64)
    variance = expected + readout**2
    assert seen.mean() == pytest.approx(expected, abs=0.01 * variance**0.5)
    assert seen.var() == pytest.approx(variance, rel=0.06)
    skewness = ((seen - seen.mean()) ** 3).mean() / seen.std() ** 3
    assert skewness == pytest.approx(expected / variance**1.5, rel=0.15, abs=0.01)


def test_line_noise_moves_whole_lines() -> None:
    exposure = Exposure(peak=1e6, film=5.0, readout=0.5, line_noise=0.05)
    seen = record(Draws(5, 0), np.full((200, 400), 1e6, dtype=np.float32), exposure)
    assert np.std(seen.mean(axis=1)) == pytest.approx(5e4, rel=0.2)
    assert np.std(seen.mean(axis=0)) < 1e4


@pytest.mark.parametrize("size", [64, 100, 512])
def test_film_varies_slowly_about_its_mean(size: int) -> None:
    films = np.array([draw_film(Draws(9, index), size, mottle=0.2) for index in range(20)])
    assert films.shape == (20, size, size)
    assert np.abs(films).max() < 1.6
    assert abs(films.mean()) < 0.15
    fine = np.abs(np.diff(films, axis=2)).mean()
    coarse = np.abs(films[:, :, size // 2 :] - films[:, :, : size - size // 2]).mean()
    assert fine < coarse / 3.0


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), shape=st.sampled_from(SHAPES))
def test_a_body_is_convex_and_inside_its_extent(seed: int, shape: Shape) -> None:
    body = draw_body(Draws(seed, 0), shape)
    x, y = centres(3.0, 61)
    thickness = body.thickness(x, y)
    assert 0.0 <= thickness.min() <= thickness.max() <= np.float32(body.top)
    assert thickness[30, 30] > 0.0
    x0, y0, x1, y1 = body.extent()
    inside = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
    assert not thickness[~inside].any()
    # concave along every line within the body: no middle lies below its ends' mean
    for line in (thickness, thickness.T):
        ends = (line[:, :-2] + line[:, 2:]) / 2.0
        within = (line[:, :-2] > 0.0) & (line[:, 2:] > 0.0)
        assert (line[:, 1:-1] - ends)[within].min(initial=0.0) > -1e-4


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), shape=st.sampled_from(SHAPES))
def test_a_core_is_the_same_body_smaller(seed: int, shape: Shape) -> None:
    body = draw_body(Draws(seed, 0), shape)
    x, y = centres(3.0, 41)
    core = body.thickness(x, y, 0.5)
    assert (core <= body.thickness(x, y) + 1e-5).all()
    np.testing.assert_allclose(core, 0.5 * body.thickness(x * 2, y * 2), atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), count=st.integers(1, 5))
def test_phases_differ_in_brightness(seed: int, count: int) -> None:
    phases = draw_phases(Draws(seed, 0), count)
    levels = sorted(phase.brightness for phase in phases)
    assert levels[-1] == 1.0
    assert all(high / low > 1.05 for low, high in pairwise(levels))
    for phase in phases:
        assert sum(phase.atoms.values()) == pytest.approx(1.0)
        assert set(phase.atoms) <= set(ATOMIC_NUMBERS)


def test_composition_counts_atoms_not_brightness() -> None:
    gold = Phase(atoms={"Au": 1.0}, brightness=1.0)
    alloy = Phase(atoms={"Ni": 0.5, "Au": 0.5}, brightness=0.4)
    assert composition([gold, alloy], [0.5, 0.5]) == "Au75Ni25"
    assert composition([gold, Phase(atoms={"Cu": 1.0}, brightness=0.1)], [0.999, 0.001]) == (
        "Au99Cu1"
    )


def test_thirds_still_sum_to_100() -> None:
    phases = [Phase(atoms={element: 1.0}, brightness=1.0) for element in ("Au", "Ag", "Cu")]
    assert composition(phases, [1 / 3, 1 / 3, 1 / 3]) == "Au34Ag33Cu33"
