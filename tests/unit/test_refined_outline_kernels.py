"""The kernels that outline particles, each beside what it does in plain words."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.refined.blur import _bell, blur
from pipeline.refined.bodies import _along_border
from pipeline.refined.close_up import Lattice, _second_differences, _Seen, _walk
from pipeline.refined.film import Film, _follow, _products, centres, fit_film, level_plane
from pipeline.refined.film_edge import DEPTH, REACH, _around, _jumps, find_film_edge
from pipeline.refined.frame import to_grey
from pipeline.refined.noise import _average_alike, _bends, _brighter
from pipeline.refined.orientation import Orientation
from pipeline.refined.outline import (
    _bounds,
    _extent,
    _is_faint,
    _part,
    _steady,
)
from pipeline.refined.pieces import pieces_of, whole_of, widened
from pipeline.refined.ranks import ends, rank, spread
from pipeline.scale import Scaling

SQUARE = np.ones((3, 3), np.uint8)


def disc(size: int, radius: float) -> NDArray[np.bool_]:
    y, x = np.mgrid[:size, :size]
    inside: NDArray[np.bool_] = (x - size / 2) ** 2 + (y - size / 2) ** 2 < radius**2
    return inside


def reference_sums(cells: NDArray[np.float32], bell: NDArray[np.float32]) -> NDArray[np.float32]:
    """Add up along the rows, the nearest cells first."""
    wide = np.pad(cells, ((0, 0), (6, 6)), mode="reflect")
    columns = cells.shape[1]
    sums = bell[0] * wide[:, 6 : 6 + columns]
    for away in range(1, 7):
        both = wide[:, 6 - away :][:, :columns] + wide[:, 6 + away :][:, :columns]
        sums = sums + bell[away] * both
    return np.asarray(sums, np.float32)


@pytest.mark.parametrize("width", [0.7, 0.8, 1.0, 1.5])
@pytest.mark.parametrize("shape", [(20, 33), (128, 128), (7, 1), (3, 40), (1, 1)])
def test_a_blur_adds_cells_up_by_a_bell(width: float, shape: tuple[int, int]) -> None:
    cells = (np.random.default_rng(11).random(shape) * 200).astype(np.float32)
    down = reference_sums(cells.T, _bell(width)).T
    assert np.array_equal(blur(cells, width), reference_sums(down, _bell(width)))
    theirs = np.asarray(cv2.GaussianBlur(cells, (0, 0), width), np.float32)
    assert np.abs(blur(cells, width) - theirs).max() < 1e-4


def test_a_bell_wider_than_the_kernel_reaches_is_refused() -> None:
    with pytest.raises(ValueError, match=r"width: came 2\.0"):
        blur(np.zeros((9, 9), np.float32), 2.0)


def numbered(mask: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Number connected parts, and measure their areas; 0 is what is not of the mask."""
    _, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    return np.asarray(parts, np.int32), np.bincount(parts.ravel())


