"""The refined method: particle by particle."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline import Result, process
from pipeline.emulation import Difficulty, Emulated, emulate, examine
from pipeline.evaluation import judge
from pipeline.locate import Method
from pipeline.refined.params import Controls

SEED = 77


def refined(image: NDArray[Any], composition: str | None = None, **controls: object) -> Result:
    wishes = Controls(**cast("dict[str, Any]", controls)) if controls else None
    return process(image, composition=composition, method="refined", controls=wishes)


def painted(result: Result, shape: tuple[int, ...]) -> NDArray[np.int32]:
    """How many boxes lie over each pixel."""
    count = np.zeros(shape, np.int32)
    for x, y, size in result.boxes.tolist():
        assert size >= 1
        assert 0 <= x <= shape[1] - size
        assert 0 <= y <= shape[0] - size
        count[y : y + size, x : x + size] += 1
    return count


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(np.count_nonzero(one & other) / np.count_nonzero(one | other))


def in_order(boxes: NDArray[np.int32]) -> list[list[int]]:
    ordered: list[list[int]] = sorted(boxes.tolist())
    return ordered


@pytest.fixture(scope="module")
def library() -> list[Emulated]:
    return [emulate(index, SEED, size=512) for index in range(6)]


def test_boxes_of_the_library_are_good_and_do_not_overlap(library: list[Emulated]) -> None:
    for made in library:
        result = refined(made.image, made.composition)
        assert painted(result, made.image.shape).max() == 1
        assert judge(made.truth, result.boxes, result.bounding_box).good


def test_fewer_boxes_than_the_published_method_makes(library: list[Emulated]) -> None:
    ours = sum(len(refined(made.image, made.composition).boxes) for made in library)
    published = sum(
        len(process(made.image, composition=made.composition).boxes) for made in library
    )
    assert ours < published


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_turned_or_mirrored_image_has_its_boxes_turned_or_mirrored(
    library: list[Emulated], turns: int, mirrored: bool
) -> None:
    made = library[1]
    image = np.rot90(made.image[:, ::-1] if mirrored else made.image, turns)
    regions = np.zeros(made.image.shape, np.int32)
    straight = refined(made.image, made.composition)
    for number, (x, y, size) in enumerate(straight.boxes.tolist(), start=1):
        regions[y : y + size, x : x + size] = number
    expected = np.rot90(regions[:, ::-1] if mirrored else regions, turns)
    turned = refined(image, made.composition)
    assert len(turned.boxes) == len(straight.boxes)
    for number, (x, y, size) in enumerate(turned.boxes.tolist(), start=1):
        there = expected[y : y + size, x : x + size]
        assert there.min() == there.max() == number


def test_a_shifted_image_has_its_boxes_shifted(library: list[Emulated]) -> None:
    made = library[0]
    straight = refined(made.image, made.composition)
    where = painted(straight, made.image.shape) > 0
    for down, right in ((4, -8), (3, 5)):
        image = np.roll(made.image, (down, right), (0, 1))
        shifted = painted(refined(image, made.composition), image.shape) > 0
        assert overlap(np.roll(where, (down, right), (0, 1)), shifted) > 0.95


def test_two_noisy_images_of_one_particle_get_boxes_in_the_same_places() -> None:
    made = emulate(3, SEED, size=512, bit_depth=16)
    rng = np.random.default_rng(5)
    level = made.image.astype(np.float64)
    noise = 0.03 * (np.percentile(level, 99) - np.median(level))
    pair = [level + noise * rng.normal(size=level.shape) for _ in range(2)]
    one, other = (painted(refined(image, made.composition), image.shape) > 0 for image in pair)
    assert overlap(one, other) > 0.9


def test_each_of_several_particles_has_its_own_bounding_box_and_boxes() -> None:
    made = examine(0, SEED, "several", size=512)
    result = refined(made.image, made.composition)
    assert len(result.particles) >= 2
    assert result.owners is not None
    for number, particle in enumerate(result.particles):
        x0, y0, x1, y1 = particle.bounding_box
        x, y, size = particle.boxes.T
        assert np.all((x >= x0) & (y >= y0) & (x + size <= x1) & (y + size <= y1))
        assert np.array_equal(result.boxes[result.owners == number], particle.boxes)
        assert particle.k >= 1
        assert 0.0 < particle.explained <= 1.0
    largest = refined(made.image, made.composition, particles="largest")
    assert len(largest.particles) == 1
    assert largest.particles[0].area_px == max(one.area_px for one in result.particles)


@pytest.mark.parametrize("margin", [0, 24])
@pytest.mark.parametrize("seed", range(4))
def test_no_place_is_boxed_twice_where_particles_lie_close(seed: int, margin: int) -> None:
    """Their lattices overlap, and need not have the same cells."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:480, :520]
    image = np.full(y.shape, 20.0)
    image[(x - 150) ** 2 + (y - 200) ** 2 < 90**2] = 120.0
    image[(x - 322 - seed) ** 2 + (y - 208) ** 2 < 52**2] = 90.0
    image[(x - 162) ** 2 + (y - 372 - seed) ** 2 < 48**2] = 200.0
    image += rng.normal(scale=2.0, size=image.shape)
    result = refined(image, margin_px=margin)
    assert len(result.particles) == 3
    assert painted(result, image.shape).max() == 1


