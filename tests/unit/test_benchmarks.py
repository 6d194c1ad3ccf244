"""The benchmark measures the right thing: its baseline finds what `process` finds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # it has no types

from benchmarks import (
    baseline,
    chain_figures,
    chain_images,
    kernels,
    kernels_figures,
    kernels_memory,
    report,
    report_plot,
)
from benchmarks.__main__ import FULL, QUICK
from benchmarks.chain import Snapshot
from benchmarks.chain_measure import ChainFound, Single, Streamed
from benchmarks.fewest import fits, lower_bound
from benchmarks.kernels import Picture
from benchmarks.kernels_memory import Call, Memory
from benchmarks.report import Figure, Machine, NotAReport, Report, Series
from pipeline import process
from pipeline.refined.cover import Limits, cover
from services.runtime.ledger import Ledger

LEAST_IOU = 0.93
"""Of the boxed areas, in the worst picture: background differs by a row where a blur rounds."""


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    """A few of the pictures that the benchmark times."""
    return kernels.mix(6)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def test_the_baseline_finds_the_particle_where_process_finds_it(pictures: list[Picture]) -> None:
    for picture in pictures:
        ours = process(picture.image, n_elements=picture.n_elements)
        plain = baseline.locate(picture.image, picture.n_elements)
        assert ours.grid_bounding_box is not None
        off = np.abs(np.subtract(ours.grid_bounding_box, plain.bounding_box))
        assert off.max() <= 2
        ours_boxed, plain_boxed = boxed(ours.grid_boxes), boxed(np.array(plain.boxes))
        both = np.count_nonzero(ours_boxed & plain_boxed)
        assert both / np.count_nonzero(ours_boxed | plain_boxed) >= LEAST_IOU


def test_the_baseline_agrees_with_process_on_the_number_of_regions(pictures: list[Picture]) -> None:
    same = 0
    for picture in pictures:
        ours = process(picture.image, n_elements=picture.n_elements)
        plain = baseline.locate(picture.image, picture.n_elements)
        same += ours.k == plain.labels.max() + 1
    assert same >= len(pictures) - 1


def test_the_baseline_covers_every_region_once_without_crossing_an_edge() -> None:
    labels = np.array([[0, 1, 1, 2], [1, 1, 1, 2], [1, 1, 1, 2], [0, 2, 2, 2]])
    covered = np.zeros(labels.shape, int)
    for x, y, size in baseline.cover(labels):
        square = labels[y : y + size, x : x + size]
        assert square.shape == (size, size)
        assert np.unique(square).size == 1
        covered[y : y + size, x : x + size] += 1
    assert np.array_equal(covered, labels > 0)


def test_every_step_and_every_picture_is_timed(pictures: list[Picture]) -> None:
    shares: list[float] = []
    timings = kernels.time_side_by_side(pictures[:2], kernels.EIGHTH, shares.append)
    assert {at: len(took) for at, took in timings.process.items()} == {0: 8, 1: 8}
    assert {at: len(took) for at, took in timings.plain.items()} == {0: 1, 1: 1}
    assert {len(seconds) for seconds in timings.steps.values()} == {2}
    assert shares[-1] == 1.0
    keys = [figure.key for figure in kernels_figures.figures(timings)]
    assert len(keys) == len(set(keys))
    assert {f"process.step.{name}" for name in kernels.STEPS} <= set(keys)


@pytest.mark.parametrize("side", [256, 1024, 2048])
def test_a_picture_of_another_size_shows_the_same_particle(side: int) -> None:
    result = process(kernels.of_size(side, bit_depth=8), n_elements=3)
    assert result.outcome == "located"
    assert result.bounding_box is not None
    same = process(kernels.of_size(kernels.BASE, bit_depth=8), n_elements=3).bounding_box
    assert same is not None
    shares = np.array(result.bounding_box) / side - np.array(same) / kernels.BASE
    assert np.abs(shares).max() <= 2 / 128


def test_the_growth_of_memory_is_that_from_the_first_quarter_to_the_last() -> None:
    steps = [50.0] * 25 + [50.5] * 50 + [51.0] * 25
    steps[0], steps[-1] = 20.0, 90.0  # one sample alone does not decide
    call = Call(parent=2**20, traced=2**19, resident=None)
    done = [1_000 * (at + 1) for at in range(100)]
    memory = Memory(calls={1024: call}, done=done, resident=steps)
    assert memory.growth_kib == 1024.0
    peak, growth = kernels_memory.figures(memory)
    assert (peak.key, peak.value) == ("memory.peak.1024", 0.5)
    assert (growth.what, growth.value) == ("resident, 100,000 calls", 1024.0)
    assert "10 of 256, 4 of 512, 2 of 1024 px, half of them 16 bit" in growth.note


def test_a_full_benchmark_makes_a_hundred_thousand_calls_for_the_memory() -> None:
    assert FULL.memory_calls == 100_000
    assert QUICK.memory_calls % kernels_memory.SAMPLES == 0


def test_a_figure_says_whether_it_is_what_was_asked() -> None:
    assert figure(value=0.9, goal=1.0).asked == "<= 1 met"
    assert figure(value=1.1, goal=1.0).asked == "<= 1 missed"
    assert figure(value=700.0, goal=600.0, better="higher").asked == ">= 600 met"
    assert figure(value=599.0, goal=600.0, better="higher").asked == ">= 600 missed"
    assert figure(value=1.0).asked == ""


def test_better_and_worse_depend_on_which_way_is_better() -> None:
    fast, slow = figure(value=1.0), figure(value=2.0)
    assert report.verdict(fast, slow) == "better"
    assert report.verdict(slow, fast) == "worse"
    few, many = figure(value=100.0, better="higher"), figure(value=200.0, better="higher")
    assert report.verdict(many, few) == "better"
    assert report.verdict(few, many) == "worse"
    assert report.verdict(figure(value=1.05), figure(value=1.0)) == ""
    assert report.verdict(figure(value=0.0), figure(value=0.0)) == ""


def test_a_comparison_shows_ratios_of_what_both_reports_have() -> None:
    now = a_report(figure("a", 3.0), figure("b", 1.0), figure("zero", 1.0))
    earlier = a_report(figure("a", 2.0), figure("c", 1.0), figure("zero", 0.0))
    table = report.compare(now, earlier)
    assert cells(table, 0) == ["g: a", "g: zero"]
    assert cells(table, 3) == ["1.50", ""]
    assert cells(table, 4) == ["worse", "worse"]


def test_the_table_has_a_heading_for_each_group_and_a_row_for_each_figure() -> None:
    table = report.table(a_report(figure("a", 1234.5), figure("b", 0.01234)).figures, "t")
    assert cells(table, 0) == ["[bold]g", "  a", "  b"]
    assert cells(table, 1) == ["", "1,234", "0.0123"]


def test_a_report_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    written = a_report(figure("a", 1.0, goal=2.0))
    report.write(written, tmp_path / "deep" / "bench.json")
    assert report.read(tmp_path / "deep" / "bench.json") == written


@pytest.mark.parametrize("text", [None, "", "{}", '{"machine": 1}'])
def test_what_is_no_report_is_refused_by_name(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "bench.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(NotAReport, match=r"bench\.json"):
        report.read(path)


def test_the_picture_is_drawn_with_and_without_measurements(tmp_path: Path) -> None:
    full = a_report(figure("bar.a", 1.0), figure("bar.b", 2.0))
    report_plot.draw(full, tmp_path / "full.png", bars="bar.")
    bare = Report(machine=full.machine, figures=())
    report_plot.draw(bare, tmp_path / "bare.png", bars="bar.")
    for name in ("full.png", "bare.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_machine_is_named_with_its_load() -> None:
    machine = Machine.this(quick=True, load_before=1.234, started=datetime(2026, 1, 2, tzinfo=UTC))
    assert machine.cores >= 1
    assert "load average 1.23 before" in machine.line
    assert "quick" in machine.line
    assert f"numpy {np.__version__}" in machine.line


def test_the_files_of_the_benchmark_are_frames_of_their_own(tmp_path: Path) -> None:
    image = np.zeros((16, 16), np.uint8)
    places = chain_images.accepted_files(tmp_path, [image, image], frames=5)
    with Ledger(places.ledger) as ledger:
        assert ledger.accepted() == ledger.open_count() == 5


def test_the_figures_of_a_chain_are_those_of_its_streams() -> None:
    cpu = {"source": 0.2, "boxing.worker.4": 0.1}
    stream = Streamed(100, 2.0, cpu, 0.05, {"boxing": 0.3}, 0.5)
    before = Snapshot(0.0, 0, cpu, {"source": 50.0, "boxing.worker.4": 100.0}, 0.0)
    after = before._replace(resident={"source": 53.0, "boxing.worker.4": 101.0})
    singles = [Single(0.001, 0.010), Single(0.003, 0.030)]
    found = ChainFound({"boxing": 1.5}, 0.9, singles, stream, stream, 0.04, before, after, [])
    figures = chain_figures.figures(found, 2.5) + chain_figures.files_figures(stream)
    values = {figure.key: pytest.approx(figure.value) for figure in figures}
    assert len(values) == len(figures)
    assert values["chain.large.rate"] == values["chain.files.rate"] == 50.0
    assert values["chain.large.cpu_ms"] == 3.0
    assert values["chain.large.outside_ms"] == 0.5
    assert values["chain.cpu.boxing.worker"] == 1.0
    assert values["chain.latency_ms"] == 20.0
    assert values["chain.memory_growth"] == 3.0


def boxed(boxes: NDArray[Any]) -> NDArray[np.bool_]:
    """Cells of the grid that boxes cover."""
    covered = np.zeros((128, 128), np.bool_)
    for x, y, size in boxes:
        covered[y : y + size, x : x + size] = True
    return covered


def figure(
    key: str = "a",
    value: float = 1.0,
    *,
    goal: float | None = None,
    better: report.Better = "lower",
) -> Figure:
    return Figure(key=key, group="g", what=key, value=value, unit="ms", goal=goal, better=better)


def a_report(*figures: Figure) -> Report:
    started = datetime(2026, 1, 2, tzinfo=UTC)
    lines = {
        name: Series(x=[1.0, 4.0], y=[1.0, 2.0])
        for name in ("process", "baseline", "sizes", "looks", "memory", "chain memory")
    }
    machine = Machine.this(quick=False, load_before=0.5, started=started)
    return Report(machine=machine, figures=figures, series=lines)


def cells(table: Table, column: int) -> list[str]:
    """What a column shows, by row; that it can be printed at all is part of it."""
    Console(quiet=True).print(table)
    return [str(cell) for cell in table.columns[column].cells]


def test_the_fewest_boxes_are_bounded_by_boxes_in_part() -> None:
    held = np.zeros((6, 9), np.bool_)
    held[:, :8] = True
    alone = {1: np.ones((6, 9), np.bool_)}
    assert lower_bound(held, alone) == pytest.approx(48)
    squares = {2: np.ones((5, 8), np.bool_)}
    assert lower_bound(held, squares) == pytest.approx(12)
    one_square = alone | {4: np.zeros((3, 6), np.bool_)}
    one_square[4][1, 2] = True
    assert lower_bound(held, one_square) == pytest.approx(48 - 15)
    assert lower_bound(held, {4: one_square[4]}) == np.inf


def test_a_box_that_the_refined_method_makes_fits_by_the_bound_s_rules() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, (8, 9)).astype(np.uint8).repeat(4, 0).repeat(4, 1)
    levels = (10.0 * labels + rng.normal(size=labels.shape)).astype(np.float32)
    limits = Limits(
        least=1, most=7, outside=0.03, impurity=0.1, max_error=60.0, left_out=0.0, rims_first=True
    )
    boxes, _ = cover(labels, levels, limits)
    assert len(np.unique(boxes[:, 2])) > 2
    for x, y, size in boxes.tolist():
        assert fits(labels, levels, limits, size)[y, x]