def reference_whole(steady: NDArray[np.bool_], above: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Close gaps, leave out specks, and close pinholes."""
    closed = cv2.morphologyEx(steady.astype(np.uint8), cv2.MORPH_CLOSE, SQUARE)
    closed[~above] = 0
    parts, areas = numbered(cv2.morphologyEx(closed, cv2.MORPH_OPEN, SQUARE))
    if len(areas) == 1:
        return np.zeros(above.shape, np.bool_)
    areas[0] = 0
    solid = (areas >= max(9, areas.max() / 100))[parts]
    holes, areas = numbered(~solid)
    if len(areas) == 2:
        return np.asarray(solid, np.bool_)
    pinholes = areas < 0.004 * areas[0]
    pinholes[0] = False
    return np.asarray(solid | pinholes[holes], np.bool_)


def blots(seed: int) -> NDArray[np.bool_]:
    """Draw a mask of any shape: specks, pieces with gaps, or nothing at all."""
    rng = np.random.default_rng(seed)
    mask = (rng.random(rng.integers(1, 60, 2)) < rng.random()).astype(np.uint8)
    if seed % 3:
        way = cv2.MORPH_CLOSE if seed % 3 == 1 else cv2.MORPH_OPEN
        mask = np.asarray(cv2.morphologyEx(mask, way, SQUARE), np.uint8)
    return mask.astype(np.bool_)


@pytest.mark.parametrize("seed", range(40))
def test_pieces_are_those_that_a_labelling_of_cells_finds(seed: int) -> None:
    mask = blots(seed)
    opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, SQUARE)
    parts, areas = numbered(opened)
    expected = [parts == part for part in range(1, len(areas)) if areas[part] >= 12]
    found = pieces_of(mask, 12)
    assert len(found) == len(expected)
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("seed", range(40))
def test_what_is_whole_has_neither_specks_nor_pinholes(seed: int) -> None:
    above = blots(seed)
    steady = above & (np.random.default_rng(seed).random(above.shape) < 0.9)
    assert np.array_equal(whole_of(steady, above), reference_whole(steady, above))
    everywhere = np.ones_like(above)
    assert np.array_equal(whole_of(above, everywhere), reference_whole(above, everywhere))


def test_specks_beside_something_large_go_and_so_do_pinholes_in_it() -> None:
    mask = disc(100, 45.0)
    mask[50, 50] = False
    mask[40:46, 30:36] = False
    mask[:4, :4] = True
    whole = whole_of(mask, mask)
    assert whole[50, 50]
    assert not whole[42, 32]
    assert not whole[:4, :4].any()


@pytest.mark.parametrize("by", [1, 2, 4])
def test_a_mask_is_widened_all_round(by: int) -> None:
    mask = blots(by)
    expected = cv2.dilate(mask.astype(np.uint8), SQUARE, iterations=by)
    assert np.array_equal(widened(mask, by), expected)


def test_a_rim_is_darker_than_a_share_of_what_is_beside_it() -> None:
    rng = np.random.default_rng(10)
    sharp, blurred = (rng.normal(size=(2, 17, 26)) * 20).astype(np.float32)
    near = disc(26, 9.0)[:17]
    above, steady = _steady((sharp, blurred), near, np.float32(2.0), np.float32(0.6))
    assert np.array_equal(above, (blurred > 2.0) & near)
    bright = sharp > np.float32(0.6) * cv2.dilate(blurred, SQUARE)
    assert np.array_equal(steady, above & bright)


def reference_average(
    cells: NDArray[np.float32],
    like: NDArray[np.float32],
    noise: tuple[float, float],
    deviations: float,
    window: int,
) -> NDArray[np.float32]:
    """Average cell by cell, as Lee's filter is written down."""
    gain, offset = np.float32(noise[0]), np.float32(noise[1])
    averaged = np.empty_like(cells)
    for y, x in np.ndindex(cells.shape):
        middle = like[y, x]
        most = np.float32(deviations) * np.sqrt(offset + gain * np.maximum(middle, np.float32(0.0)))
        if abs(cells[y, x] - middle) > most:
            middle = cells[y, x]
        around = cells[max(y - window, 0) : y + window + 1, max(x - window, 0) : x + window + 1]
        alike = around[abs(around - middle) <= most]
        total = np.cumsum(alike)[-1] if alike.size else np.float32(0.0)
        averaged[y, x] = total / np.float32(alike.size) if alike.size else cells[y, x]
    return averaged


@pytest.mark.parametrize("window", [1, 2])
def test_noise_is_averaged_over_cells_that_are_alike(window: int) -> None:
    rng = np.random.default_rng(window)
    noisy = np.where(disc(23, 8.0), 100.0, 20.0) + rng.normal(scale=3.0, size=(23, 23))
    noisy[10, 10] = 180.0
    cells = noisy.astype(np.float32)[:21]
    like = (cells + np.roll(cells, 1, 0)) / np.float32(2.0)
    averaged = _average_alike(cells, like, (0.1, 2.0), 2.5, window)
    assert np.array_equal(averaged, reference_average(cells, like, (0.1, 2.0), 2.5, window))
    assert averaged[10, 10] == 180.0
    flat = ~disc(23, 10.0)[:21]
    assert averaged[flat].std() < cells[flat].std()


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.2, 2.5, 4.0])
def test_the_edge_of_a_film_is_found_wherever_it_lies(angle: float) -> None:
    y, x = np.mgrid[:128, :128] / 128.0 - 0.5
    brighter = np.cos(angle) * x + np.sin(angle) * y > 0.1
    rng = np.random.default_rng(0)
    cells = 20.0 + 8.0 * brighter + 5.0 * x + rng.normal(scale=0.3, size=brighter.shape)
    cells[50:90, 40:85] += 100.0
    edge = find_film_edge(cells)
    assert edge.height == pytest.approx(8.0, rel=0.15)
    step = edge.at(x[0], y[:, 0]) > 0.0
    assert np.mean(step == brighter) > 0.98