@pytest.mark.parametrize("difficulty", ["empty", "bright-field", "bare-lattice"])
def test_where_nothing_is_to_be_found_nothing_is_boxed_and_a_number_says_why(
    difficulty: str,
) -> None:
    for index in range(4):
        made = examine(index, SEED, cast("Difficulty", difficulty), size=256)
        result = refined(made.image, made.composition)
        assert result.outcome == "rejected"
        assert len(result.boxes) == 0
        assert result.reason is not None
        assert any(character.isdigit() for character in result.reason)


def test_the_first_of_many_boxes_are_those_of_a_smaller_number(library: list[Emulated]) -> None:
    made = library[2]
    whole = refined(made.image, made.composition)
    for n in (1, 20, 100):
        few = refined(made.image, made.composition, max_boxes=n)
        assert np.array_equal(few.boxes, whole.boxes[:n])


def test_box_sizes_keep_within_what_was_asked(library: list[Emulated]) -> None:
    made = library[2]
    asked = refined(
        made.image, made.composition, min_box_nm=4.0, max_box_nm=10.0, pixel_size_nm=0.5
    )
    assert len(asked.boxes)
    assert asked.boxes[:, 2].min() >= 8
    assert asked.boxes[:, 2].max() <= 20


def test_a_margin_covers_more_and_less_purity_takes_fewer_boxes(library: list[Emulated]) -> None:
    made = library[4]
    plain = refined(made.image, made.composition)
    wide = refined(made.image, made.composition, margin_px=12)
    assert painted(wide, made.image.shape).sum() > 1.05 * painted(plain, made.image.shape).sum()
    rough = refined(made.image, made.composition, purity=0.8)
    assert len(rough.boxes) < len(plain.boxes)


def test_hot_and_dead_pixels_change_little(library: list[Emulated]) -> None:
    made = library[0]
    image = made.image.astype(np.float32)
    rng = np.random.default_rng(1)
    y, x = rng.integers(0, 512, (2, 60))
    image[y[:40], x[:40]] = 1e6
    image[y[40:], x[40:]] = np.nan
    clean = painted(refined(made.image.astype(np.float32), made.composition), image.shape) > 0
    spoilt = painted(refined(image, made.composition), image.shape) > 0
    assert overlap(clean, spoilt) > 0.95


@pytest.mark.parametrize(
    ("controls", "message"),
    [
        ({"max_boxes": 0}, "max_boxes: came 0; expected a number from 1"),
        ({"min_box_nm": 3.0}, "min_box_nm: came 3.0 without pixel_size_nm"),
        (
            {"min_box_nm": 3.0, "max_box_nm": 2.0, "pixel_size_nm": 1.0},
            "min_box_nm: came 3.0 with max_box_nm 2.0",
        ),
        ({"particles": "odd"}, "particles: came 'odd'"),
        ({"purity": 0.1}, "purity: came 0.1"),
    ],
)
def test_a_wish_that_cannot_be_met_is_named(controls: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Controls(**controls)


def test_a_method_is_named_and_fits_what_else_is_asked() -> None:
    image = np.zeros((64, 64), np.uint8)
    with pytest.raises(ValueError, match="method: came 'best'"):
        process(image, method="best")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="controls: came with method='published'"):
        process(image, controls=Controls())
    with pytest.raises(ValueError, match="algorithm: came with method='refined'"):
        process(image, method="refined", algorithm=1)


