"""Weights for sums of 16-bit numbers that are taken two at a time.

Every processor with vectors multiplies two neighbouring pairs of signed 16-bit numbers and adds
the products in one instruction: twice to six times the work of a 32-bit product, and as exact. So
lines are laid in pairs (0 and 1, 2 and 3, ...), and weights of up to 18 bit are cut into parts of
15 bit at most, which go to the same pair one after the other.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .gaussian import resampling

Number = TypeVar("Number", bound=np.generic)

MOST = 2**15 - 1
"""The largest weight of a part."""

LANES = 8
"""Pairs in a vector, as in `pair_kernels`: lengths are rounded up to whole vectors."""

LineTaps = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64], int]
"""(cells, taps) which pair of lines, and its two weights as one number; (cells,) how many pairs of
lines are needed for a cell and all before it; how many have to be at hand, a power of two."""

PixelTaps = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int16]]
"""(cells + 1,) where the vectors of a cell begin, and those of the next; (vectors,) the first pixel
of each; (16 * vectors,) its weights."""

WindowTaps = tuple[NDArray[np.int64], NDArray[np.int32]]
"""(taps,) which line of those around one the pair starts with; its two weights as one number."""


@lru_cache(maxsize=64)
def line_taps(pixels: int, cells: int) -> LineTaps:
    """Weights of `resampling` for sums down a picture's lines. Read-only."""
    first, weights = resampling(pixels, cells)
    lists = []
    for start, line in zip(first.tolist(), weights.tolist(), strict=True):
        lead = start % 2
        parts = _parts([0] * lead + line)
        lists.append([(start // 2 + at, pair) for part in parts for at, pair in _pairs(part)])
    pairs, packed = _table(lists)
    needed = np.maximum.accumulate(pairs.max(axis=1) + 1)
    held = int((needed - pairs.min(axis=1)).max())
    return _frozen(pairs), _frozen(packed), _frozen(needed), 1 << (held - 1).bit_length()


@lru_cache(maxsize=64)
def pixel_taps(pixels: int, cells: int) -> PixelTaps:
    """Weights of `resampling` for sums along a line, in vectors. Read-only."""
    first, weights = resampling(pixels, cells)
    length = 2 * LANES
    ends: list[int] = [0]
    places: list[int] = []
    vectors: list[list[int]] = []
    for start, line in zip(first.tolist(), weights.tolist(), strict=True):
        for part in _parts(line):
            for at in range(0, len(part), length):
                vector = part[at : at + length]
                if any(vector):
                    places.append(start + at)
                    vectors.append(vector + [0] * (length - len(vector)))
        ends.append(len(vectors))
    bounds, starts = np.array(ends, np.int64), np.array(places, np.int64)
    return _frozen(bounds), _frozen(starts), _frozen(np.array(vectors, np.int16).ravel())


@lru_cache(maxsize=64)
def window_taps(weights: bytes) -> WindowTaps:
    """Weights of a window, for pairs that start at every line.

    Parameters
    ----------
    weights : bytes
        Of an int32 array: hashable.

    Returns
    -------
    WindowTaps
        Read-only.
    """
    parts = _parts(np.frombuffer(weights, np.int32).tolist())
    taps = [(2 * at, pair) for part in parts for at, pair in _pairs(part)]
    starts, packed = _table([taps])
    return _frozen(starts[0]), _frozen(packed[0])


def _parts(weights: list[int]) -> list[list[int]]:
    """Cut weights into lists that add up to them, of numbers from 0 to `MOST`; at least one."""
    parts: list[list[int]] = []
    while not parts or any(weights):
        parts.append([min(weight, MOST) for weight in weights])
        weights = [weight - part for weight, part in zip(weights, parts[-1], strict=True)]
    return parts


def _pairs(weights: list[int]) -> list[tuple[int, int]]:
    """List pairs by place, each as one number, the first weight below; of zeros, at most one."""
    padded = [*weights, 0]
    pairs = [padded[at] | padded[at + 1] << 16 for at in range(0, len(weights), 2)]
    return [(at, pair) for at, pair in enumerate(pairs) if pair] or [(0, 0)]


def _table(
    lists: list[list[tuple[int, int]]],
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Make the lists equally long: the last place again, with weights of 0."""
    longest = max(map(len, lists))
    whole = [line + [(line[-1][0], 0)] * (longest - len(line)) for line in lists]
    table = np.array(whole, dtype=np.int64)
    places, pairs = np.moveaxis(table, -1, 0)
    return np.ascontiguousarray(places), pairs.astype(np.int32)


def _frozen(array: NDArray[Number]) -> NDArray[Number]:
    """Make read-only: the tables are shared by all callers."""
    array.setflags(write=False)
    return array
