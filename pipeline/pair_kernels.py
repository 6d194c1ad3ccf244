"""Weighted sums of lines and of pixels, two 16-bit numbers at a time, exact.

A vector holds eight pairs. What is done with it is said in LLVM's own terms, without naming a
processor: it becomes `vpdpwssd` or `vpmaddwd` on x86 and products and sums elsewhere, always with
the same result. Left to itself, the compiler makes products of 32 bit, at a third of the speed.

All of it is in one file, because the cache of compiled kernels notices changes in a kernel's own
file alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import models, register_model
from numpy.typing import NDArray

from .compiled import compiled, emitted

LANES = 8
STRIDE = 4 * LANES
"""Sums made in one go: enough of them to keep a processor's multipliers busy."""

DIGIT = 13
"""Bits: sums are cut into digits of so many, whose own weighted sums stay below 2**31."""

LineTaps = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int64], int]
PixelTaps = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int16]]
WindowTaps = tuple[NDArray[np.int64], NDArray[np.int32]]
"""These three as in `pairs`."""

Counts = tuple[int, int, int, NDArray[np.uint16], NDArray[np.uint16]]
"""The lowest count, the span above it, and what `count_factors` returns."""

PAIRS = ir.VectorType(ir.IntType(32), LANES)
NUMBERS = ir.VectorType(ir.IntType(16), 2 * LANES)
PRODUCTS = ir.VectorType(ir.IntType(32), 2 * LANES)
FIRST = ir.Constant(ir.IntType(32), 0)

Kind: TypeAlias = Any
Machine: TypeAlias = Any
Builder: TypeAlias = Any
Value: TypeAlias = Any
Values: TypeAlias = Sequence[Value]
"""numba and llvmlite have no types: their types, target, builder and values in words."""

Emitted = tuple[Kind, Callable[..., Value]]
"""A signature, and what emits the code for it."""


