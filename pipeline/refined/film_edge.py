"""Where a film ends, or a second one begins: a straight edge across the frame.

A smooth surface cannot follow it: what lies on the brighter side would count as particle, or a
faint part on the darker side as film. Arrays are (row, column), in cells of the frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.compiled import compiled

from .lattice import Levels, Numbers

DEPTH = 3
"""Cells from the border over which the film's level there is averaged."""

ARM = 6
"""Cells along the border that are compared on either side of a jump, two left out between."""

REACH = ARM + 1
"""Cells from a jump to the last one that it is told by."""

JUMP = 5.0
"""How much larger a jump is than three quarters of the differences along the border."""

ALIKE = 2.0
"""How much larger one of the two jumps may be than the other."""

FAR = 10
"""Cells between the two places where an edge meets the border, at least."""

OFF = 3.0
"""Cells from the edge at which both sides are compared, half as many to find where it lies."""

SAMPLES = 64
SHARE = 0.7
"""Samples along the edge that show it: a particle that the frame cuts has none in its middle."""

SLACK = 2
"""Cells by which either end may have been found wrongly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmEdge:
    """A step of the film along a straight line.

    Parameters
    ----------
    across, down, off : float
        The brighter side is where `across * x + down * y > off`, with x and y from -1/2 to 1/2
        across the frame.
    height : float
        Gray levels by which it is brighter; 0 if there is no edge.
    """

    across: float = 0.0
    down: float = 0.0
    off: float = 0.0
    height: float = 0.0

    def at(self, x: Numbers, y: Numbers) -> Levels:
        """Say by how much the film is brighter at these places, from -1/2 to 1/2.

        Parameters
        ----------
        x, y : ndarray, float64, (columns,) and (rows,)

        Returns
        -------
        ndarray, float32, (rows, columns)
        """
        if self.height <= 0.0:
            return np.zeros((y.size, x.size), np.float32)
        side: Numbers = self.across * x[None, :] + self.down * y[:, None] - self.off
        return np.where(side > 0.0, np.float32(self.height), np.float32(0.0))


def find_film_edge(cells: Levels) -> FilmEdge:
    """Find the edge of a film.

    Two jumps along the border, up and down, and a step of the same sign all along the line between
    them.

    Parameters
    ----------
    cells : ndarray, float32, (rows, columns)
        Gray levels, smoothed.
    """
    rows, columns = cells.shape
    if min(rows, columns) < 4 * ARM:
        return FilmEdge()
    jumps = _jumps(_around(cells))
    up, down = int(jumps.argmax()), int(jumps.argmin())
    rise, fall = float(jumps[up]), float(-jumps[down])
    np.abs(jumps, out=jumps)
    jumps.partition(3 * jumps.size // 4)
    usual = float(jumps[3 * jumps.size // 4])
    apart = abs(up - down)
    if (
        min(rise, fall) < JUMP * max(usual, 0.1)
        or max(rise, fall) > ALIKE * min(rise, fall)
        or min(apart, jumps.size - apart) < FAR
    ):
        return FilmEdge()
    ends, height = _best_line(cells, up, down)
    if height <= 0.5 * min(rise, fall):
        return FilmEdge()
    x0, y0, x1, y1 = ends
    # the brighter side lies behind the jump upwards, clockwise around the frame
    x0, x1 = (x0 + 0.5) / columns - 0.5, (x1 + 0.5) / columns - 0.5
    y0, y1 = (y0 + 0.5) / rows - 0.5, (y1 + 0.5) / rows - 0.5
    across, along = y1 - y0, x0 - x1
    return FilmEdge(across=across, down=along, off=across * x0 + along * y0, height=height)


@compiled
def _around(cells: Levels) -> Levels:
    """Levels along the border, clockwise from the upper-left corner.

    What a jump at either end is compared with is there a second time, before and behind.
    """
    rows, columns = cells.shape
    count = 2 * (rows + columns)
    around = np.empty(count + 2 * REACH, np.float32)
    levels = around[REACH : REACH + count]
    _average(cells[:DEPTH], levels[:columns])
    _average(cells[:, columns - DEPTH :].T, levels[columns : columns + rows])
    _average(cells[rows - DEPTH :, ::-1], levels[columns + rows : 2 * columns + rows])
    _average(cells[::-1, :DEPTH].T, levels[2 * columns + rows :])
    around[:REACH] = levels[count - REACH :]
    around[REACH + count :] = levels[:REACH]
    return around


@compiled
def _average(lines: Levels, mean: Levels) -> None:
    """Average lines beside each other."""
    for at in range(mean.shape[0]):
        total = lines[0, at]
        for line in range(1, DEPTH):
            total += lines[line, at]
        mean[at] = total / np.float32(DEPTH)


@compiled
def _jumps(around: Levels) -> Numbers:
    """Measure how much brighter it is behind each place than before it, around the frame."""
    count = around.shape[0] - 2 * REACH
    jumps = np.zeros(count, np.float64)
    for step in range(2, 2 + ARM):
        behind = around[REACH + step : REACH + step + count]
        before = around[REACH - step : REACH - step + count]
        for at in range(count):
            jumps[at] += behind[at] - before[at]
    for at in range(count):
        jumps[at] /= ARM
    return jumps


@compiled
def _place(at: int, rows: int, columns: int) -> tuple[float, float]:
    """Turn a place along the border into x, y in cells."""
    at %= 2 * (rows + columns)
    if at < columns:
        return float(at), 0.0
    at -= columns
    if at < rows:
        return columns - 1.0, float(at)
    at -= rows
    if at < columns:
        return columns - 1.0 - at, rows - 1.0
    return 0.0, rows - 1.0 - (at - columns)


@compiled
def _best_line(
    cells: Levels, up: int, down: int
) -> tuple[tuple[float, float, float, float], float]:
    """Find the line near the two places along which the step is clearest, and its height."""
    rows, columns = cells.shape
    best = (0.0, 0.0, 0.0, 0.0)
    highest = 0.0
    for first in range(up - SLACK, up + SLACK + 1):
        for last in range(down - SLACK, down + SLACK + 1):
            x0, y0 = _place(first, rows, columns)
            x1, y1 = _place(last, rows, columns)
            clearness = _step_along(cells, (x0, y0, x1, y1), OFF / 2.0)
            if clearness > highest:
                highest = clearness
                best = (x0, y0, x1, y1)
    return best, _step_along(cells, best, OFF)


@compiled
def _step_along(cells: Levels, ends: tuple[float, float, float, float], apart: float) -> float:
    """Return the median step along a line, or 0 if too few of its samples show it."""
    rows, columns = cells.shape
    x0, y0, x1, y1 = ends
    length = np.hypot(x1 - x0, y1 - y0)
    if length < FAR:
        return 0.0
    across, down = (y1 - y0) / length * apart, (x0 - x1) / length * apart
    steps = np.empty(SAMPLES, np.float64)
    found = 0
    for sample in range(SAMPLES):
        share = (sample + 0.5) / SAMPLES
        x, y = x0 + share * (x1 - x0), y0 + share * (y1 - y0)
        right, below = round(x + across), round(y + down)
        left, above = round(x - across), round(y - down)
        if (
            min(right, left) >= 0
            and max(right, left) < columns
            and min(below, above) >= 0
            and max(below, above) < rows
        ):
            steps[found] = cells[below, right] - cells[above, left]
            found += 1
    if found < SAMPLES // 2:
        return 0.0
    middle = np.median(steps[:found])
    alike = 0
    for sample in range(found):
        if 0.4 * middle <= steps[sample] <= 1.8 * middle:
            alike += 1
    return middle if alike >= SHARE * found else 0.0
