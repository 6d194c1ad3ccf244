"""What the refined method lets its boxes be, by how surely its regions are phases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast
from unittest.mock import patch

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline import process
from pipeline.emulation import emulate, examine
from pipeline.evaluation import judge
from pipeline.refined import particle
from pipeline.refined.cover import Limits, cover
from pipeline.refined.inner import grow_inner
from pipeline.refined.limits import largest_side, max_error, share_left_out
from pipeline.refined.outline import Outline, Surroundings, find_outline
from pipeline.refined.params import Controls, RefinedParams
from pipeline.refined.regions import Phases, Regions, find_regions

PARAMS = RefinedParams(
    max_error=0.1,
    told=3.0,
    hidden=0.06,
    nested_side=0.4,
    missing_side=0.5,
    slivers=0.003,
    rims=0.0135,
    calm=0.04,
)
LABELS = np.ones((50, 40), np.uint8)


def regions(phases: Phases, *, nested: bool = False) -> Regions:
    return Regions(labels=LABELS, k=2, nested=nested, phases=phases)


def outline(noise: float = 0.01) -> Outline:
    return Outline(
        levels=np.ones(LABELS.shape, np.float32),
        mask=np.ones(LABELS.shape, np.bool_),
        extent=(0, 0, 40, 50),
        brightness=10.0,
        spread=0.1,
        noise=noise,
    )


def found_in(
    image: NDArray[np.generic], composition: str | None = None, n_elements: int | None = None
) -> Regions:
    """Return the regions of the only particle of an image."""
    seen = []

    def recording(shown: Outline, count: int | None, params: RefinedParams) -> Regions:
        seen.append(find_regions(shown, count, params))
        return seen[-1]

    with patch.object(particle, "find_regions", recording):
        process(image, composition=composition, n_elements=n_elements, method="refined")
    (only,) = seen
    return only


@pytest.mark.parametrize(
    ("phases", "nested", "side"),
    [
        ("all", False, 10),
        ("unknown", False, 10),
        ("more", False, 10),
        ("missing", False, 5),
        ("missing", True, 4),
        ("all", True, 4),
    ],
)
def test_boxes_stay_small_where_a_phase_may_hide(phases: Phases, nested: bool, side: int) -> None:
    assert largest_side(10, regions(phases, nested=nested), PARAMS) == side


@pytest.mark.parametrize(
    ("phases", "nested", "share"),
    [
        ("unknown", False, 1.0),
        ("missing", False, 1.0),
        ("all", False, 3.0),
        ("more", False, 0.06),
        ("missing", True, 0.06),
        ("all", True, 0.18),
    ],
)
def test_a_box_of_a_phase_that_is_told_apart_may_vary_more(
    phases: Phases, nested: bool, share: float
) -> None:
    # 0.1 of a thousandth of 2,000 cells of squared brightness 100
    full = 0.1 * 100.0 * 2.0
    error = max_error(outline(), regions(phases, nested=nested), 5, PARAMS, smaller=True)
    assert error == pytest.approx(share * full)
    # where no smaller ones may be made, holes would be left
    told = 3.0 if phases == "all" else 1.0
    error = max_error(outline(0.08), regions(phases, nested=nested), 5, PARAMS, smaller=False)
    assert error == pytest.approx(told * full)


def test_boxes_may_vary_less_where_pixels_are_too_few_for_a_full_lattice() -> None:
    full = max_error(outline(), regions("unknown"), 3, PARAMS, smaller=True)
    few = max_error(outline(), regions("unknown"), 2, PARAMS, smaller=True)
    filled = np.count_nonzero(LABELS) / (0.6 * PARAMS.cells**2)
    assert few == pytest.approx(full * filled**1.5)
    large = replace(PARAMS, cells=16)
    assert max_error(outline(), regions("unknown"), 2, large, smaller=True) == pytest.approx(full)


def test_boxes_are_smaller_and_fewer_rims_left_out_where_noise_hides_edges() -> None:
    errors = [
        max_error(outline(noise), regions("all"), 5, PARAMS, smaller=True)
        for noise in (0.01, 0.04, 0.08)
    ]
    assert errors[1:] == pytest.approx([errors[0], errors[0] / 4])
    shares = [share_left_out(outline(noise), regions("all"), PARAMS) for noise in (0.04, 0.08, 1.0)]
    assert shares == pytest.approx([0.0135, 0.00675, 0.003])
    assert share_left_out(outline(0.01), regions("more"), PARAMS) == 0.003


def test_regions_are_counted_beside_the_elements() -> None:
    image = emulate(3, 5, size=512, n_phases=3, arrangement="stripes").image
    assert found_in(image, n_elements=2).phases == "all"
    assert found_in(image, n_elements=8).phases == "missing"
    assert found_in(image).phases == "unknown"


def stripes(count: int) -> NDArray[np.uint8]:
    """Draw so many stripes of rising brightness, 320 px across."""
    y, x = np.mgrid[:400, :400]
    levels = 20.0 * (1 + (x - 40) * count // 320)
    inside = (abs(y - 200) < 120) & (abs(x - 199.5) < 160)
    noise = np.random.default_rng(1).normal(size=inside.shape)
    drawn = np.clip(np.where(inside, levels, 8.0) + noise, 0.0, 255.0)
    return np.asarray(drawn, np.uint8)


@pytest.mark.parametrize(
    ("count", "k", "phases"), [(4, 4, "unknown"), (5, 5, "unknown"), (6, 6, "more"), (8, 6, "more")]
)
def test_a_particle_that_may_have_more_levels_than_regions_is_told_from_others(
    count: int, k: int, phases: Phases
) -> None:
    seen = found_in(stripes(count))
    assert (seen.k, seen.phases) == (k, phases)


def limits_for(image: NDArray[np.generic], n_elements: int | None, **wishes: float) -> Limits:
    """Return the limits that the boxes of the only particle of an image are made with."""
    seen = []

    def recording(
        labels: NDArray[np.uint8], levels: NDArray[np.float32], limits: Limits
    ) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        seen.append(limits)
        return cover(labels, levels, limits)

    controls = Controls(**cast("dict[str, Any]", wishes))
    with patch.object(particle, "cover", recording):
        process(image, n_elements=n_elements, method="refined", controls=controls)
    (only,) = seen
    return only


def test_boxes_are_made_with_the_limits_of_their_regions() -> None:
    few, many = stripes(3), stripes(8)
    told, missing = limits_for(few, 3), limits_for(few, 8)
    assert told.most == 2 * missing.most
    assert told.max_error == pytest.approx(3.0 * missing.max_error)
    assert (told.left_out, told.rims_first) == (0.0135, True)
    more = limits_for(many, None)
    assert (more.left_out, more.rims_first) == (0.003, False)
    assert limits_for(few, 3, margin_px=4).left_out == 0.0
    asked = limits_for(many, None, min_box_nm=30.0, pixel_size_nm=1.0)
    assert asked.max_error == pytest.approx(more.max_error / 0.06)


def test_an_outline_ends_further_in_on_finer_cells_but_not_without_end() -> None:
    """A blurred edge of a disc, on cells that are 1, 2, 3 and 30 times finer than the frame's."""
    y, x = np.mgrid[:80, :80]
    away = np.hypot(y - 40, x - 40)
    cells = (100.0 / (1.0 + np.exp((away - 25.0) / 0.7))).astype(np.float32)
    areas = []
    for finer in (1.0, 2.0, 3.0, 30.0):
        surroundings = Surroundings(
            film=np.zeros(cells.shape, np.float32),
            body=away < 25.0,
            others=np.zeros(cells.shape, np.bool_),
            reach=6,
            least_spread=0.1,
            most_noise=0.1,
            finer=finer,
        )
        found = find_outline(cells, surroundings, PARAMS)
        assert found is not None
        areas.append(np.count_nonzero(found.mask))
    assert areas[0] > areas[1] > areas[2] == areas[3] > 0.9 * np.count_nonzero(away < 25.0)