def test_a_particle_that_the_frame_cuts_is_no_edge_of_a_film() -> None:
    cells = np.full((128, 128), 20.0)
    y, x = np.mgrid[:128, :128]
    cells[(x - 5) ** 2 + (y - 60) ** 2 < 40**2] = 90.0
    assert find_film_edge(cells).height == 0.0
    assert find_film_edge(np.full((128, 128), 20.0)).height == 0.0


def test_order_statistics_are_numpy_s() -> None:
    values = np.random.default_rng(3).normal(size=1001)
    assert rank(values.copy(), 0.5) == np.median(values)
    assert rank(values.copy(), 0.0) == values.min()
    assert rank(values.copy(), 1.0) == values.max()
    assert spread(values.copy()) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("size", [1, 2, 999, 16384])
def test_the_ends_are_order_statistics_too(size: int) -> None:
    values = np.random.default_rng(14).integers(0, 3 * size, size).astype(np.float32)
    for some in (values, np.sort(values), np.sort(values)[::-1].copy()):
        expected = rank(values.copy(), 0.0005), rank(values.copy(), 0.9995)
        assert ends(some, 0.0005) == expected


def reference_jumps(cells: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compare six cells of the border behind each place with six before it."""
    levels = np.concatenate(
        [
            cells[:DEPTH].mean(axis=0),
            cells[:, -DEPTH:].mean(axis=1),
            cells[-DEPTH:, ::-1].mean(axis=0),
            cells[::-1, :DEPTH].mean(axis=1),
        ]
    )
    differences = [np.roll(levels, -step) - np.roll(levels, step) for step in range(2, 8)]
    return np.asarray(np.sum(np.stack(differences).astype(np.float64), axis=0) / 6)


def test_jumps_along_the_border_are_differences_of_what_lies_around_the_frame() -> None:
    cells = (np.random.default_rng(2).random((37, 50)) * 200).astype(np.float32)
    around = _around(cells)
    assert np.array_equal(around[:REACH], around[-2 * REACH : -REACH])
    assert np.array_equal(around[-REACH:], around[REACH : 2 * REACH])
    assert np.array_equal(_jumps(around), reference_jumps(cells))


def reference_surface(
    terms: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Evaluate the surface at each place, as it is written down."""
    levels = np.empty((len(y), len(x)), np.float32)
    for (row, column), _ in np.ndenumerate(levels):
        across, down = x[column], y[row]
        levels[row, column] = (
            terms[0]
            + terms[1] * across
            + terms[2] * down
            + terms[3] * across * across
            + terms[4] * across * down
            + terms[5] * down * down
        )
    return levels


def test_a_film_lies_at_its_terms_and_under_the_cells() -> None:
    rng = np.random.default_rng(4)
    terms = rng.normal(scale=20.0, size=6)
    cells = (rng.random((19, 23)) * 200).astype(np.float32)
    x, y = centres(23), centres(19)
    film = Film(terms=terms, spread=1.0)
    assert np.abs(film.at(x, y) - reference_surface(terms, x, y)).max() <= 4e-6
    assert np.abs(film.below(cells) - (cells - reference_surface(terms, x, y))).max() <= 3e-5


def reference_follow(
    places: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]],
    terms: NDArray[np.float64],
    effort: tuple[int, int],
    quantile: float,
) -> NDArray[np.float64]:
    """Solve weighted least squares again and again, with a table of the terms."""
    x, y, levels = places
    count, rounds = effort
    table = np.stack([np.ones(x.size), x, y, x * x, x * y, y * y], axis=1)
    terms = terms.copy()
    for step in range(rounds):
        off = levels - table @ terms
        weight = np.where(off > 0.0, quantile, 1.0 - quantile) / np.maximum(np.abs(off), 0.25)
        if step == 0 and count == 3:
            weight[:] = 1.0
        some = table[:, :count]
        normal = some.T @ (weight[:, None] * some) + 1e-9 * np.eye(count)
        terms[:count] = np.linalg.solve(normal, some.T @ (weight * levels))
    return terms


