"""The refined method's kernels, each beside what it does in plain words."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.refined.basins import find_basins
from pipeline.refined.cover import Limits, cover
from pipeline.refined.edges import settle_edges, smooth_edges
from pipeline.refined.inner import FAR, FEWEST, OPEN, ROUNDS, grow_inner
from pipeline.refined.lattice import cell_means
from pipeline.refined.room import TAKEN, find_room
from pipeline.refined.squares import may_be_mixed

LIMITS = Limits(
    least=1, most=9, outside=0.01, impurity=0.03, max_error=40.0, left_out=0.0, rims_first=True
)


def disc(size: int, radius: float) -> NDArray[np.bool_]:
    y, x = np.mgrid[:size, :size]
    inside: NDArray[np.bool_] = (x - size / 2) ** 2 + (y - size / 2) ** 2 < radius**2
    return inside


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "i4", "u4", "f4", "f8"])
@pytest.mark.parametrize("pitch", [1, 2, 3, 4, 5, 6, 7])
def test_a_cell_is_the_mean_of_its_pixels_without_the_extremes(dtype: str, pitch: int) -> None:
    rng = np.random.default_rng(pitch)
    image = (rng.random((80, 70)) * 120).astype(dtype)
    cells = cell_means(image, (3, 2), (11, 9), pitch)
    for row in range(11):
        for column in range(9):
            y, x = 2 + row * pitch, 3 + column * pitch
            pixels = np.sort(image[y : y + pitch, x : x + pitch].astype(np.float64), axis=None)
            counted = pixels[1:-1] if pitch > 1 else pixels
            assert cells[row, column] == pytest.approx(counted.mean(), rel=1e-7)


@pytest.mark.parametrize("value", [255, 65535])
def test_sums_of_large_cells_do_not_run_over(value: int) -> None:
    dtype = np.min_scalar_type(value)
    for pitch in (181, 200):
        image = np.full((2 * pitch, pitch), value, dtype)
        assert (cell_means(image, (0, 0), (2, 1), pitch) == value).all()


def test_pixels_that_are_not_finite_do_not_count() -> None:
    image = np.full((8, 8), 5.0)
    image[0, 0], image[1, 1], image[0, 1] = np.nan, np.inf, -np.inf
    image[4:, 4:] = np.nan
    cells = cell_means(image, (0, 0), (2, 2), 4)
    assert cells[0].tolist() == [5.0, 5.0]
    assert np.isnan(cells[1, 1])


def fitting_region(
    labels: NDArray[np.uint8],
    levels: NDArray[np.float64],
    taken: NDArray[np.bool_],
    limits: Limits,
    square: tuple[int, int, int],
) -> int:
    """Say which region a square would be of; 0 if it breaks a limit."""
    x, y, size = square
    there = labels[y : y + size, x : x + size]
    inside = there[there > 0]
    if taken[y : y + size, x : x + size].any() or inside.size == 0:
        return 0
    if inside.size < (1.0 - limits.outside) * size * size:
        return 0
    commonest = int(np.bincount(inside).argmax())
    if np.count_nonzero(inside == commonest) < (1.0 - limits.impurity) * inside.size:
        return 0
    of_box = levels[y : y + size, x : x + size][there > 0]
    error = (of_box**2).sum() - of_box.sum() ** 2 / of_box.size
    return commonest if size == 1 or error <= limits.max_error else 0


def contact(free: NDArray[np.bool_], square: tuple[int, int, int]) -> int:
    """Count the cells around a square that are not free."""
    x, y, size = square
    around = np.pad(free, 1)[y : y + size + 2, x : x + size + 2]
    sides = (around[0, 1:-1], around[-1, 1:-1], around[1:-1, 0], around[1:-1, -1])
    return sum(int(np.count_nonzero(~side)) for side in sides)


def reference_cover(
    labels: NDArray[np.uint8], levels: NDArray[np.float64], limits: Limits
) -> list[list[int]]:
    """Take the snuggest square of each size again and again, and look at every cell for it."""
    rows, columns = labels.shape
    taken = np.zeros(labels.shape, np.bool_)
    boxes = []
    size = limits.most
    while size >= limits.least:
        best = (-1, 0, 0)
        for x in range(columns - size + 1):
            for y in range(rows - size + 1):
                region = fitting_region(labels, levels, taken, limits, (x, y, size))
                free = ~taken & (labels == region)
                touching = contact(free, (x, y, size)) if region else -1
                if touching > best[0]:
                    best = (touching, x, y)
        touching, x, y = best
        if touching < 0:
            size -= 1
            continue
        boxes.append([x, y, size])
        taken[y : y + size, x : x + size] = True
    return boxes


def as_in_reference(
    labels: NDArray[np.uint8], levels: NDArray[np.float32], limits: Limits
) -> list[list[int]]:
    """Cover, and compare: the same squares in the same order, single ones down each column."""
    boxes, regions = cover(labels, levels, limits)
    expected = reference_cover(labels, levels.astype(np.float64), limits)
    larger = [box for box in expected if box[2] > 1]
    assert boxes.tolist() == larger + sorted(box for box in expected if box[2] == 1)
    for (left, top, size), region in zip(boxes.tolist(), regions.tolist(), strict=True):
        there = labels[top : top + size, left : left + size]
        assert region == np.bincount(there[there > 0]).argmax()
    return expected


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("impurity", [0.01, 0.1, 0.3])
def test_squares_are_those_that_a_search_of_every_place_finds(seed: int, impurity: float) -> None:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:20, :22]
    labels = np.where(disc(22, 9.5)[:20], 1 + (x + y > 19 + 2 * seed), 0).astype(np.uint8)
    levels = 10.0 * labels + 0.3 * x + rng.normal(size=labels.shape)
    as_in_reference(labels, levels.astype(np.float32), replace(LIMITS, impurity=impurity))


@pytest.mark.parametrize("place", [(0, 0), (9, 14), (4, 3)])
def test_squares_may_lie_beyond_the_particle_but_not_beyond_the_lattice(
    place: tuple[int, int],
) -> None:
    top, left = place
    labels = np.zeros((20, 26), np.uint8)
    labels[top : top + 11, left : left + 12] = 1
    labels[top + 3 : top + 6, left + 4 : left + 9] = 2
    levels = np.random.default_rng(1).normal(size=labels.shape).astype(np.float32)
    limits = replace(LIMITS, least=3, outside=0.4, impurity=0.2)
    boxes = np.array(as_in_reference(labels, levels, limits))
    x, y, size = boxes.T
    beyond = (x < left) | (y < top) | (x + size > left + 12) | (y + size > top + 11)
    assert beyond.any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (2, 70), (70, 3)])
def test_squares_may_fill_all_of_a_lattice(shape: tuple[int, int]) -> None:
    labels = np.ones(shape, np.uint8)
    levels = np.zeros(shape, np.float32)
    as_in_reference(labels, levels, LIMITS)
    boxes, regions = cover(0 * labels, levels, LIMITS)
    assert (len(boxes), len(regions)) == (0, 0)


@pytest.mark.parametrize("most", [1, 3, 30])
def test_room_is_for_the_largest_square_of_one_region_and_sums_go_over_what_is_before(
    most: int,
) -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, (5, 6)).astype(np.uint8).repeat(4, 0).repeat(3, 1)
    levels = rng.normal(size=labels.shape).astype(np.float32)
    free, whole, cells, sums, squares = find_room(labels, levels, (2, 1, 14, 17), most, True)
    there, known = labels[1:18, 2:16], np.where(labels > 0, levels, 0.0)[1:18, 2:16]
    assert np.array_equal(free, np.pad(there.T, 1, constant_values=TAKEN))
    for x, y in np.ndindex(14, 17):
        sides = [
            side
            for side in range(1, min(14 - x, 17 - y, most) + 1)
            if there[y, x] and (there[y : y + side, x : x + side] == there[y, x]).all()
        ]
        assert whole[x + 1, y + 1] == max(sides, default=0)
        assert sums[x, y] == pytest.approx(known[:y, :x].sum(dtype=float), abs=1e-9)
        assert squares[x, y] == pytest.approx((known[:y, :x].astype(float) ** 2).sum(), abs=1e-9)
        counts = [np.count_nonzero(there[:y, :x] == region) for region in range(3)]
        assert cells[:, x, y].tolist() == counts
    assert find_room(labels, levels, (2, 1, 14, 17), most, False)[2].size == 0


@pytest.mark.parametrize(("outside", "impurity"), [(0.01, 0.01), (0.01, 0.1), (0.2, 0.0), (0, 0)])
def test_a_square_may_be_mixed_from_the_size_on_at_which_a_cell_is_a_small_share(
    outside: float, impurity: float
) -> None:
    for size in range(1, 40):
        whole = max(outside, impurity) * size**2 + 1e-9 < 1
        assert may_be_mixed(size, outside, impurity) != whole


def test_slivers_are_left_out_as_long_as_enough_is_covered() -> None:
    labels = disc(30, 12.0).astype(np.uint8)
    levels = np.zeros(labels.shape, np.float32)
    whole, _ = cover(labels, levels, LIMITS)
    some, _ = cover(labels, levels, replace(LIMITS, left_out=0.05))
    area = np.count_nonzero(labels)
    assert (whole[:, 2] ** 2).sum() == area
    assert len(some) < len(whole)
    assert (some[:, 2] ** 2).sum() >= 0.95 * area


def test_basins_are_parted_by_ridges_that_rise_enough_and_by_no_others() -> None:
    cost = np.full((9, 30), 10, np.uint8)
    cost[:, 10] = 60
    cost[:, 20] = 25
    mask = np.ones(cost.shape, np.bool_)
    parts, count = find_basins(cost, mask, 30, 5)
    assert count == 2
    assert len(np.unique(parts[:, :10])) == 1
    assert len(np.unique(parts[:, 11:])) == 1
    assert find_basins(cost, mask, 10, 5)[1] == 3
    assert find_basins(cost, mask, 100, 5)[1] == 1
    assert find_basins(cost, mask, 10, 100)[1] == 1


def test_basins_fill_the_mask_and_nothing_else() -> None:
    rng = np.random.default_rng(1)
    cost = rng.integers(0, 200, (25, 33)).astype(np.uint8)
    mask = rng.random(cost.shape) < 0.8
    parts, count = find_basins(cost, mask, 20, 3)
    assert np.array_equal(parts > 0, mask)
    assert set(np.unique(parts[mask])) == set(range(1, count + 1))


def reference_basins(
    cost: NDArray[np.uint8], mask: NDArray[np.bool_], rise: int, least: int
) -> NDArray[np.int64]:
    """Flood cell by cell, and write down of each basin all its cells."""
    basins: dict[tuple[int, int], list[tuple[int, int]]] = {}
    owner: dict[tuple[int, int], tuple[int, int]] = {}
    for y, x in sorted(map(tuple, np.argwhere(mask).tolist()), key=lambda at: (cost[at], at)):
        near = [at for at in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)) if at in owner]
        owner[y, x] = owner[min(near, key=lambda at: cost[at])] if near else (y, x)
        basins.setdefault(owner[y, x], []).append((y, x))
        for i, one in enumerate(near):
            for other in near[:i]:
                # of equally deep ones the larger stays
                deep, shallow = sorted(
                    (owner[one], owner[other]), key=lambda at: (cost[at], -len(basins[at]))
                )
                if deep == shallow:
                    continue
                if cost[shallow] > int(cost[y, x]) - rise or len(basins[shallow]) < least:
                    for at in basins[shallow]:
                        owner[at] = deep
                    basins[deep] += basins.pop(shallow)
    numbers: dict[tuple[int, int], int] = {}
    labels = np.zeros(cost.shape, np.int64)
    for y, x in np.argwhere(mask).tolist():
        labels[y, x] = numbers.setdefault(owner[y, x], len(numbers) + 1)
    return labels


@pytest.mark.parametrize("seed", range(6))
def test_basins_are_those_of_a_flood_that_writes_all_down(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rough = cv2.GaussianBlur(rng.random((31, 27)), (0, 0), 1.0 + 0.3 * seed)
    cost = np.round(255.0 * (rough - rough.min()) / np.ptp(rough)).astype(np.uint8)
    mask = rng.random(cost.shape) < (0.7, 1.0)[seed % 2]
    parts, count = find_basins(cost, mask, 20, 5)
    assert np.array_equal(parts, reference_basins(cost, mask, 20, 5))
    assert 1 < count < 100


def test_a_cell_at_an_edge_goes_to_the_side_that_has_most_of_it() -> None:
    levels = np.full((11, 12), 10.0)
    levels[:, 6:] = 20.0
    levels[:, 5] = 18.0
    labels = np.where(np.arange(12) < 6, 1, 2).astype(np.uint8) * np.ones((11, 1), np.uint8)
    settled = settle_edges(labels, levels)
    assert (settled[:, :5] == 1).all()
    assert (settled[:, 5:] == 2).all()


def test_a_lone_cell_takes_the_label_around_it_and_the_outside_stays() -> None:
    labels = np.zeros((9, 9), np.uint8)
    labels[1:8, 1:8] = 2
    labels[4, 4] = 1
    smoothed = smooth_edges(labels)
    assert smoothed[4, 4] == 2
    assert np.array_equal(smoothed > 0, labels > 0)


def test_a_core_begins_where_brightness_begins_to_change() -> None:
    labels = disc(40, 18.0).astype(np.uint8)
    labels[disc(40, 8.0)] = 2
    y, x = np.mgrid[:40, :40]
    radius = np.hypot(x - 20, y - 20)
    steepness = np.where(np.abs(radius - 9.0) < 2.5, 0.1, 0.01)
    grown, nested = grow_inner(labels, steepness, 0.6)
    assert nested
    core = np.count_nonzero(grown == 2)
    assert np.count_nonzero(disc(40, 10.0)) < core < np.count_nonzero(disc(40, 13.0))
    assert np.array_equal(grown > 0, labels > 0)


def test_regions_side_by_side_do_not_grow() -> None:
    labels = disc(40, 18.0).astype(np.uint8)
    labels[:, 20:] *= 2
    grown, nested = grow_inner(labels, np.full(labels.shape, 0.1), 0.6)
    assert not nested
    assert np.array_equal(grown, labels)


def depth_of_parts(
    labels: NDArray[np.uint8],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number connected parts, and count those between each of them and the outside."""
    parts = np.zeros(labels.shape, np.int64)
    for label in range(1, int(labels.max()) + 1):
        _, found = cv2.connectedComponents((labels == label).astype(np.uint8), connectivity=4)
        parts = np.where(found > 0, found + parts.max(), parts)
    outside = np.pad(labels, 1, mode="edge") == 0
    at_edge = outside[:-2, 1:-1] | outside[2:, 1:-1] | outside[1:-1, :-2] | outside[1:-1, 2:]
    area = np.bincount(parts.ravel())
    edge = np.bincount(parts[at_edge], minlength=area.size)
    depth = np.where(edge > OPEN * area, 1, FAR)
    depth[0] = 0
    for _ in range(area.size):
        for y, x in np.argwhere(parts[1:, 1:]).tolist():
            one = parts[y + 1, x + 1]
            for other in (parts[y, x + 1], parts[y + 1, x]):
                if other > 0:
                    depth[one] = min(depth[one], depth[other] + 1)
                    depth[other] = min(depth[other], depth[one] + 1)
    return parts, np.where((area < FEWEST) | (depth == FAR), 0, depth)


