"""The emulated megalibrary: same bytes everywhere, and images that show what their truth says."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.emulation import ARRANGEMENTS, SHAPES, Arrangement, Emulated, Shape, emulate

SEED = 20_250_517
SMALL = 192

GOLDEN = {
    (0, 1): "4515ca13089d4b81",
    (1, 1): "0b3cabe5a26e4fc0",
    (2, 7): "1fdd4482522b6a1c",
}
"""sha256 of image and truth, first 16 digits, at 256 px: (index, seed) -> digits."""


def digest(emulated: Emulated) -> str:
    return sha256(emulated.image.tobytes() + emulated.truth.tobytes()).hexdigest()[:16]


def fractions(composition: str) -> dict[str, int]:
    pairs = re.findall(r"([A-Z][a-z]?)(\d+)", composition)
    assert "".join(element + amount for element, amount in pairs) == composition
    return {element: int(amount) for element, amount in pairs}


@pytest.mark.parametrize(("index", "seed"), GOLDEN)
def test_the_bytes_are_the_ones_that_were_written_down(index: int, seed: int) -> None:
    assert digest(emulate(index, seed, size=256)) == GOLDEN[index, seed]


def test_an_image_does_not_depend_on_which_others_were_made() -> None:
    alone = digest(emulate(5, SEED, size=SMALL))
    in_order = [digest(emulate(index, SEED, size=SMALL)) for index in range(6)]
    assert in_order[5] == alone
    assert len(set(in_order)) == 6


def test_another_seed_is_another_library() -> None:
    assert digest(emulate(0, 1, size=SMALL)) != digest(emulate(0, 2, size=SMALL))


@settings(max_examples=40, deadline=None)
@given(index=st.integers(0, 10_000), seed=st.integers(0, 2**63 - 1))
def test_every_image_holds_one_convex_particle_of_its_phases_away_from_the_border(
    index: int, seed: int
) -> None:
    made = emulate(index, seed, size=SMALL)
    assert made.image.shape == made.truth.shape == (SMALL, SMALL)
    assert made.image.dtype == (np.uint8 if made.bit_depth == 8 else np.uint16)
    assert set(np.unique(made.truth)) == set(range(made.n_phases + 1))
    particle = (made.truth > 0).astype(np.uint8)
    border = np.concatenate([particle[0], particle[-1], particle[:, 0], particle[:, -1]])
    assert not border.any()
    points = cv2.findNonZero(particle)
    outline = cv2.convexHull(points)
    hull = np.zeros_like(particle)
    cv2.fillConvexPoly(hull, outline, (1.0,))
    # a hull on pixels is larger by up to a pixel all round
    assert int(hull.sum()) - int(particle.sum()) < 0.8 * cv2.arcLength(outline, closed=True)


@settings(max_examples=40, deadline=None)
@given(index=st.integers(0, 10_000), seed=st.integers(0, 2**63 - 1))
def test_the_composition_sums_to_100_and_names_enough_elements(index: int, seed: int) -> None:
    made = emulate(index, seed, size=64)
    amounts = fractions(made.composition)
    assert sum(amounts.values()) == 100
    assert min(amounts.values()) >= 1
    assert made.n_phases <= len(amounts) <= made.n_phases + 1
    assert made.pixel_size_nm > 0.0


@pytest.mark.parametrize("index", range(12))
def test_the_particle_is_brighter_than_its_film_by_far(index: int) -> None:
    made = emulate(index, SEED, size=512)
    image = cv2.medianBlur(made.image, 3).astype(np.float64)  # without hot pixels
    film = image[cv2.dilate((made.truth > 0).astype(np.uint8), np.ones((15, 15))) == 0]
    particle = image[cv2.erode((made.truth > 0).astype(np.uint8), np.ones((15, 15))) > 0]
    assert particle.mean() > film.mean() + 2.0 * film.std()


@pytest.mark.parametrize("index", range(8))
def test_labels_rise_with_brightness(index: int) -> None:
    made = emulate(index, SEED, size=512, n_phases=4)
    levels = [
        np.quantile(cv2.blur(made.image, (5, 5))[made.truth == label], 0.75)
        for label in range(1, 5)
    ]
    assert levels == sorted(levels)


def test_the_composition_of_two_pure_phases_follows_their_areas() -> None:
    made = emulate(0, SEED, size=512, n_phases=2, arrangement="janus", shape="rounded")
    amounts = fractions(made.composition)
    if len(amounts) != 2:
        pytest.fail("this seed was chosen to give two pure phases")
    shares = sorted(np.bincount(made.truth.ravel(), minlength=3)[1:] / (made.truth > 0).sum())
    assert shares == pytest.approx(sorted(v / 100 for v in amounts.values()), abs=0.08)


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_arrangement_fits_every_shape(arrangement: Arrangement, shape: Shape) -> None:
    made = emulate(3, SEED, size=SMALL, arrangement=arrangement, shape=shape)
    assert (made.arrangement, made.shape) == (arrangement, shape)
    assert made.truth.max() == made.n_phases


def test_raw_counts_show_the_same_particle_as_the_8_bit_picture() -> None:
    eight, sixteen = (emulate(4, SEED, size=SMALL, bit_depth=depth) for depth in (8, 16))
    assert np.array_equal(eight.truth, sixteen.truth)
    assert sixteen.image.dtype == np.uint16
    unclipped = (eight.image > 0) & (eight.image < 255) & (sixteen.image < 65_535)
    correlation = np.corrcoef(eight.image[unclipped], sixteen.image[unclipped])[0, 1]
    assert correlation > 0.999


def test_sizes_depths_and_phases_are_mixed() -> None:
    library = [emulate(index, SEED, sizes=(64, 96)) for index in range(80)]
    assert {made.image.shape[0] for made in library} == {64, 96}
    assert {made.n_phases for made in library} == {1, 2, 3, 4, 5}
    assert {made.shape for made in library} == set(SHAPES)
    assert {made.arrangement for made in library} == set(ARRANGEMENTS)
    assert 8 <= sum(made.bit_depth == 16 for made in library) <= 36


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"index": -1}, "index: came -1; expected 0 <="),
        ({"seed": 2**63}, "seed: came 9223372036854775808; expected"),
        ({"size": 32}, "size: came 32; expected 64..8192"),
        ({"sizes": ()}, "sizes: came none"),
        ({"n_phases": 6}, "n_phases: came 6; expected 1..5"),
        ({"bit_depth": 12}, r"bit_depth: came 12; expected one of \(8, 16\)"),
        ({"arrangement": "onion"}, "arrangement: came 'onion'"),
        ({"arrangement": "janus", "n_phases": 5}, "arrangement: came 'janus' with 5 phases"),
        ({"shape": "cubic"}, "shape: came 'cubic'"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        emulate(**{"index": 0, "seed": 0, **arguments})
