"""How the parent's intensities are brought to 8 bit: robustly, and on record."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

SAMPLE = 65_536
"""Pixels looked at, at most. The choice is a regular lattice: same image, same sample."""

TAIL = 2_000
"""One in so many of the sampled pixels is cut off at either end (0.05 %, and at least one pixel):
hot and dead pixels are rarer, a particle worth scanning is larger."""

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
    sample = _sample(image)
    finite = sample[np.isfinite(sample)] if sample.dtype.kind == "f" else sample
    invalid = sample.size - finite.size
    if finite.size == 0:  # the few finite pixels lie between the lattice points
        finite = image[np.isfinite(image)]
    saturated = float(np.count_nonzero(finite == finite.max()) / finite.size)
    if image.dtype == np.uint8:
        low, high = 0.0, 255.0
        method: ScalingMethod = "8-bit as is"
    else:
        cut = min(max(finite.size // TAIL, 1), (finite.size - 1) // 2)
        ordered = np.partition(finite, (cut, finite.size - 1 - cut))
        low, high = float(ordered[cut]), float(ordered[finite.size - 1 - cut])
        method = "percentiles"
    return Scaling(
        low=low,
        high=high,
        method=method,
        saturated_fraction=saturated,
        sampled=finite.size,
        invalid=invalid,
    )


def _sample(image: NDArray[Any]) -> NDArray[Any]:
    """Pixels on a regular lattice, at most `SAMPLE` of them, in one dimension."""
    height, width = image.shape
    step = 1
    while -(-height // step) * -(-width // step) > SAMPLE:
        step += 1
    return image[::step, ::step].ravel()