@pytest.mark.parametrize(("count", "rounds"), [(3, 5), (6, 3)])
def test_a_surface_is_that_of_weighted_least_squares(count: int, rounds: int) -> None:
    rng = np.random.default_rng(count)
    x, y = rng.random(300) - 0.5, rng.random(300) - 0.5
    levels = (20.0 + 9.0 * x + 5.0 * y * y + rng.normal(size=300)).astype(np.float32)
    wanted = x < 0.3
    terms = np.zeros(6)
    depths = _follow((_products(x, y), levels), wanted, terms, (count, rounds), 0.3)
    places = x[wanted], y[wanted], levels[wanted]
    expected = reference_follow(places, np.zeros(6), (count, rounds), 0.3)
    assert np.allclose(terms, expected, rtol=1e-9, atol=1e-9)
    table = np.stack([np.ones(300), x, y, x * x, x * y, y * y], axis=1)
    below = (table @ expected - levels)[wanted]
    assert np.allclose(depths, below[below > 0.0], rtol=1e-6, atol=1e-9)


def test_a_film_is_followed_under_particles() -> None:
    rng = np.random.default_rng(5)
    terms = np.array([30.0, 8.0, -5.0, 4.0, 3.0, -6.0])
    x, y = centres(128), centres(120)
    surface = reference_surface(terms, x, y)
    cells = (surface + rng.normal(scale=1.0, size=surface.shape)).astype(np.float32)
    cells[40:90, 30:80] += 90.0
    film = fit_film(cells)
    assert film.spread == pytest.approx(1.0, rel=0.3)
    assert np.abs(film.at(x, y) - surface).max() < 1.5
    assert np.abs(film.at(x, y) - surface).mean() < 0.4


def test_a_plane_lies_under_half_of_the_wanted_cells() -> None:
    rng = np.random.default_rng(6)
    plane = reference_surface(np.array([30.0, 8.0, -5.0, 0.0, 0.0, 0.0]), centres(60), centres(50))
    cells = (plane + rng.normal(scale=1.0, size=plane.shape)).astype(np.float32)
    wanted = ~disc(60, 20.0)[:50]
    cells[~wanted] = 200.0
    found = level_plane(cells, wanted)
    assert np.abs(found - plane).max() < 0.5
    assert np.mean(cells[wanted] < found[wanted]) == pytest.approx(0.5, abs=0.05)


def test_bends_are_second_differences_along_rows() -> None:
    rng = np.random.default_rng(7)
    cells = (rng.random((20, 31)) * 200).astype(np.float32)
    body = disc(31, 11.0)[:20]
    bend = np.float32(2.0) * cells[:, 1:-1] - cells[:, :-2] - cells[:, 2:]
    level = (cells[:, :-2] + cells[:, 1:-1] + cells[:, 2:]) / np.float32(3.0)
    inner = body[:, 1:-1]
    inside, levels, outside, low = _bends(cells, body)
    assert np.array_equal(inside, bend[inner])
    assert np.array_equal(levels, level[inner])
    assert np.array_equal(outside, bend[~inner])
    assert low == pytest.approx(level[~inner].mean(dtype=np.float64), rel=1e-12)
    bright, high = _brighter(inside, levels, 100.0)
    assert np.array_equal(bright, bend[inner & (level > 100.0)])
    assert high == pytest.approx(level[inner & (level > 100.0)].mean(dtype=np.float64), rel=1e-12)
    assert _bends(cells, np.ones_like(body))[3] == 0.0
    assert _brighter(inside, levels, 300.0)[1] == 1.0


