"""`pipeline.process` on one thread, side by side with the plain baseline.

Everything is timed twice: on the wall, and in processor time of the thread. On a machine that has
other things to do, the second says what the code costs and the first what it took.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import (  # type: ignore[import-untyped] # scikit-learn brings it, without types
    threadpool_limits,
)

from benchmarks import baseline
from pipeline import (
    Grid,
    NothingFound,
    as_image,
    assess,
    box,
    cluster,
    downsize,
    find_scaling,
    parse_composition,
    preprocess,
    process,
    warm_up,
)
from pipeline.emulation import emulate

SEED = 2025
BASE = 1024
EIGHTH = 8
"""The baseline and the single steps take every eighth picture of a round, another one each time."""

STEPS = ("as_image", "find_scaling", "downsize", "assess", "preprocess", "cluster", "box")
PLAIN_STEPS = ("downsize", "preprocess", "cluster", "box")

Advance = Callable[[float], None]
"""Called with the share (0..1) that is done."""


class Picture(NamedTuple):
    """A parent image, and what the method is told about it."""

    image: NDArray[Any]
    n_elements: int


class Took(NamedTuple):
    """Seconds."""

    wall: float
    cpu: float


@dataclass(slots=True)
class Timings:
    """Everything that was timed, by picture."""

    process: dict[int, list[Took]] = field(default_factory=dict)
    plain: dict[int, list[Took]] = field(default_factory=dict)
    steps: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in STEPS})
    plain_steps: dict[str, list[float]] = field(
        default_factory=lambda: {name: [] for name in PLAIN_STEPS}
    )

    def ratios(self, clock: str) -> list[float]:
        """Return baseline / process of each picture, medians over its repeats."""
        return [
            median(getattr(took, clock) for took in self.plain[at])
            / median(getattr(took, clock) for took in self.process[at])
            for at in self.plain
        ]


def mix(count: int) -> list[Picture]:
    """Emulate parent images of 512 and 1024 px, 8 bit and (one in four) 16 bit."""
    made = (emulate(index, SEED) for index in range(count))
    return [Picture(one.image, parse_composition(one.composition).n) for one in made]


def time_side_by_side(pictures: list[Picture], rounds: int, advance: Advance) -> Timings:
    """Time `process`, its steps and the baseline, interleaved.

    A round takes `process` through all pictures (so that none is in the processor's cache when its
    turn comes), and the baseline and the single steps through every eighth.
    """
    timings = Timings()
    with one_thread():
        warm_up()
        baseline.locate(*pictures[0])
        for round_number in range(rounds):
            for at, picture in enumerate(pictures):
                timings.process.setdefault(at, []).append(_timed(picture, _process))
                if at % EIGHTH == round_number % EIGHTH:
                    timings.plain.setdefault(at, []).append(_timed_plainly(picture, timings))
                if (at + EIGHTH // 2) % EIGHTH == round_number % EIGHTH:
                    _time_steps(picture, timings.steps)
            advance((round_number + 1) / rounds)
    return timings


def time_sizes(
    sides: tuple[int, ...], repeats: int, advance: Advance
) -> dict[int, tuple[Took, Took]]:
    """Time `process` on one picture at growing size, 8 bit, and one look at every pixel.

    Returns
    -------
    dict
        Side in pixels -> medians of `process`, and of `image.max()`, which reads each pixel once.
    """
    found: dict[int, tuple[Took, Took]] = {}
    with one_thread():
        for number, side in enumerate(sides):
            picture = Picture(of_size(side, bit_depth=8), 3)
            _process(picture)
            ours, looks = [], []
            for _ in range(repeats):
                ours.append(_timed(picture, _process))
                looks.append(_timed(picture, _look))
            found[side] = (_middle(ours), _middle(looks))
            advance((number + 1) / len(sides))
    return found


def of_size(side: int, *, bit_depth: int) -> NDArray[Any]:
    """Emulate one picture of 1024 px; repeat its pixels, or leave some out, for another side.

    Parameters
    ----------
    side : int
        Pixels; 1024 times, or divided by, a whole number.
    bit_depth : int
        8 or 16.
    """
    image = emulate(1, SEED, size=BASE, bit_depth=bit_depth).image
    if side < BASE:
        return np.ascontiguousarray(image[:: BASE // side, :: BASE // side])
    return image.repeat(side // BASE, axis=0).repeat(side // BASE, axis=1)


def cpu_ms(images: list[NDArray[Any]], repeats: int) -> float:
    """Mean processor time of `process`, milliseconds: what a chain cannot do without."""
    pictures = [Picture(image, 3) for image in images]
    with one_thread():
        return 1e3 * fmean(_timed(one, _process).cpu for _ in range(repeats) for one in pictures)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep every library to this thread."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(threads)


def _process(picture: Picture) -> object:
    return process(picture.image, n_elements=picture.n_elements)


def _look(picture: Picture) -> object:
    return picture.image.max()


def _timed(picture: Picture, function: Callable[[Picture], object]) -> Took:
    wall, cpu = time.perf_counter(), time.thread_time()
    function(picture)
    return Took(time.perf_counter() - wall, time.thread_time() - cpu)


def _timed_plainly(picture: Picture, timings: Timings) -> Took:
    wall = time.perf_counter()
    stamps = [time.thread_time()]
    grid_image = baseline.downsize(picture.image)
    stamps.append(time.thread_time())
    _, filtered = baseline.preprocess(grid_image)
    stamps.append(time.thread_time())
    labels = baseline.cluster(filtered, picture.n_elements)
    stamps.append(time.thread_time())
    baseline.cover(labels)
    stamps.append(time.thread_time())
    _note(timings.plain_steps, PLAIN_STEPS, stamps)
    return Took(time.perf_counter() - wall, stamps[-1] - stamps[0])


def _time_steps(picture: Picture, steps: dict[str, list[float]]) -> None:
    """Take one picture through the steps that `process` calls, as far as it gets."""
    stamps = [time.thread_time()]
    image = as_image(picture.image)
    stamps.append(time.thread_time())
    scaling = find_scaling(image)
    stamps.append(time.thread_time())
    grid = Grid.for_parent(*image.shape)
    grid_image = downsize(image, scaling, grid)
    stamps.append(time.thread_time())
    quality = assess(grid_image, grid, scaling)
    stamps.append(time.thread_time())
    if quality.passed:
        found = preprocess(grid_image)
        stamps.append(time.thread_time())
        if not isinstance(found, NothingFound):
            clusters = cluster(found.filtered, picture.n_elements)
            stamps.append(time.thread_time())
            box(clusters.labels)
            stamps.append(time.thread_time())
    _note(steps, STEPS, stamps)


def _note(steps: dict[str, list[float]], names: tuple[str, ...], stamps: list[float]) -> None:
    for name, start, end in zip(names, stamps, stamps[1:], strict=False):
        steps[name].append(end - start)


def _middle(took: list[Took]) -> Took:
    return Took(median(one.wall for one in took), median(one.cpu for one in took))
