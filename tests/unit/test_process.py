"""The whole: from any image to boxes, or to a reason why there are none."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from pipeline import (
    BoxParams,
    Parameters,
    QualityParams,
    Result,
    as_image,
    assess,
    box,
    cluster,
    downsize,
    find_scaling,
    preprocess,
    process,
)
from pipeline.emulation import emulate
from pipeline.grid import Grid
from pipeline.preprocess import Preprocessed

DTYPES = ["u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"]
ALL_RULES_OFF = Parameters(
    quality=QualityParams(
        check_empty=False,
        check_no_particle=False,
        check_wrong_polarity=False,
        check_saturated=False,
        check_too_small=False,
    )
)


def particle(shape: tuple[int, int] = (300, 300), seed: int = 2) -> NDArray[np.uint8]:
    """An ellipse of two phases on a dark ground, with noise."""
    height, width = shape
    y, x = np.mgrid[0:height, 0:width]
    inside = ((x / width - 0.5) / 0.3) ** 2 + ((y / height - 0.45) / 0.25) ** 2 < 1
    levels = 20.0 + 80 * inside + 80 * (inside & (x > width * 0.55))
    levels += np.random.default_rng(seed).normal(0, 4, shape)
    picture: NDArray[np.uint8] = np.clip(levels, 0, 255).astype(np.uint8)
    return picture


def assert_sound(result: Result, shape: tuple[int, int]) -> None:
    """Check what holds for every result."""
    assert result.boxes.dtype == np.int32
    assert result.boxes.shape == (len(result.regions), 3)
    if result.outcome == "rejected":
        assert result.reason is not None
        code, _, sentence = result.reason.partition(": ")
        assert code in ("empty", "saturated", "no particle", "wrong polarity", "too small")
        assert sentence
        assert len(result.boxes) == 0
        return
    assert result.reason is None
    assert len(result.boxes) > 0
    painted = np.zeros(shape, np.int64)
    for x, y, size in result.boxes.tolist():
        assert min(x, y) >= 0
        assert size >= 1
        assert x + size <= shape[1]
        assert y + size <= shape[0]
        painted[y : y + size, x : x + size] += 1
    assert painted.max() == 1
    assert result.bounding_box is not None
    x0, y0, x1, y1 = result.bounding_box
    assert painted.sum() == painted[y0:y1, x0:x1].sum()


def same(left: Result, right: Result) -> bool:
    return (
        np.array_equal(left.boxes, right.boxes)
        and np.array_equal(left.regions, right.regions)
        and left.bounding_box == right.bounding_box
        and left.k == right.k
    )


@pytest.mark.parametrize(
    "shape",
    [(400, 400), (301, 512), (512, 301), (16, 16), (16, 1000), (1000, 16), (68, 68), (112, 112),
     (129, 127), (200, 1024)],
)  # fmt: skip
@pytest.mark.parametrize("algorithm", [1, 2])
def test_boxes_are_square_inside_and_apart_for_parents_of_any_size(
    shape: tuple[int, int], algorithm: Literal[1, 2]
) -> None:
    result = process(particle(shape), n_elements=2, algorithm=algorithm)
    assert_sound(result, shape)
    if min(shape) >= 100:
        assert result.outcome == "located"


@pytest.mark.parametrize("shape", [(256, 512), (384, 192), (100, 128)])
def test_boxes_cover_exactly_their_regions_where_the_grid_divides_the_parent(
    shape: tuple[int, int],
) -> None:
    result = process(particle(shape), n_elements=2)
    assert result.labels is not None
    assert result.grid is not None
    assert result.grid_bounding_box is not None
    painted = np.zeros(shape, np.uint8)
    for (x, y, size), region in zip(result.boxes.tolist(), result.regions.tolist(), strict=True):
        painted[y : y + size, x : x + size] = region
    x0, y0, x1, y1 = result.grid_bounding_box
    on_grid = np.zeros(result.grid.shape, np.uint8)
    on_grid[y0:y1, x0:x1] = result.labels
    pixels = shape[0] // result.grid.rows
    assert np.array_equal(painted, np.kron(on_grid, np.ones((pixels, pixels), np.uint8)))


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40),
        elements=st.floats(width=32),
    ).filter(lambda image: bool(np.isfinite(image).any())),
    st.none() | st.integers(1, 5),
    st.booleans(),
)
def test_any_image_gets_an_answer(
    image: NDArray[np.float32], n_elements: int | None, gated: bool
) -> None:
    image.setflags(write=False)
    params = Parameters() if gated else ALL_RULES_OFF
    assert_sound(process(image, n_elements=n_elements, params=params), image.shape)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_number_type_does_not_matter(dtype: str) -> None:
    image = particle() // 2
    expected = process(image.astype(np.float64), n_elements=2)
    assert expected.outcome == "located"
    assert same(process(image.astype(dtype), n_elements=2), expected)
    assert same(process(image.astype(np.dtype(dtype).newbyteorder(">")), n_elements=2), expected)


def test_memory_layout_does_not_matter_and_read_only_input_is_enough() -> None:
    image = particle((200, 260))
    expected = process(image)
    image.setflags(write=False)
    for view in (image, np.asfortranarray(image), np.repeat(image, 3, axis=1)[:, ::3]):
        assert same(process(view), expected)


@pytest.mark.parametrize(("gain", "offset"), [(1, 15131), (64, 0), (1, -300), (8, -100_000)])
def test_detector_gain_and_offset_do_not_matter(gain: int, offset: int) -> None:
    image = particle().astype(np.int32)
    expected = process(image, n_elements=2)
    assert same(process(image * gain + offset, n_elements=2), expected)


def test_the_input_is_never_written_to() -> None:
    image = particle().astype(np.float32)
    image[5, 5] = np.nan
    before = image.copy()
    process(image)
    assert np.array_equal(image, before, equal_nan=True)


def test_hot_dead_and_invalid_pixels_hardly_move_the_boxes() -> None:
    image = particle((512, 512)).astype(np.float32)
    clean = process(image, n_elements=2)
    generator = np.random.default_rng(0)
    image[generator.integers(0, 512, 20), generator.integers(0, 512, 20)] = 1e7
    image[generator.integers(0, 512, 20), generator.integers(0, 512, 20)] = -1e7
    image[generator.integers(0, 512, 200), generator.integers(0, 512, 200)] = np.nan
    hit = process(image, n_elements=2)
    assert hit.outcome == "located"
    assert hit.k == clean.k
    assert hit.bounding_box is not None
    assert clean.bounding_box is not None
    assert np.abs(np.subtract(hit.bounding_box, clean.bounding_box)).max() <= 16
    assert sum(hit.boxes[:, 2] ** 2) == pytest.approx(sum(clean.boxes[:, 2] ** 2), rel=0.1)


def test_the_same_input_gives_the_same_boxes_again_and_again() -> None:
    image = particle()
    expected = process(image, composition="Au50Ag50")
    for _ in range(5):
        assert same(process(image.copy(), composition="Au50Ag50"), expected)


def test_the_boxes_are_the_ones_that_were_written_down() -> None:
    # The same on every machine: this hash must never depend on where it is computed.
    assert digest_of_emulated() == "82d05268e854e046"


def digest_of_emulated() -> str:
    """Digest of boxes and labels of ten emulated particles."""
    digest = sha256()
    for index in range(10):
        result = process(emulate(index, 7, size=256).image, n_elements=2)
        digest.update(result.boxes.astype("<i4").tobytes() + result.regions.tobytes())
        digest.update(repr((result.bounding_box, result.k, result.n_peaks)).encode())
    return digest.hexdigest()[:16]


def test_the_single_steps_make_the_whole() -> None:
    image = particle((320, 240))
    whole = process(image, n_elements=2, algorithm=1)
    picture = as_image(image)
    grid = Grid.for_parent(320, 240)
    scaling = find_scaling(picture)
    grid_image = downsize(picture, scaling, grid)
    assert assess(grid_image, grid, scaling).passed
    crop = preprocess(grid_image)
    assert isinstance(crop, Preprocessed)
    clusters = cluster(crop.filtered, 2)
    boxes, regions = box(clusters.labels, BoxParams(algorithm=1))
    x0, y0, _, _ = crop.bounding_box
    moved = grid.to_parent(boxes + np.array([x0, y0, 0], np.int32))
    assert np.array_equal(whole.boxes, moved)
    assert np.array_equal(whole.regions, regions)
    assert whole.bounding_box == grid.rectangle_to_parent(crop.bounding_box)
    assert whole.cutoff == crop.cutoff


def test_composition_and_number_of_elements_say_the_same() -> None:
    image = particle()
    by_name = process(image, composition="Au40Ag10Cu10Ni40")
    by_number = process(image, n_elements=4)
    alone = process(image)
    assert same(by_name, by_number)
    assert (by_name.n_elements, by_name.k_from) == (4, "composition")
    assert (by_number.n_elements, by_number.k_from) == (4, "n_elements")
    assert (alone.n_elements, alone.k_from) == (None, "peaks")
    assert alone.k == max(alone.n_peaks or 0, 1) + 1


def test_composition_and_number_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match="n_elements: came 3 with the composition 'AuAg' of 2"):
        process(particle(), composition="AuAg", n_elements=3)
    with pytest.raises(ValueError, match="n_elements: came 0"):
        process(particle(), n_elements=0)
    with pytest.raises(ValueError, match="algorithm: came 3"):
        process(particle(), algorithm=3)  # type: ignore[arg-type] # that is the test


@pytest.mark.parametrize("shape", [(15, 400), (1, 1), (3, 3), (400, 15)])
def test_what_is_too_small_is_rejected_with_its_size(shape: tuple[int, int]) -> None:
    result = process(np.ones(shape))
    assert result.outcome == "rejected"
    assert result.reason is not None
    assert result.reason.startswith("too small: ")
    assert f"{shape[1]} x {shape[0]} px" in result.reason


def test_a_blank_image_is_rejected_not_an_error() -> None:
    assert process(np.full((256, 256), 9.0)).outcome == "rejected"


def test_both_algorithms_box_the_same_regions_and_the_first_has_the_largest_box() -> None:
    image = particle((256, 256))
    first, second = process(image, algorithm=1), process(image, algorithm=2)
    assert np.sum(first.boxes[:, 2] ** 2) == np.sum(second.boxes[:, 2] ** 2)
    assert first.boxes[:, 2].max() >= second.boxes[:, 2].max()
    assert not np.array_equal(first.boxes, second.boxes)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("01_PtIr_single_HAADF.tif", "located"),
        ("07_Co3O4-Mn3O4_coreshell_cluster_HAADF.tif", "located"),
        ("13_Pd_silica1.jpg", "located"),
        ("37_layered_needle_tilt00_HAADF.tif", "located"),
        ("55_PtC1_BF.jpg", "rejected"),
        ("60_NEGATIVE_lattice_fills_frame_8bit.png", "rejected"),
    ],
)
def test_real_micrographs_are_located_or_rejected(data_dir: Path, name: str, outcome: str) -> None:
    image = np.asarray(Image.open(data_dir / "real" / name))
    image = image if image.ndim == 2 else image[..., 0]  # 55 is gray, stored as colour
    result = process(image)
    assert result.outcome == outcome
    assert_sound(result, image.shape)
