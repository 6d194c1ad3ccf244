"""What the refined method counts for its boxes, each kernel beside plain words."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.kmeans import optimal_thresholds, optimal_thresholds_up_to
from pipeline.refined.edges import AROUND, settle_edges, smooth_edges
from pipeline.refined.orientation import Orientation, find_orientation
from pipeline.refined.particle import _are_apart, _gains
from pipeline.refined.regions import FLATTEST, FULL, STEPS, _are_even, _grouped, _levels, _steepness
from pipeline.refined.slivers import without_slivers


def blocks(seed: int, regions: int = 4) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, regions, (9, 11)).astype(np.uint8).repeat(3, 0).repeat(3, 1)


def some_boxes(seed: int, count: int = 40) -> NDArray[np.int32]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 6, count)
    return np.stack([rng.integers(0, 28, count), rng.integers(0, 22, count), sizes], axis=1).astype(
        np.int32
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_box_explains_its_sum_squared_over_its_cells(seed: int) -> None:
    labels = blocks(seed)
    levels = np.random.default_rng(seed).normal(size=labels.shape).astype(np.float32)
    boxes = some_boxes(seed)
    gains, total = _gains(levels, labels, boxes)
    inside = labels > 0
    off = np.where(inside, levels - levels[inside].mean(dtype=np.float64), 0.0)
    assert total == pytest.approx((off**2).sum())
    for gain, (x, y, size) in zip(gains, boxes.tolist(), strict=True):
        here = slice(y, y + size), slice(x, x + size)
        assert gain == pytest.approx(off[here].sum() ** 2 / max(inside[here].sum(), 1), abs=1e-12)


def test_boxes_are_apart_that_touch_no_cell_of_others() -> None:
    theirs = blocks(1) == 2
    boxes = some_boxes(2)
    expected = [not theirs[y : y + size, x : x + size].any() for x, y, size in boxes.tolist()]
    assert _are_apart(theirs, boxes).tolist() == expected
    assert 0 < sum(expected) < len(expected)


def worth(
    labels: NDArray[np.uint8], levels: NDArray[np.float32], box: list[int], rims_first: bool
) -> float:
    """Say what a single cell tells: what it has of its brightest neighbour, or of the levels."""
    x, y, size = box
    if size > 1:
        return 0.0
    known = np.where(labels > 0, levels, 0.0).astype(np.float64)
    if not rims_first:
        mean = known[labels > 0].mean()
        return float(abs(known[y, x] - mean) / np.ptp(known[labels > 0]))
    around = np.pad(known, 1)[y : y + 3, x : x + 3]
    beside = np.pad(labels, 1, mode="edge")[y : y + 3, x : x + 3]
    at_edge = min(beside[0, 1], beside[1, 0], beside[1, 2], beside[2, 1]) == 0
    return float(known[y, x] / around.max() / 2 + (0.0 if at_edge else 0.5))


@pytest.mark.parametrize("rims_first", [True, False])
@pytest.mark.parametrize("spare", [1, 7, 20, 300, 100_000])
def test_those_are_left_out_that_hold_the_fewest_cells_and_tell_the_least(
    spare: int, rims_first: bool
) -> None:
    labels = blocks(5)
    rng = np.random.default_rng(5)
    levels = (20.0 * labels + rng.uniform(5.0, 30.0, labels.shape)).astype(np.float32)
    boxes, held = [], []
    for y, x in np.argwhere(labels).tolist():
        size = int(rng.integers(1, 3))
        here = int(np.count_nonzero(labels[y : y + size, x : x + size]))
        boxes.append([x, y, size])
        held.append(here)
    worths = [worth(labels, levels, box, rims_first) for box in boxes]
    order = sorted(range(len(boxes)), key=lambda at: (held[at], worths[at], at))
    expected, left = [True] * len(boxes), spare
    for at in order:
        if held[at] <= left:
            expected[at] = False
            left -= held[at]
    kept = without_slivers(
        (np.array(boxes, np.int32), np.array(held, np.int32)), (labels, levels), spare, rims_first
    )
    assert kept.tolist() == expected


def between_regions(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mark cells beside another region."""
    framed = np.pad(labels, 1)
    beside = (framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:])
    other = [(label > 0) & (label != labels) for label in beside]
    marked: NDArray[np.bool_] = np.logical_or.reduce(other) & (labels > 0)
    return marked


def level_near(
    labels: NDArray[np.uint8], levels: NDArray[np.float32], place: tuple[int, int, int]
) -> float:
    """Average a region's cells near y, x: those away from its edge if there are any."""
    y, x, label = place
    between = between_regions(labels)
    near = np.zeros(labels.shape, np.bool_)
    near[max(y - AROUND, 0) : y + AROUND + 1, max(x - AROUND, 0) : x + AROUND + 1] = True
    near[y, x] = False
    near &= labels == label
    inner = levels[near & ~between].tolist()
    outer = levels[near & between].tolist()
    if inner:
        return float(sum(inner) / len(inner))
    return float(sum(outer) / len(outer)) if outer else np.inf


