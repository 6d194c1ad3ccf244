"""The model of where the next bottleneck is: small cases by hand, limits, and what must grow."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.report import Machine
from benchmarks.scaling.fitted import Costs, Incomplete, predicted
from benchmarks.scaling.found import Point, Scaling
from benchmarks.scaling.model import Resource, closed_rate, in_order, line, sharing_rate
from benchmarks.scaling.page import NoSuchTable, filled

SOURCE = Resource(name="source", seconds=0.001)
WORKERS = Resource(name="workers", seconds=0.010, servers=4)

demands = st.lists(
    st.builds(
        Resource,
        name=st.just("some"),
        seconds=st.floats(1e-5, 1e-1),
        servers=st.integers(1, 50),
    ),
    min_size=1,
    max_size=6,
)


def test_the_resource_that_lets_least_through_is_the_bottleneck() -> None:
    (first, most), (second, more) = in_order([SOURCE, WORKERS], 4)
    assert (first, second) == (WORKERS, SOURCE)
    assert (most, more) == pytest.approx((400.0, 1000.0))


def test_a_worker_more_costs_what_looks_at_all_workers() -> None:
    queue = Resource(name="queue", seconds=0.001, seconds_a_worker=1e-6, busy_a_worker=5e-4)
    assert queue.demand(0) == pytest.approx(0.001)
    assert queue.demand(1_000) == pytest.approx((0.001 + 0.001) / (1.0 - 0.5))
    assert queue.most(1_000) == pytest.approx(250.0)


def test_a_resource_that_workers_keep_busy_alone_lets_nothing_through() -> None:
    supervisor = Resource(name="supervisor", seconds=0.0, busy_a_worker=1e-3)
    assert supervisor.most(999) == inf
    assert supervisor.most(1_000) == 0.0
    assert closed_rate([supervisor], 1_000, window=4) == 0.0


def test_one_frame_alone_takes_the_sum_of_its_demands() -> None:
    assert closed_rate([SOURCE, WORKERS], 4, window=1) == pytest.approx(1 / 0.011)
    assert closed_rate([SOURCE, WORKERS], 4, window=1, delay=0.009) == pytest.approx(1 / 0.020)


def test_equal_single_servers_give_the_textbook_rate() -> None:
    three = [SOURCE] * 3
    # n / (n + k - 1) of the bound: exact for k equal stations (Lazowska et al. 1984).
    for frames in (1, 2, 5, 64):
        expected = 1_000.0 * frames / (frames + 2)
        assert closed_rate(three, 1, window=frames) == pytest.approx(expected)


def test_a_window_smaller_than_the_workers_leaves_some_of_them_idle() -> None:
    many = Resource(name="workers", seconds=0.100, servers=1_000)
    assert closed_rate([many], 1_000, window=64) == pytest.approx(640.0, rel=0.01)


@given(demands, st.integers(1, 40))
def test_a_larger_window_is_never_slower_and_never_beats_the_bound(
    resources: list[Resource], window: int
) -> None:
    small = closed_rate(resources, 1, window=window)
    large = closed_rate(resources, 1, window=window + 1)
    bound = in_order(resources, 1)[0][1]
    assert small <= large * (1 + 1e-9)
    assert large <= bound * (1 + 1e-9)


def test_a_wide_window_comes_to_the_bound() -> None:
    assert closed_rate([SOURCE, WORKERS], 4, window=500) == pytest.approx(400.0, rel=1e-6)


def test_one_core_does_everything_in_turn() -> None:
    assert sharing_rate([SOURCE, WORKERS], 1) == pytest.approx(1 / 0.011)


def test_with_cores_enough_the_slowest_thread_decides() -> None:
    assert sharing_rate([SOURCE, WORKERS], 1_000) == pytest.approx(400.0)


@given(demands)
def test_a_core_more_is_never_slower_and_never_beats_either_bound(
    threads: list[Resource],
) -> None:
    whole = sum(thread.seconds for thread in threads)
    rates = [sharing_rate(threads, cores) for cores in range(1, 9)]
    assert all(fewer <= more * (1 + 1e-6) for fewer, more in pairwise(rates))
    slowest = min(thread.servers / thread.seconds for thread in threads)
    for cores, rate in enumerate(rates, 1):
        assert rate <= min(cores / whole, slowest) * (1 + 1e-9)


def test_a_window_without_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="window: came 0"):
        closed_rate([SOURCE], 1, window=0)


def test_no_cores_are_refused() -> None:
    with pytest.raises(ValueError, match="cores: came 0"):
        sharing_rate([SOURCE], 0)


def test_a_line_goes_through_points_that_lie_on_one() -> None:
    assert line([(1, 3.0), (2, 5.0), (10, 21.0)]) == pytest.approx((1.0, 2.0))


def test_a_cost_is_never_fitted_below_zero() -> None:
    assert line([(1, 3.0), (2, 1.0)]) == (2.0, 0.0)
    assert line([(1, 0.0), (2, 4.0)]) == pytest.approx((0.0, 8.0 / 5.0))


def test_a_line_through_one_place_is_refused() -> None:
    with pytest.raises(ValueError, match="at one x"):
        line([(1, 3.0), (1, 4.0)])


def test_a_table_is_put_between_its_marks_and_the_rest_stays() -> None:
    text = "before\n<!-- measured: one -->\nold\n<!-- end -->\nafter"
    new = filled(text, {"one": "| new |"})
    assert new == "before\n<!-- measured: one -->\n\n| new |\n\n<!-- end -->\nafter"
    assert filled(new, {"one": "| new |"}) == new


def test_a_page_and_tables_that_do_not_match_are_refused() -> None:
    with pytest.raises(NoSuchTable, match="one"):
        filled("<!-- measured: one -->\n<!-- end -->", {"two": ""})


def test_a_chain_is_predicted_from_its_point_with_one_worker_on_all_cores() -> None:
    fit = a_point(workers=1, cores=2)
    more = a_point(workers=2, cores=2)
    alone = a_point(workers=2, cores=1)
    points = [alone, more, fit]
    expected = [Resource(name="worker", seconds=0.002), Resource(name="source", seconds=0.001)]
    assert predicted(points, fit) == pytest.approx(sharing_rate(expected, 2))
    assert predicted(points, more) > predicted(points, fit)
    assert predicted(points, alone) == pytest.approx(1 / 0.003)


def test_a_model_without_one_of_its_measurements_is_refused() -> None:
    machine = Machine(
        processor="x",
        cores=2,
        system="x",
        python="x",
        versions={},
        load_before=0.0,
        load_after=0.0,
        started="x",
        quick=False,
    )
    with pytest.raises(Incomplete, match="a part is missing"):
        Costs(Scaling(machine=machine, points=[a_point(workers=1, cores=2)]))


def a_point(*, workers: int, cores: int) -> Point:
    return Point(
        layout="together",
        side=1024,
        workers=workers,
        cores=cores,
        work_ms=0.0,
        window=64,
        frames=1,
        seconds=1.0,
        rate=1.0,
        others=0.0,
        threads={"all.worker/main": 2.0, "source/main": 1.0},
        written={},
        commits=1.0,
    )
