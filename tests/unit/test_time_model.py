"""The paper's time model."""

from __future__ import annotations

from math import inf

import pytest

from pipeline import GRID_POINTS, reduction, total_time


def test_the_reduction_compares_with_the_full_grid() -> None:
    assert GRID_POINTS == 16384
    assert reduction(16384) == 1.0
    # the paper's extremes of 964 images: 63 and 1819 boxes
    assert reduction(63) == pytest.approx(260.1, abs=0.05)
    assert reduction(1819) == pytest.approx(9.0, abs=0.05)
    assert reduction(0) == inf


def test_total_time_is_segmentation_plus_the_boxes_share_of_a_full_scan() -> None:
    assert total_time(0, 64.0, 0.05) == 0.05
    assert total_time(16384, 64.0, 0.0) == 64.0
    assert total_time(512, 32.0, 0.25) == 1.25


def test_the_papers_mean_image_is_25_to_29_times_faster() -> None:
    gains = [full / total_time(551, full, 0.05) for full in (8.0, 16.0, 32.0, 64.0)]
    assert gains == pytest.approx([25.0, 27.2, 28.4, 29.1], abs=0.2)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((-1, 8.0, 0.0), "n_boxes"),
        ((1, -8.0, 0.0), "full_scan_s"),
        ((1, 8.0, float("nan")), "segm"),
    ],
)
def test_impossible_times_are_refused(arguments: tuple[int, float, float], named: str) -> None:
    with pytest.raises(ValueError, match=f"{named}.*: came"):
        total_time(*arguments)
