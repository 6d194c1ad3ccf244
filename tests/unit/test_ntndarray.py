"""areaDetector's image structure, read as an image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from services.detectors.formats.image import DEFAULT_READ_LIMITS, ReadLimits, UnreadableImage
from tests.helpers.microscope_files import particle

nt = pytest.importorskip("p4p.nt", reason="the extra `epics` is not installed")
from services.detectors.epics.ntndarray import content_of, image_of  # noqa: E402

IMAGE = particle(40, 56)


def published(array: Any, **attributes: object) -> Any:  # noqa: ANN401 - p4p has no types
    return nt.NTNDArray().wrap(array, attrib={"ColorMode": 0, **attributes})


def test_the_dimensions_are_x_first_and_the_image_is_rows_first() -> None:
    value = published(IMAGE)
    assert [dimension.size for dimension in value.dimension] == [56, 40]
    image = image_of(value, DEFAULT_READ_LIMITS)
    assert np.array_equal(image.read.image, IMAGE)
    assert image.content == content_of(IMAGE) != content_of(np.ascontiguousarray(IMAGE.T))


def test_attributes_say_pixel_size_and_composition_and_go_along() -> None:
    value = published(IMAGE, pixel_size_nm=0.25, Composition="Au40Cu60", Gain=3)
    read = image_of(value, DEFAULT_READ_LIMITS).read
    assert read.pixel_size_nm == 0.25
    assert read.composition == "Au40Cu60"
    assert read.extra["pva_Gain"] == "3"
    assert read.extra["content"] == content_of(IMAGE)


@pytest.mark.parametrize(("mode", "axis"), [(2, 2), (3, 1), (4, 0)])
def test_gray_published_as_colour_is_gray(mode: int, axis: int) -> None:
    value = published(np.stack([IMAGE] * 3, axis=axis), ColorMode=mode)
    read = image_of(value, DEFAULT_READ_LIMITS).read
    assert np.array_equal(read.image, IMAGE)
    assert read.notes == ("gray stored as colour",)


def test_what_is_no_plain_image_is_refused() -> None:
    compressed = published(IMAGE)
    compressed.codec.name = "blosc"
    short = published(IMAGE)
    short.value = IMAGE.ravel()[:-1]
    stack = published(np.stack([IMAGE] * 5), ColorMode=0)
    line = published(IMAGE)
    line.dimension = line.dimension[:1]
    for value, reason in (
        (compressed, "compressed by 'blosc'"),
        (short, r"2239 values, but its dimensions \(40, 56\) take 2240"),
        (stack, r"shape \(5, 40, 56\) and ColorMode 0"),
        (line, r"shape \(56,\), expected \(height, width\)"),
    ):
        with pytest.raises(UnreadableImage, match=reason):
            image_of(value, DEFAULT_READ_LIMITS)
    with pytest.raises(UnreadableImage, match="more than the limit"):
        image_of(published(IMAGE), ReadLimits(pixels=100))