def reference_growth(
    labels: NDArray[np.uint8], steepness: NDArray[np.float32], foot: float
) -> NDArray[np.uint8]:
    """Look at each cell of the lattice in each round."""
    parts, depth_of = depth_of_parts(labels)
    depth, highest = depth_of[parts], steepness.copy()
    for step in range(ROUNDS):
        before = labels.copy(), depth.copy(), highest.copy()
        labels, depth, highest = labels.copy(), depth.copy(), highest.copy()
        for y, x in np.argwhere(labels[1:-1, 1:-1]).tolist():
            cell, best = (y + 1, x + 1), -1.0
            for beside in ((y + 2, x + 1), (y, x + 1), (y + 1, x + 2), (y + 1, x)):
                top = max(before[2][beside], steepness[cell])
                steep = steepness[cell] >= (foot if step > 0 else 0.0) * top
                if before[1][beside] > before[1][cell] and top > best and steep:
                    best = float(top)
                    labels[cell], depth[cell] = before[0][beside], before[1][beside]
                    highest[cell] = top
    return labels


@pytest.mark.parametrize("seed", range(6))
def test_inner_regions_grow_as_if_each_cell_were_looked_at(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = disc(44, 26.0 - 2 * seed).astype(np.uint8)
    for label, radius in enumerate((14.0, 10.0, 6.0), start=2):
        labels[disc(44, radius)] = label
    for y, x in rng.integers(0, 36, (6, 2)).tolist():
        labels[y : y + 7, x : x + 5] = np.where(labels[y : y + 7, x : x + 5], y % 4 + 1, 0)
    steepness = rng.random(labels.shape).astype(np.float32)
    grown, nested = grow_inner(labels, steepness, 0.6)
    assert nested
    assert np.array_equal(grown, reference_growth(labels, steepness, 0.6))
    assert not np.array_equal(grown, labels)
