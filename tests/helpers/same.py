"""Equality of messages, arrays and NaN included."""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct


def same(left: object, right: object) -> bool:
    """Say whether two values are of the same type and hold the same, field by field.

    Arrays are compared by dtype, shape and bytes; a NaN equals a NaN; lists equal tuples, since
    the wire knows one kind of list.
    """
    if isinstance(left, Struct):
        return type(left) is type(right) and all(
            same(getattr(left, name), getattr(right, name)) for name in left.__struct_fields__
        )
    if isinstance(left, np.ndarray):
        return (
            isinstance(right, np.ndarray)
            and left.dtype == right.dtype
            and left.shape == right.shape
            and left.tobytes() == right.tobytes()
        )
    if isinstance(left, list | tuple):
        return (
            isinstance(right, list | tuple)
            and len(left) == len(right)
            and all(same(a, b) for a, b in zip(left, right, strict=True))
        )
    if isinstance(left, dict):
        return (
            isinstance(right, dict)
            and left.keys() == right.keys()
            and all(same(left[key], right[key]) for key in left)
        )
    if isinstance(left, float) and math.isnan(left):
        return isinstance(right, float) and math.isnan(right)
    return type(left) is type(right) and left == right
