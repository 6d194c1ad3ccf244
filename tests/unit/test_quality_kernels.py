"""The gate's kernels against slow, literal versions of what they compute."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from pipeline.quality_kernels import largest_part, largest_square, step_between, two_classes

Mask = NDArray[np.uint8]
Sums = NDArray[np.int32]

SHAPES = npst.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)
MASKS = npst.arrays(np.uint8, SHAPES, elements=st.integers(0, 1))
SUMS = npst.arrays(np.int32, SHAPES, elements=st.integers(0, 6_375))


def spread_of_split(values: NDArray[np.float64], bright: NDArray[np.bool_]) -> float:
    """Otsu's criterion: variance between two classes."""
    if bright.all() or not bright.any():
        return 0.0
    apart = values[bright].mean() - values[~bright].mean()
    return float(bright.mean() * (1.0 - bright.mean()) * apart**2)


@settings(max_examples=80, deadline=None)
@given(sums=SUMS)
def test_no_other_threshold_splits_a_picture_better(sums: Sums) -> None:
    bright = np.full(sums.shape, 9, np.uint8)
    threshold, contrast = two_classes(sums, bright)
    if sums.min() == sums.max():
        assert (threshold, contrast) == (0.0, 0.0)
        assert not bright.any()
        return
    levels = np.floor((sums - sums.min()) * (255.5 / (sums.max() - sums.min())))
    best = max(spread_of_split(levels, levels > level) for level in range(255))
    assert set(np.unique(bright)) == {0, 1}
    assert spread_of_split(levels, bright == 1) == pytest.approx(best, rel=1e-9)
    assert sums[bright == 0].max() < sums[bright == 1].min()
    assert sums[bright == 0].max() < threshold + 1e-6
    assert sums[bright == 1].min() >= threshold - 1e-6
    means_apart = sums[bright == 1].mean() - sums[bright == 0].mean()
    assert contrast == pytest.approx(means_apart, abs=(sums.max() - sums.min()) / 100.0 + 1e-9)


@settings(max_examples=80, deadline=None)
@given(classes=MASKS)
def test_the_largest_square_is_the_one_found_by_trying_all(classes: Mask) -> None:
    rows, columns = classes.shape
    largest = max(
        side
        for row in range(rows)
        for column in range(columns)
        for side in range(1, min(rows - row, columns - column) + 1)
        if np.unique(classes[row : row + side, column : column + side]).size == 1
    )
    assert largest_square(classes) == largest


@settings(max_examples=100, deadline=None)
@given(mask=MASKS, seed=st.integers(0, 1_000))
def test_the_largest_part_is_opencvs(mask: Mask, seed: int) -> None:
    counted = np.random.default_rng(seed).integers(0, 2, mask.shape).astype(np.uint8)
    count, labels = cv2.connectedComponents(mask, connectivity=8)
    parts = [labels == label for label in range(1, count)]
    most = max((int(counted[part].sum()) for part in parts), default=0)
    sizes = {int(part.sum()) for part in parts if counted[part].sum() == most}
    cells, counting = largest_part(mask, counted)
    assert counting == most
    assert cells in sizes if most else cells == 0


@settings(max_examples=60, deadline=None)
@given(sums=SUMS, apart=st.integers(1, 5), seed=st.integers(0, 1_000))
def test_the_step_between_classes_is_the_mean_over_all_such_pairs(
    sums: Sums, apart: int, seed: int
) -> None:
    classes = np.random.default_rng(seed).integers(0, 2, sums.shape).astype(np.uint8)
    steps = [
        abs(int(sums[row, column]) - int(sums[row + down, column + right]))
        for down, right in ((0, apart), (apart, 0))
        for row in range(sums.shape[0] - down)
        for column in range(sums.shape[1] - right)
        if classes[row, column] != classes[row + down, column + right]
    ]
    expected = sum(steps) / len(steps) if steps else 0.0
    assert step_between(sums, classes, apart) == pytest.approx(expected, rel=1e-12)
