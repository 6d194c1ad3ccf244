"""Random choices that are the same on every machine and with every version of numpy.

numpy keeps the raw stream of a bit generator fixed, but not what `Generator` makes of it (NEP 19);
and sine, power and exponential may differ in the last bit between machines. So choices are made
from the raw stream here, and what a transcendental function returns goes through `steady`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

SEED_LIMIT = 2**63
"""Seeds and indices below this fit into any table."""


def steady(value: float) -> float:
    """Round off the digits in which two machines' mathematical libraries may differ."""
    return round(value, 9)


class Draws:
    """The stream of random choices that makes one image; it depends on (seed, index) alone.

    Parameters
    ----------
    seed, index : int
        Which library, and which image of it. Not negative, below 2**63.
    *kind : int
        What else tells the streams of one image apart; none for the library itself.
    """

    def __init__(self, seed: int, index: int, *kind: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence([seed, index, *kind]))

    def unit(self) -> float:
        """Draw from [0, 1), in steps of 2**-53."""
        return (self._raw() >> 11) * 2.0**-53

    def between(self, low: float, high: float) -> float:
        """Draw from [low, high), uniformly."""
        return low + (high - low) * self.unit()

    def log_between(self, low: float, high: float) -> float:
        """Draw from [low, high) so that each octave is as likely as the next."""
        return steady(low * (high / low) ** self.unit())

    def below(self, limit: int) -> int:
        """Draw from 0..limit - 1; `limit` is small, so the bias of 2**-53 does not matter."""
        return int(self.unit() * limit)

    def chance(self, probability: float) -> bool:
        """Draw True with this probability."""
        return self.unit() < probability

    def pick(self, choices: Sequence[T]) -> T:
        """Draw one of `choices`."""
        return choices[self.below(len(choices))]

    def sample(self, choices: Sequence[T], count: int) -> list[T]:
        """Draw `count` different ones, in random order."""
        left = list(choices)
        return [left.pop(self.below(len(left))) for _ in range(count)]

    def words(self, shape: tuple[int, int]) -> NDArray[np.uint16]:
        """Draw uniform 16-bit numbers, fast: four from each raw number, low bits first."""
        count = shape[0] * shape[1]
        raw = self._bits.random_raw(-(-count // 4))
        words: NDArray[np.uint16] = raw.astype("<u8", copy=False).view("<u2")[:count]
        return words.astype(np.uint16, copy=False).reshape(shape)

    def _raw(self) -> int:
        return int(self._bits.random_raw())