def test_pictures_of_any_shape_and_depth_get_an_answer() -> None:
    rng = np.random.default_rng(9)
    for shape in ((16, 16), (17, 300), (300, 17), (130, 131), (700, 500)):
        y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
        disc = ((x / shape[1] - 0.5) ** 2 + (y / shape[0] - 0.5) ** 2) < 0.09
        image = 20.0 + 100.0 * disc + rng.normal(size=shape)
        for dtype in (np.uint8, np.int32, np.float64):
            result = refined(image.astype(dtype))
            painted(result, shape)
            assert result.outcome in ("located", "rejected")


@pytest.mark.parametrize(
    ("wish", "sides"),
    [
        ({"max_box_nm": 1.0}, (1, 1)),
        ({"max_box_nm": 3.4}, (1, 3)),
        ({"min_box_nm": 5.0, "max_box_nm": 5.0}, (5, 5)),
        ({"min_box_nm": 24.0}, (24, 512)),
    ],
)
def test_boxes_are_as_large_as_was_asked(wish: dict[str, Any], sides: tuple[int, int]) -> None:
    made = emulate(2, 5)
    result = refined(made.image, pixel_size_nm=1.0, **wish)
    assert len(result.boxes)
    assert result.boxes[:, 2].min() >= sides[0]
    assert result.boxes[:, 2].max() <= sides[1]


@pytest.mark.parametrize("wish", [{"max_box_nm": 0.9}, {"min_box_nm": 400.0}])
def test_a_frame_in_which_no_box_fits_is_told_so(wish: dict[str, Any]) -> None:
    made = emulate(2, 5)
    result = refined(made.image, pixel_size_nm=1.0, **wish)
    assert result.outcome == "rejected"
    assert result.reason is not None
    assert result.reason.startswith("no box fits: ")
    assert "400 pixels or more" in result.reason or "0.9 at most" in result.reason


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e9])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_boxes_are_the_same_wherever_intensities_lie(offset: float, scale: float) -> None:
    made = emulate(2, 5)
    plain = refined(made.image.astype(np.float64))
    moved = refined((made.image.astype(np.float64) + offset) * scale)
    assert len(plain.boxes)
    assert np.array_equal(moved.boxes, plain.boxes)


def test_a_side_of_whole_pixels_is_one_though_the_division_is_not_exact() -> None:
    assert Controls(min_box_nm=1.2, max_box_nm=1.2, pixel_size_nm=0.1).sides_px() == (12, 12)
    assert Controls(min_box_nm=1.25, pixel_size_nm=0.1).sides_px()[0] == 12.5


@pytest.mark.parametrize("shape", [(16, 2049), (5000, 16), (33, 10_000)])
def test_a_strip_is_refused_with_a_reason(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    result = refined(image)
    assert result.outcome == "rejected"
    assert result.reason


def test_a_margin_is_boxed_however_far_it_goes() -> None:
    y, x = np.mgrid[:512, :512]
    off = np.hypot(y - 256, x - 256)
    noise = np.random.default_rng(0).normal(0, 3, off.shape)
    image = 20.0 + 150.0 * (off < 128) + noise
    count = painted(refined(image, margin_px=60), image.shape)
    for distance in (0, 20, 40, 54):
        ring = np.abs(off - 128 - distance) < 1.0
        assert np.mean(count[ring]) > 0.95


@pytest.mark.parametrize("name", ["max_boxes", "max_box_percent", "margin_px"])
def test_a_wish_that_is_a_number_of_things_is_whole(name: str) -> None:
    wish: dict[str, Any] = {name: 2.5}
    with pytest.raises(ValueError, match=f"{name}: came 2.5; expected a whole number"):
        refined(np.zeros((64, 64)), **wish)


@pytest.mark.parametrize("method", ["published", "refined"])
def test_elements_are_counted_from_one(method: Method) -> None:
    with pytest.raises(ValueError, match="n_elements: came 0; expected a number from 1 to 118"):
        process(emulate(2, 5).image, n_elements=0, method=method)