def test_a_large_particle_is_found_on_cells_of_one_pixel() -> None:
    """No multiple of other cells is 37 pixels."""
    y, x = np.mgrid[:1200, :1200]
    disc = np.hypot(y - 600, x - 600) < 350
    noise = np.random.default_rng(1).normal(30.0, 3.0, disc.shape)
    image = (noise + 120.0 * cv2.GaussianBlur(disc.astype(np.float32), (0, 0), 2.0)).astype(
        np.uint8
    )
    controls = Controls(min_box_nm=37, max_box_nm=37, pixel_size_nm=1.0)
    result = process(image, method="refined", controls=controls)
    assert set(result.boxes[:, 2].tolist()) == {37}
    assert len(result.boxes) * 37**2 > 0.85 * np.count_nonzero(disc)


def test_a_core_is_inner_though_the_border_of_the_frame_cuts_it() -> None:
    y, x = np.mgrid[:40, :60]
    away = np.hypot(y, x - 30)
    labels = (1 * (away < 28) + (away < 14)).astype(np.uint8)
    steepness = np.full(labels.shape, 0.1, np.float32)
    assert grow_inner(labels, steepness, 0.6)[1]
    # a half of the particle touches its edge
    halves = np.where(away < 28, 1 + (x > 30), 0).astype(np.uint8)
    assert not grow_inner(halves, steepness, 0.6)[1]


def test_a_core_shell_that_the_border_cuts_gets_boxes_of_one_phase_each() -> None:
    cut = [examine(index, 1, "border") for index in range(60)]
    shells = [made for made in cut if made.arrangement == "core-shell"]
    assert len(shells) == 3
    for made in shells:
        result = process(made.image, composition=made.composition, method="refined")
        assert judge(made.truth, result.boxes, result.bounding_box).pure
