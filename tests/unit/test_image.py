"""What may enter as a parent image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from pipeline import as_image

REAL = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_real_number_type_and_byte_order_enters_with_its_values(
    dtype: str, order: Literal["<", ">"]
) -> None:
    came = np.arange(12).reshape(3, 4).astype(np.dtype(dtype).newbyteorder(order))
    image = as_image(came)
    assert image.dtype.isnative
    assert image.flags.c_contiguous
    assert np.array_equal(image, came)


@pytest.mark.parametrize("view", [np.asfortranarray, np.transpose, np.fliplr, lambda a: a[::2]])
def test_every_memory_layout_enters_with_its_values(
    view: Callable[[NDArray[np.uint16]], NDArray[np.uint16]],
) -> None:
    came = view(np.arange(48, dtype=np.uint16).reshape(6, 8))
    image = as_image(came)
    assert image.flags.c_contiguous
    assert np.array_equal(image, came)


def test_a_plain_image_is_not_copied_nor_can_it_be_written_to() -> None:
    came = np.zeros((4, 4), np.uint16)
    image = as_image(came)
    assert np.shares_memory(image, came)
    assert not image.flags.writeable
    assert came.flags.writeable


def test_nested_lists_enter() -> None:
    assert as_image([[1, 2], [3, 4]]).shape == (2, 2)


def finite_but_one() -> NDArray[np.float64]:
    image = np.full((3, 3), np.nan)
    image[1, 1] = 7.0
    return image


def test_one_finite_pixel_is_enough() -> None:
    assert as_image(finite_but_one()).shape == (3, 3)


@pytest.mark.parametrize(
    ("came", "said"),
    [
        (np.zeros(5), r"1-D with shape \(5,\)"),
        (np.zeros((4, 5, 3)), r"3-D with shape \(4, 5, 3\) \(a colour picture\)"),
        (np.zeros((9, 5, 5)), r"3-D with shape \(9, 5, 5\) \(a stack of pictures\)"),
        (7, r"0-D"),
        (np.zeros((2, 2), complex), "numbers of type complex128"),
        (np.zeros((2, 2), bool), "numbers of type bool"),
        (np.zeros((2, 2), object), "numbers of type object"),
        (np.zeros((2, 2), "M8[s]"), "numbers of type datetime64"),
        (np.zeros((2, 2), np.longdouble), "numbers of type (float128|longdouble)"),
        ([["a", "b"]], "numbers of type <U1"),
        ([[1, 2], [3]], "rows of unequal length"),
        (np.zeros((0, 5)), r"empty, with shape \(0, 5\)"),
        (np.full((2, 2), np.nan), "2 x 2 pixels of which none is finite"),
        (np.full((2, 2), np.inf), "none is finite"),
    ],
)
def test_what_cannot_be_a_picture_is_refused_by_name_with_what_came_and_what_was_expected(
    came: ArrayLike, said: str
) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        as_image(came, name="survey")
    assert str(refused.value).startswith("survey: ")
    assert "expected a 2-D array" in str(refused.value)
