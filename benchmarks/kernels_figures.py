"""The timings of `process`, summed up: figures for the table, samples for the plot."""

from __future__ import annotations

from statistics import median

import numpy as np

from benchmarks.kernels import PLAIN_STEPS, STEPS, Timings, Took
from benchmarks.report import Figure, Series


def figures(timings: Timings) -> list[Figure]:
    """Sum the mix up."""
    group = "process, one thread, 512 and 1024 px"
    ours = [took for each in timings.process.values() for took in each]
    plain = [took for each in timings.plain.values() for took in each]
    wall, cpu = [1e3 * took.wall for took in ours], [1e3 * took.cpu for took in ours]
    slow = median(1e3 * took.wall for took in plain)
    slow_cpu = median(1e3 * took.cpu for took in plain)
    by_cpu, by_wall = timings.ratios("cpu"), timings.ratios("wall")
    low, high = np.percentile(by_cpu, (5, 95))

    def figure(key: str, what: str, value: float, unit: str = "ms", note: str = "") -> Figure:
        return Figure(
            key=f"process.{key}", group=group, what=what, value=value, unit=unit, note=note
        )

    found = [
        Figure(
            key="process.wall_ms",
            group=group,
            what="median, wall",
            value=median(wall),
            unit="ms",
            goal=1.0,
            note=f"baseline {slow:.3g} ms; {len(ours)} calls",
        ),
        Figure(
            key="process.wall_ms.p99",
            group=group,
            what="p99, wall",
            value=float(np.percentile(wall, 99)),
            unit="ms",
            goal=2.0,
        ),
        figure("cpu_ms", "median, CPU", median(cpu), "ms", f"baseline {slow_cpu:.3g} ms"),
        figure("cpu_ms.p99", "p99, CPU", float(np.percentile(cpu, 99)), "ms"),
        Figure(
            key="process.ratio",
            group=group,
            what="baseline / process, CPU",
            value=median(by_cpu),
            unit="x",
            better="higher",
            note=f"median of {len(by_cpu)} pictures; 5 %..95 %: {low:.0f}..{high:.0f}",
        ),
        Figure(
            key="process.ratio.wall",
            group=group,
            what="baseline / process, wall",
            value=median(by_wall),
            unit="x",
            better="higher",
        ),
    ]
    for name in STEPS:
        note = ""
        if name in PLAIN_STEPS:
            note = f"baseline {1e3 * median(timings.plain_steps[name]):.3g} ms"
        step = 1e3 * median(timings.steps[name])
        found.append(figure(f"step.{name}", f"step {name}, CPU", step, "ms", note))
    return found


def size_figures(found: dict[int, tuple[Took, Took]]) -> list[Figure]:
    """Sum the sizes up: the largest parent, and what a pixel more costs."""
    group = "process, large parents, 8 bit"
    side = max(found)
    ours, look = found[side]
    smaller = max(other for other in found if other < side)
    per_pixel = (ours.cpu - found[smaller][0].cpu) / (side**2 - smaller**2)
    return [
        Figure(
            key="large.cpu_ms",
            group=group,
            what=f"{side} x {side}, CPU",
            value=1e3 * ours.cpu,
            unit="ms",
            note=f"{1e3 * ours.wall:.3g} ms on the wall",
        ),
        Figure(
            key="large.looks",
            group=group,
            what="that, in looks at every pixel",
            value=ours.cpu / look.cpu,
            unit="x",
            note=f"image.max() takes {1e3 * look.cpu:.3g} ms",
        ),
        Figure(
            key="large.ns_per_pixel",
            group=group,
            what="a pixel more, CPU",
            value=1e9 * per_pixel,
            unit="ns",
            note=f"from {smaller} to {side} px",
        ),
    ]


def series(timings: Timings, sizes: dict[int, tuple[Took, Took]]) -> dict[str, Series]:
    """Return what the plot shows."""
    ours = [1e3 * took.cpu for each in timings.process.values() for took in each]
    plain = [1e3 * took.cpu for each in timings.plain.values() for took in each]
    pixels = [side**2 / 1e6 for side in sizes]
    return {
        "process": Series(y=ours),
        "baseline": Series(y=plain),
        "sizes": Series(x=pixels, y=[1e3 * ours.cpu for ours, _ in sizes.values()]),
        "looks": Series(x=pixels, y=[1e3 * look.cpu for _, look in sizes.values()]),
    }