@pytest.mark.parametrize(("pitch", "frame_pitch"), [(1, 1), (2, 3), (3, 2), (4, 8), (5, 7)])
def test_a_lattice_sees_the_cell_of_the_frame_that_its_middles_lie_in(
    pitch: int, frame_pitch: int
) -> None:
    mask = np.random.default_rng(8).random((20, 25)) < 0.5
    lattice = Lattice(x=3, y=1, rows=20 * frame_pitch // pitch, columns=17, pitch=pitch)
    x = 3 + (np.arange(17) + 0.5) * pitch
    y = 1 + (np.arange(lattice.rows) + 0.5) * pitch
    columns = np.minimum((x / frame_pitch).astype(np.int64), 24)
    rows = np.minimum((y / frame_pitch).astype(np.int64), 19)
    seen = _Seen(mask.shape, lattice, frame_pitch)
    assert np.array_equal(seen.of(mask), mask[np.ix_(rows, columns)])
    others = (mask, ~mask)
    assert np.array_equal(seen.but(mask, others), ~mask[np.ix_(rows, columns)])
    assert not seen.but(mask, (mask,)).any()
    across, down = seen.places()
    assert np.array_equal(across, x / (25 * frame_pitch) - 0.5)
    assert np.array_equal(down, y / (20 * frame_pitch) - 0.5)


@pytest.mark.parametrize("dtype", ["u1", "i4", "f4"])
@pytest.mark.parametrize("turn", range(8))
def test_pixels_are_compared_with_their_neighbours_in_any_orientation(
    dtype: str, turn: int
) -> None:
    rng = np.random.default_rng(9)
    image = (rng.random((61, 80)) * 200).astype(dtype)
    orientation = Orientation(across=bool(turn & 1), down=bool(turn & 2), transposed=turn > 3)
    picture = orientation.view(image).astype(np.float64)
    lattice = Lattice(x=4, y=7, rows=9, columns=10, pitch=5)
    body = rng.random((9, 10)) < 0.7
    top, left = 7 + 2, 4 + 2
    before, centre, after, above, below = (
        picture[top + y :: 10, left + x :: 10][:4, :5][body[:-1:2, :-1:2]]
        for y, x in ((0, -1), (0, 0), (0, 1), (-1, 0), (1, 0))
    )
    expected = 2.0 * centre - before - after, 2.0 * centre - above - below
    if orientation.transposed:
        expected = expected[::-1]
    found = _second_differences(image, body, 5, _walk(orientation, image.shape, lattice))
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])


def test_gray_levels_are_clipped_and_a_cell_without_a_level_is_black() -> None:
    means = np.array([[np.nan, -np.inf, np.inf], [3.0, -1.0, 9.0]], np.float32)
    scaling = Scaling(low=0.0, high=5.0, method="percentiles")
    assert to_grey(means, scaling).tolist() == [[0.0, 0.0, 255.0], [153.0, 0.0, 255.0]]
    flat = Scaling(low=3.0, high=3.0, method="percentiles")
    assert not to_grey(means[1:], flat).any()


def test_a_mask_s_cells_along_the_border_are_picked_once() -> None:
    rng = np.random.default_rng(12)
    cells = rng.random((9, 14)).astype(np.float32)
    mask = rng.random((9, 14)) < 0.6
    edge = np.zeros_like(mask)
    edge[0] = edge[-1] = edge[:, 0] = edge[:, -1] = True
    assert np.array_equal(_along_border(cells, mask), cells[edge & mask])
    assert np.array_equal(_along_border(cells[:1], mask[:1]), cells[:1][mask[:1]])
    assert np.array_equal(
        _along_border(cells[:, :1].copy(), mask[:, :1].copy()), cells[mask[:, 0], 0]
    )


def test_an_extent_is_around_what_is_near_and_in_either_mask() -> None:
    above, mask = np.zeros((2, 20, 30), np.bool_)
    mask[8:12, 10:15] = True
    above[10, 17] = above[0, 0] = above[19, 29] = True
    assert _extent(above, mask) == (10, 8, 18, 12)
    everywhere = np.ones_like(mask)
    assert _bounds(everywhere, above, mask) == (0, 0, 30, 20)


def test_a_body_is_faint_if_its_brightness_is_below_the_limit() -> None:
    levels = (np.random.default_rng(13).random((20, 31)) * 100).astype(np.float32)
    body = disc(31, 9.0)[:20]
    brightness = rank(levels[body], 0.95)
    for limit in (0.1 * brightness, np.nextafter(0.1 * brightness, 100.0), 5.0, 12.0):
        assert _is_faint(levels, body, 0.1, limit) == (limit > 0.1 * brightness)


def test_what_is_neither_near_nor_of_others_is_film() -> None:
    near, others = np.random.default_rng(15).random((2, 12, 17)) < 0.5
    mine = near.copy()
    assert np.array_equal(_part(mine, others), ~(near | others))
    assert np.array_equal(mine, near & ~others)
