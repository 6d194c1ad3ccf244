"""Checks of parameters, worded alike: which field, what came, what was expected."""

from __future__ import annotations


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise ValueError unless low <= value <= high (NaN is not)."""
    if not low <= value <= high:
        raise ValueError(f"{name}: came {value!r}; expected a number from {low} to {high}")


def check_odd(name: str, value: int, low: int, high: int) -> None:
    """Raise ValueError unless `value` is odd and low <= value <= high."""
    if not (low <= value <= high and value % 2 == 1):
        raise ValueError(f"{name}: came {value!r}; expected an odd number from {low} to {high}")