class _Lanes(types.Type):
    """A vector of eight pairs of 16-bit numbers, or of eight 32-bit sums."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Machine, lanes: _Lanes) -> None:
        super().__init__(manager, lanes, PAIRS)  # type: ignore[no-untyped-call] # it has no types


LANES_TYPE = _Lanes()


@emitted
def _zeros(_: Kind) -> Emitted:
    """Eight sums of 0."""
    return LANES_TYPE(), lambda *_: ir.Constant(PAIRS, [0] * LANES)


@emitted
def _load(_: Kind, line: Kind, _at: Kind) -> Emitted:
    """Eight pairs of a contiguous `line` from element `at` on."""

    def emit(context: Machine, builder: Builder, signature: Kind, values: Values) -> Value:
        loaded = builder.load(_address(context, builder, signature, values))
        loaded.align = 2
        return loaded

    return LANES_TYPE(line, types.intp), emit


@emitted
def _store(_: Kind, line: Kind, _at: Kind, lanes: Kind) -> Emitted:
    """Write eight sums into a contiguous int32 `line` from element `at` on."""

    def emit(context: Machine, builder: Builder, signature: Kind, values: Values) -> Value:
        stored = builder.store(values[2], _address(context, builder, signature, values))
        stored.align = 4
        return context.get_dummy_value()

    return types.void(line, types.intp, lanes), emit


@emitted
def _spread(_: Kind, _pair: Kind) -> Emitted:
    """One pair, an int32, in all eight lanes."""

    def emit(_context: Machine, builder: Builder, _signature: Kind, values: Values) -> Value:
        one = builder.insert_element(_unset(PAIRS), values[0], FIRST)
        return _pick(builder, one, [0] * LANES)

    return LANES_TYPE(types.int32), emit


@emitted
def _add_products(_: Kind, sums: Kind, pairs: Kind, weights: Kind) -> Emitted:
    """Add to each of eight sums the first number by its weight and the second by its weight."""

    def emit(_context: Machine, builder: Builder, _signature: Kind, values: Values) -> Value:
        numbers, factors = (
            builder.sext(builder.bitcast(value, NUMBERS), PRODUCTS) for value in values[1:]
        )
        products = builder.mul(numbers, factors)
        first = _pick(builder, products, range(0, 2 * LANES, 2))
        second = _pick(builder, products, range(1, 2 * LANES, 2))
        return builder.add(values[0], builder.add(first, second))

    return LANES_TYPE(sums, pairs, weights), emit


@emitted
def _total(_: Kind, lanes: Kind) -> Emitted:
    """Add up eight sums, to an int32."""

    def emit(_context: Machine, builder: Builder, _signature: Kind, values: Values) -> Value:
        sums, width = values[0], LANES
        while width > 1:
            width //= 2
            low = _pick(builder, sums, range(width))
            high = _pick(builder, sums, range(width, 2 * width))
            sums = builder.add(low, high)
        return builder.extract_element(sums, FIRST)

    return types.int32(lanes), emit


def _address(context: Machine, builder: Builder, signature: Kind, values: Values) -> Value:
    array = context.make_array(signature.args[0])(context, builder, values[0])
    return builder.bitcast(builder.gep(array.data, [values[1]]), PAIRS.as_pointer())


def _pick(builder: Builder, vector: Value, places: Sequence[int]) -> Value:
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(places)), list(places))
    return builder.shuffle_vector(vector, _unset(vector.type), mask)


def _unset(kind: Kind) -> Value:
    return ir.Constant(kind, ir.Undefined)


@compiled
def shrink_levels(
    image: NDArray[np.uint8],
    taps: tuple[LineTaps, PixelTaps],
    bits: int,
    shrunk: NDArray[Any],
) -> None:
    """Take weighted sums of the parent's lines, and of these sums along x, into `shrunk`.

    `bits` are left out of the sums.
    """
    height, width = image.shape
    (pairs, weights, needed, held), along_x = taps
    lines, sums, digits = _buffers(width, held, 2)
    ready, mask = 0, held - 1
    for row in range(shrunk.shape[0]):
        while ready < needed[row]:
            y = 2 * ready
            _interleave(image[y], image[min(y + 1, height - 1)], lines[ready & mask])
            ready += 1
        _weigh_lines(lines, mask, pairs[row], weights[row], sums)
        _split(sums, digits)
        _weigh_pixels(digits, along_x, bits, shrunk[row])


@compiled
def shrink_counts(
    image: NDArray[np.uint16],
    counts: Counts,
    taps: tuple[LineTaps, PixelTaps],
    bits: int,
    shrunk: NDArray[np.uint8],
) -> None:
    """Do the same with 16-bit counts, brought to steps in whole numbers."""
    height, width = image.shape
    (pairs, weights, needed, held), along_x = taps
    lines, sums, digits = _buffers(width, held, 3)
    steps = np.empty((2, width), np.int16)
    ready, mask = 0, held - 1
    for row in range(shrunk.shape[0]):
        while ready < needed[row]:
            y = 2 * ready
            count_steps(image[y], counts, steps[0])
            count_steps(image[min(y + 1, height - 1)], counts, steps[1])
            _interleave(steps[0], steps[1], lines[ready & mask])
            ready += 1
        _weigh_lines(lines, mask, pairs[row], weights[row], sums)
        _split(sums, digits)
        _weigh_pixels(digits, along_x, bits, shrunk[row])


@compiled
def shrink_scaled(
    image: NDArray[Any],
    scale: tuple[float, float, float],
    taps: tuple[LineTaps, PixelTaps],
    bits: int,
    shrunk: NDArray[Any],
) -> int:
    """Do the same with any numbers; return how many of them are invalid and went in as 0."""
    height, width = image.shape
    (pairs, weights, needed, held), along_x = taps
    lines, sums, digits = _buffers(width, held, 3)
    steps = np.zeros((2, width), np.int16)
    ready, mask, invalid = 0, held - 1, 0
    for row in range(shrunk.shape[0]):
        while ready < needed[row]:
            y = 2 * ready
            invalid += _scale(image[y], scale, steps[0])
            if y + 1 < height:
                invalid += _scale(image[y + 1], scale, steps[1])
            _interleave(steps[0], steps[1], lines[ready & mask])
            ready += 1
        _weigh_lines(lines, mask, pairs[row], weights[row], sums)
        _split(sums, digits)
        _weigh_pixels(digits, along_x, bits, shrunk[row])
    return invalid


@compiled
def correlate(
    picture: NDArray[np.uint8],
    taps: WindowTaps,
    along_y: NDArray[np.int64],
    along_x: NDArray[np.int64],
    sums: NDArray[Any],
) -> None:
    """Weigh the pixels around each pixel, first down, then along x.

    `along_y` and `along_x` say which line and column stand for those around the picture and in it.
    """
    height, width = picture.shape
    whole = (width + STRIDE - 1) // STRIDE * STRIDE
    lines = np.empty((along_y.shape[0], whole), np.int32)
    last = along_y.shape[0] - 1
    for at in range(last + 1):
        _interleave(picture[along_y[at]], picture[along_y[min(at + 1, last)]], lines[at])
    down = np.empty(whole, np.int32)
    around = np.empty(along_x.shape[0], np.int32)
    low = np.zeros(along_x.shape[0] + STRIDE, np.int32)
    high = np.zeros(along_x.shape[0] + STRIDE, np.int32)
    low_sums, high_sums = np.empty(whole, np.int32), np.empty(whole, np.int32)
    starts, weights = taps
    for y in range(height):
        _weigh_lines(lines[y:], -1, starts, weights, down)
        for at in range(around.shape[0]):
            around[at] = down[along_x[at]]
        _pair_digits(around, 0, low)
        _pair_digits(around, DIGIT, high)
        _weigh_along(low, starts, weights, low_sums)
        _weigh_along(high, starts, weights, high_sums)
        target = sums[y]
        for x in range(width):
            target[x] = np.int64(low_sums[x]) + (np.int64(high_sums[x]) << DIGIT)


@compiled
def _buffers(
    width: int, held: int, digits: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int16]]:
    """Make room for pairs of lines, one line of sums, and its digits.

    What lies right of the picture is multiplied by 0.
    """
    whole = (width + STRIDE - 1) // STRIDE * STRIDE
    lines = np.empty((held, whole), np.int32)
    return lines, np.empty(whole, np.int32), np.zeros((digits, whole + 2 * LANES), np.int16)


@compiled
def _scale(
    pixels: NDArray[Any], scale: tuple[float, float, float], steps: NDArray[np.int16]
) -> int:
    """Bring intensities to 0..top, invalid pixels to 0; return how many are invalid."""
    low, gain, top = scale
    invalid = 0
    for x in range(pixels.shape[0]):
        finite = np.isfinite(pixels[x])
        invalid += not finite
        scaled = (np.float64(pixels[x]) - low) * gain if finite else np.float64(0.0)
        steps[x] = np.int16(min(max(scaled, 0.0), top) + 0.5)
    return invalid


@compiled
def count_steps(
    pixels: NDArray[np.uint16],
    counts: Counts,
    steps: NDArray[np.int16],
) -> None:
    """Bring counts to steps as `count_factors` says, in 16 bit throughout.

    NumPy's functions keep the width of their arguments, where operators would go to 64 bit. The
    factors come as whole lines, so that the compiler sees their width, too.
    """
    low, span, shift = np.uint16(counts[0]), np.uint16(counts[1]), np.uint16(counts[2])
    high_factors, low_factors = counts[3], counts[4]
    half, eighths, word = np.uint16(4), np.uint16(3), np.uint32(16)
    for x in range(pixels.shape[0]):
        above = np.left_shift(min(np.subtract(max(pixels[x], low), low), span), shift)
        high, rest = high_factors[x], low_factors[x]
        top = np.uint16(np.right_shift(np.multiply(np.uint32(above), np.uint32(high)), word))
        carried = np.uint16(np.right_shift(np.multiply(np.uint32(above), np.uint32(rest)), word))
        bottom = np.multiply(above, high)
        carry = np.uint16(np.add(bottom, carried) < bottom)
        steps[x] = np.right_shift(np.add(np.add(top, carry), half), eighths)


@compiled
def _interleave(first: NDArray[Any], second: NDArray[Any], pairs: NDArray[np.int32]) -> None:
    """Put two lines of numbers from 0 to 2**15 - 1 side by side."""
    for x in range(first.shape[0]):
        pairs[x] = np.int32(first[x]) | np.int32(second[x]) << np.int32(16)


@compiled
def _weigh_lines(
    lines: NDArray[np.int32],
    mask: int,
    pairs: NDArray[np.int64],
    weights: NDArray[np.int32],
    sums: NDArray[np.int32],
) -> None:
    """Weigh pairs of lines; pair `n` is in line `n & mask`."""
    for x in range(0, sums.shape[0], STRIDE):
        a, b, c, d = _zeros(), _zeros(), _zeros(), _zeros()
        for tap in range(pairs.shape[0]):
            line, weight = lines[pairs[tap] & mask], _spread(weights[tap])
            a = _add_products(a, _load(line, x), weight)
            b = _add_products(b, _load(line, x + LANES), weight)
            c = _add_products(c, _load(line, x + 2 * LANES), weight)
            d = _add_products(d, _load(line, x + 3 * LANES), weight)
        _store(sums, x, a)
        _store(sums, x + LANES, b)
        _store(sums, x + 2 * LANES, c)
        _store(sums, x + 3 * LANES, d)


@compiled
def _weigh_along(
    pairs: NDArray[np.int32],
    starts: NDArray[np.int64],
    weights: NDArray[np.int32],
    sums: NDArray[np.int32],
) -> None:
    """Weigh pairs of pixels, of which one starts at every pixel, around each pixel."""
    for x in range(0, sums.shape[0], STRIDE):
        a, b, c, d = _zeros(), _zeros(), _zeros(), _zeros()
        for tap in range(starts.shape[0]):
            at, weight = x + starts[tap], _spread(weights[tap])
            a = _add_products(a, _load(pairs, at), weight)
            b = _add_products(b, _load(pairs, at + LANES), weight)
            c = _add_products(c, _load(pairs, at + 2 * LANES), weight)
            d = _add_products(d, _load(pairs, at + 3 * LANES), weight)
        _store(sums, x, a)
        _store(sums, x + LANES, b)
        _store(sums, x + 2 * LANES, c)
        _store(sums, x + 3 * LANES, d)


@compiled
def _weigh_pixels(
    digits: NDArray[np.int16], along_x: PixelTaps, bits: int, cells: NDArray[Any]
) -> None:
    """Weigh the pixels of each cell, digit by digit, and leave `bits` out of the sums."""
    bounds, starts, weights = along_x
    low, middle, high = digits[0], digits[1], digits[-1]
    for cell in range(cells.shape[0]):
        a, b, c = _zeros(), _zeros(), _zeros()
        for vector in range(bounds[cell], bounds[cell + 1]):
            at, weight = starts[vector], _load(weights, 2 * LANES * vector)
            a = _add_products(a, _load(low, at), weight)
            b = _add_products(b, _load(middle, at), weight)
            if digits.shape[0] > 2:
                c = _add_products(c, _load(high, at), weight)
        total = np.int64(_total(a)) + (np.int64(_total(b)) << DIGIT)
        if digits.shape[0] > 2:
            total += np.int64(_total(c)) << (2 * DIGIT)
        cells[cell] = total >> bits


@compiled
def _split(sums: NDArray[np.int32], digits: NDArray[np.int16]) -> None:
    """Cut a line of sums into digits."""
    mask = np.int32((1 << DIGIT) - 1)
    for digit in range(digits.shape[0]):
        line, shift = digits[digit], np.int32(DIGIT * digit)
        for x in range(sums.shape[0]):
            line[x] = np.int16((sums[x] >> shift) & mask)


@compiled
def _pair_digits(sums: NDArray[np.int32], shift: int, pairs: NDArray[np.int32]) -> None:
    """Take one digit of the sums, and set each beside the next one."""
    mask, bits, word = np.int32((1 << DIGIT) - 1), np.int32(shift), np.int32(16)
    last = sums.shape[0] - 1
    for x in range(last):
        here, after = (sums[x] >> bits) & mask, (sums[x + 1] >> bits) & mask
        pairs[x] = here | after << word
    pairs[last] = (sums[last] >> bits) & mask
