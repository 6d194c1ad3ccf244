"""How the parent's intensities are brought to 8 bit: robustly, and on record."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .compiled import compiled, read_only

SAMPLE = 65_536
"""Pixels looked at, at most. The choice is a regular lattice: same image, same sample."""

TAIL = 2_000
"""One in so many of the sampled pixels is cut off at either end (0.05 %, and at least one pixel):
hot and dead pixels are rarer, a particle worth scanning is larger."""

COUNTABLE = 65_536
"""Levels: integers that span no more of them, as all of 16 bit do, are counted, not sorted."""

ScalingMethod = Literal["8-bit as is", "percentiles"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """The linear map low..high -> 0..255, and what the sample it was found from looked like.

    Parameters
    ----------
    low, high : float
        Parent intensities that become 0 and 255; what lies beyond is clipped. Equal if the
        image is flat: everything becomes 0 then.
    method : "8-bit as is" or "percentiles"
    saturated_fraction : float
        Share (0..1) of the sample that is exactly at the sample's maximum.
    sampled : int
        Finite pixels in the sample.
    invalid : int
        NaN and infinite pixels in the sample.
    """

    low: float
    high: float
    method: ScalingMethod
    saturated_fraction: float = 0.0
    sampled: int = 0
    invalid: int = 0

    def __post_init__(self) -> None:
        if not -inf < self.low <= self.high < inf:
            raise ValueError(
                f"low, high: came {self.low}, {self.high}; expected finite numbers, low <= high"
            )
        if self.method == "8-bit as is" and (self.low, self.high) != (0.0, 255.0):
            raise ValueError(
                f"low, high: came {self.low}, {self.high} with '8-bit as is'; expected 0, 255"
            )


def find_scaling(image: NDArray[Any]) -> Scaling:
    """Decide how the intensities of `image` map to 8 bit.

    Unsigned 8-bit images are taken as they are. All others are stretched between two order
    statistics, so that an offset, negative values, a few hot pixels, NaN and infinities do not
    matter.

    Parameters
    ----------
    image : ndarray, (height, width)
        As `as_image` returns it.

    Returns
    -------
    Scaling
    """
    step = _lattice_step(*image.shape)
    if image.dtype == np.uint8:
        sampled = -(-image.shape[0] // step) * -(-image.shape[1] // step)
        return Scaling(
            low=0.0,
            high=255.0,
            method="8-bit as is",
            saturated_fraction=_count_at_maximum(read_only(image), step) / sampled,
            sampled=sampled,
        )
    sample = image[::step, ::step].ravel()
    finite = sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample
    invalid = sample.size - finite.size
    if finite.size == 0:  # the few finite pixels lie between the lattice points
        finite = image[np.isfinite(image)]
    cut = min(max(finite.size // TAIL, 1), (finite.size - 1) // 2)
    low, high = _without_tails(finite, cut)
    return Scaling(
        low=low,
        high=high,
        method="percentiles",
        saturated_fraction=float(np.count_nonzero(finite == finite.max()) / finite.size),
        sampled=finite.size,
        invalid=invalid,
    )


def _without_tails(pixels: NDArray[Any], cut: int) -> tuple[float, float]:
    """Return the lowest and the highest of the pixels after leaving out `cut` at either end."""
    lowest, highest = pixels.min(), pixels.max()
    levels = int(highest) - int(lowest) + 1 if pixels.dtype.kind in "iu" else COUNTABLE + 1
    if levels <= COUNTABLE:
        from_below, from_above = _count_off(read_only(pixels), lowest, levels, cut)
        return float(int(lowest) + from_below), float(int(highest) - from_above)
    ordered = np.partition(pixels, (cut, pixels.size - 1 - cut))
    return float(ordered[cut]), float(ordered[pixels.size - 1 - cut])


@compiled
def _count_off(
    pixels: NDArray[Any], lowest: np.integer[Any], levels: int, cut: int
) -> tuple[int, int]:
    """Count the pixels of each level; return how many levels `cut` pixels reach at either end."""
    counts = np.zeros(levels, np.int32)
    for at in range(pixels.shape[0]):
        counts[pixels[at] - lowest] += 1
    from_below, below = 0, counts[0]
    while below <= cut:
        from_below += 1
        below += counts[from_below]
    from_above, above = 0, counts[levels - 1]
    while above <= cut:
        from_above += 1
        above += counts[levels - 1 - from_above]
    return from_below, from_above


def _lattice_step(height: int, width: int) -> int:
    """Return the step, along both axes, of the densest lattice of at most `SAMPLE` pixels."""
    step = 1
    while -(-height // step) * -(-width // step) > SAMPLE:
        step += 1
    return step


@compiled
def _count_at_maximum(image: NDArray[np.uint8], step: int) -> int:
    """Count the lattice's pixels that are at its maximum.

    Whole rows are compared, pixels between the lattice's columns too: that is several times as
    fast as picking pixels out. Only the columns of the lattice then count.
    """
    height, width = image.shape
    highest = np.zeros(width, np.uint8)
    for y in range(0, height, step):
        line = image[y]
        for x in range(width):
            highest[x] = max(highest[x], line[x])
    maximum = highest[::step].max()
    hits = np.zeros(width, np.int32)
    for y in range(0, height, step):
        line = image[y]
        for x in range(width):
            hits[x] += line[x] == maximum
    return int(hits[::step].sum())
