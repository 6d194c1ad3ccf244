"""Arrays on the wire: an entry in the header says what the raw buffer beside it is.

Buffers are C-order (the last axis runs fastest) and little-endian. Nothing is copied on either
side where memory already looks like that.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from .bounds import LARGEST_EXTENT
from .errors import DecodeError, EncodeError, shown
from .limits import Limits

Buffer = bytes | memoryview

# The byte-order mark of one-byte types is "|", as in NumPy's own `dtype.str`.
REAL_DTYPES = ("|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f2", "<f4", "<f8")

_DTYPES: Mapping[str, np.dtype[Any]] = {text: np.dtype(text) for text in REAL_DTYPES}
_SWAPPED = ">" if sys.byteorder == "little" else "="


@dataclass(frozen=True, slots=True)
class ArrayRule:
    """What an array field of a message must be.

    Attributes
    ----------
    dtypes : tuple of str
        The spellings allowed on the wire.
    axes : tuple of (str or int)
        One entry an axis: its name, or its exact length.
    """

    dtypes: tuple[str, ...]
    axes: tuple[str | int, ...]

    def flaw(self, dtype: str, shape: tuple[int, ...]) -> str | None:
        """Say what is wrong with a dtype and a shape, or None."""
        if dtype not in self.dtypes:
            return f"dtype {dtype!r}, expected {' or '.join(self.dtypes)}"
        fits = len(shape) == len(self.axes) and all(
            isinstance(axis, str) or axis == length
            for axis, length in zip(self.axes, shape, strict=True)
        )
        return (
            None if fits else f"shape {shown(shape)}, expected ({', '.join(map(str, self.axes))})"
        )


class Entry(Struct, frozen=True):
    """One line of the header's manifest."""

    name: str
    dtype: str
    shape: tuple[Annotated[int, Meta(ge=0, le=LARGEST_EXTENT)], ...]


def to_wire(name: str, value: object, rule: ArrayRule) -> tuple[Entry, memoryview]:
    """Describe an array and expose its memory.

    Parameters
    ----------
    name : str
        The field's name.
    value : object
        The field's value; must be an ndarray.
    rule : ArrayRule
        What the field must be.

    Returns
    -------
    entry : Entry
        The manifest's entry.
    buffer : memoryview
        Bytes of the array: its own memory if it is C-contiguous and little-endian, else a copy.

    Raises
    ------
    EncodeError
        If it is not an array, or not one the rule allows.
    """
    if not isinstance(value, np.ndarray):
        raise EncodeError(f"{name}: expected an array, came {type(value).__name__}")
    dtype = value.dtype.newbyteorder("<")
    flaw = rule.flaw(dtype.str, value.shape)
    if flaw:
        raise EncodeError(f"{name}: {flaw}")
    plain = np.ascontiguousarray(value)
    if plain.dtype.byteorder == _SWAPPED:
        plain = plain.astype(dtype)
    return Entry(name, dtype.str, value.shape), plain.reshape(-1).view(np.uint8).data


def read_entry(raw: object, index: int) -> Entry:
    """Check one entry of the manifest for its form; `from_wire` checks what it says.

    Raises
    ------
    DecodeError
        If it is not a map of name (str), dtype (str) and shape (list of whole numbers >= 0).
    """
    where = f"arrays[{index}]"
    if not isinstance(raw, dict):
        raise DecodeError(f"expected a map, came {shown(raw)}", part=1, field=where)
    name, dtype, shape = raw.get("name"), raw.get("dtype"), raw.get("shape")
    if not isinstance(name, str):
        raise DecodeError(f"expected text, came {shown(name)}", part=1, field=f"{where}.name")
    if not isinstance(dtype, str):
        raise DecodeError(f"expected text, came {shown(dtype)}", part=1, field=f"{where}.dtype")
    if not isinstance(shape, list) or not all(
        type(length) is int and 0 <= length <= LARGEST_EXTENT for length in shape
    ):
        raise DecodeError(
            f"expected a list of whole numbers from 0 to 2**31 - 1, came {shown(shape)}",
            part=1,
            field=f"{where}.shape",
        )
    return Entry(name, dtype, tuple(shape))


def from_wire(
    entry: Entry, buffer: Buffer, rule: ArrayRule, *, part: int, limits: Limits
) -> NDArray[Any]:
    """Look at a buffer as the array its entry describes, without copying it.

    Parameters
    ----------
    entry : Entry
        What the header says.
    buffer : bytes or memoryview
        What came.
    rule : ArrayRule
        What the message's field must be.
    part : int
        Index of the buffer in the multipart message, for the error.
    limits : Limits
        The largest buffer.

    Returns
    -------
    ndarray
        Read-only, native byte order, aligned, C-order; a copy only where the buffer is not aligned.

    Raises
    ------
    DecodeError
        If dtype, shape or length are not allowed or do not agree. Nothing was allocated.
    """
    flaw = rule.flaw(entry.dtype, entry.shape)
    if flaw:
        raise DecodeError(flaw, part=part, field=entry.name)
    dtype = _DTYPES[entry.dtype]
    expected = dtype.itemsize
    for length in entry.shape:  # Python's integers do not overflow
        expected *= length
    came = buffer.nbytes if isinstance(buffer, memoryview) else len(buffer)
    if came > limits.array_bytes:
        raise DecodeError(
            f"{came} bytes, more than the limit of {limits.array_bytes}",
            part=part,
            field=entry.name,
        )
    if came != expected:
        raise DecodeError(
            f"{came} bytes came, {entry.dtype} of shape {entry.shape} takes {expected}",
            part=part,
            field=entry.name,
        )
    array: NDArray[Any] = np.frombuffer(buffer, np.uint8).view(dtype).reshape(entry.shape)
    if not array.flags.aligned or not dtype.isnative:
        # A small message may begin at any byte of the socket's buffer; compiled kernels expect
        # whole words.
        array = array.astype(dtype.newbyteorder("="))
    array.flags.writeable = False
    return array