@pytest.mark.parametrize("seed", range(5))
def test_cells_at_an_edge_go_where_plain_words_send_them(seed: int) -> None:
    labels = blocks(seed, regions=4 if seed < 4 else 200)
    noise = np.random.default_rng(seed).normal(scale=0.6, size=labels.shape)
    levels = (labels + noise).astype(np.float32)
    expected = labels.copy()
    for y, x in np.argwhere(between_regions(labels)).tolist():
        nearest = np.inf
        for row, column in ((y, x), (y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
            if not (0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]):
                continue
            label = int(labels[row, column])
            if label == 0:
                continue
            off = abs(float(levels[y, x]) - level_near(labels, levels, (y, x, label)))
            if off < nearest:
                nearest = off
                expected[y, x] = label
    settled = settle_edges(labels, levels)
    assert np.array_equal(settled, expected)
    assert not np.array_equal(settled, labels)


def test_the_middle_label_of_nine_is_the_median() -> None:
    labels = np.random.default_rng(1).integers(0, 5, (20, 23)).astype(np.uint8)
    padded = np.pad(labels, 1, mode="edge")
    around = np.stack([padded[y : y + 20, x : x + 23] for y in range(3) for x in range(3)])
    medians = np.median(around, axis=0).astype(np.uint8)
    expected = np.where((labels > 0) & (medians > 0), medians, labels)
    assert np.array_equal(smooth_edges(labels), expected)


@pytest.mark.parametrize("seed", range(8))
def test_the_orientation_is_that_of_plain_sums(seed: int) -> None:
    cells = (255.0 * np.random.default_rng(seed).random((17 + seed % 3, 18))).astype(np.float32)
    levels = cells.astype(np.int64)
    rows, columns = levels.shape
    across = bool((levels.sum(axis=0) * (2 * np.arange(columns) - (columns - 1))).sum() > 0)
    down = bool((levels.sum(axis=1) * (2 * np.arange(rows) - (rows - 1))).sum() > 0)
    upper_right = int((levels.sum(axis=0) ** 2).sum()) * columns
    lower_left = int((levels.sum(axis=1) ** 2).sum()) * rows
    assert find_orientation(cells) == Orientation(
        across=across, down=down, transposed=lower_left > upper_right
    )


def test_levels_are_even_that_spread_little_beside_what_they_are() -> None:
    histogram = np.zeros(256, np.int64)
    histogram[[60, 61, 100, 102]] = [40, 40, 30, 30]
    assert _are_even(histogram, np.array([0, 80, 256]), 0.02)
    assert not _are_even(histogram, np.array([0, 256]), 0.02)
    # what is dark counts as 30
    histogram[:] = 0
    histogram[[1, 2]] = 10
    assert _are_even(histogram, np.array([0, 256]), 0.02)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (13, 18), (40, 37)])
def test_steepness_is_what_sobels_weights_give(shape: tuple[int, int]) -> None:
    levels = np.random.default_rng(3).uniform(-1.0, 90.0, shape).astype(np.float32)
    steepness, cost = _steepness(levels, 12.5)
    rows, columns = shape
    wide = np.pad(levels, 1, mode="edge")
    for y in range(rows):
        for x in range(columns):
            near = wide[y : y + 3, x : x + 3]
            a, b, c = near[0], near[1], near[2]
            across = float(a[2] - a[0]) + 2.0 * float(b[2] - b[0]) + float(c[2]) - float(c[0])
            down = float(c[0] - a[0]) + 2.0 * float(c[1] - a[1]) + float(c[2]) - float(a[2])
            change = np.sqrt(across * across + down * down) / (8.0 * max(float(b[1]), 12.5))
            assert steepness[y, x] == np.float32(change)
            assert cost[y, x] == int(min(change * STEPS, 255.0))


@pytest.mark.parametrize("seed", range(3))
def test_basins_are_grouped_by_their_levels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = blocks(seed, regions=9).astype(np.int32)
    smooth = (20.0 * (parts % 4) + rng.uniform(10.0, 12.0, parts.shape)).astype(np.float32)
    steepness = rng.random(parts.shape).astype(np.float32)
    grey, histogram = _levels(parts, 8, (smooth, steepness), 60.0)
    weights = 1.0 / (FLATTEST + steepness.astype(np.float64)) ** 2
    for part in range(1, 9):
        here = parts == part
        level = np.average(smooth[here].astype(np.float64), weights=weights[here])
        assert grey[part] == int(min(level * FULL / 60.0, 255.0))
    area = np.bincount(parts.ravel())
    assert np.array_equal(histogram, np.bincount(grey[1:], area[1:], minlength=256))

    def ends(k: int) -> NDArray[np.int64]:
        return np.array((0, *optimal_thresholds(histogram, k), 256))

    k = next((k for k in range(1, 6) if _are_even(histogram, ends(k), 0.05)), 6)
    labels = _grouped(parts, grey, histogram, optimal_thresholds_up_to(histogram, 6), 0.05)
    expected = np.where(parts > 0, np.digitize(grey[parts], ends(k)[:-1]), 0)
    assert np.array_equal(labels, expected)
    assert labels.max() == k == 4
