"""Figures over any number of frames in constant memory: what goes in is counted, not kept."""

from __future__ import annotations

import math
from collections import Counter

from msgspec import Struct


class Spread(Struct, frozen=True, kw_only=True):
    """How whole numbers are spread."""

    min: int
    mean: float
    median: float
    max: int


class TimeSpread(Struct, frozen=True, kw_only=True):
    """How times are spread, in milliseconds."""

    mean: float
    median: float
    p99: float


class WholeTally:
    """Whole numbers, each value counted: exact. Box counts have at most 16,385 values."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()

    def add(self, value: int) -> None:
        """Count one more."""
        self.counts[value] += 1

    def spread(self) -> Spread | None:
        """Sum up; None if nothing was counted."""
        if not self.counts:
            return None
        number = self.counts.total()
        lower, upper = _at(self.counts, (number - 1) // 2), _at(self.counts, number // 2)
        return Spread(
            min=min(self.counts),
            mean=round(self.total() / number, 3),
            median=(lower + upper) / 2,
            max=max(self.counts),
        )

    def total(self) -> int:
        """Add up all values."""
        return sum(value * times for value, times in self.counts.items())


class TimeTally:
    """Times, sorted into bins 1 % wide: mean exact, median and p99 within half a per cent."""

    _BINS_PER_E = 100.0

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.total_ms = 0.0

    def add(self, milliseconds: float) -> None:
        """Count one more; less than a microsecond counts as one in the bins."""
        self.total_ms += milliseconds
        bounded = min(max(1e-3, milliseconds), 1e12)
        self.counts[math.floor(math.log(bounded) * self._BINS_PER_E)] += 1

    def bins(self) -> list[tuple[float, int]]:
        """Give the middle of each bin in milliseconds and how many times lie in it, rising."""
        return [(self._middle(place), self.counts[place]) for place in sorted(self.counts)]

    def spread(self) -> TimeSpread | None:
        """Sum up; None if nothing was counted."""
        if not self.counts:
            return None
        number = self.counts.total()
        return TimeSpread(
            mean=round(self.total_ms / number, 3),
            median=round(self._middle(_at(self.counts, (number - 1) // 2)), 3),
            p99=round(self._middle(_at(self.counts, math.ceil(0.99 * number) - 1)), 3),
        )

    def _middle(self, place: int) -> float:
        return math.exp((place + 0.5) / self._BINS_PER_E)


def _at(counts: Counter[int], rank: int) -> int:
    """Return the value of this rank, from 0, among all that were counted."""
    for value in sorted(counts):
        rank -= counts[value]
        if rank < 0:
            return value
    raise ValueError("rank lies beyond what was counted")
