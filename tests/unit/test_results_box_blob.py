"""The blob of boxes gives back exactly what went in, in a few bytes a box."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from services.results.box_blob import pack_boxes, unpack_boxes
from tests.helpers.outcomes import walked

_COUNTS = st.integers(0, 40)


@given(
    boxes=_COUNTS.flatmap(lambda n: hnp.arrays(np.int32, (n, 3))),
    factor=st.sampled_from([1, 4, 8]),
    seed=st.integers(0, 99),
)
def test_any_boxes_come_back_exactly(boxes: NDArray[np.int32], factor: int, seed: int) -> None:
    boxes = boxes // factor * factor
    regions = np.random.default_rng(seed).integers(0, 256, len(boxes)).astype(np.uint8)
    back, back_regions = unpack_boxes(pack_boxes(boxes, regions))
    assert back.dtype == np.int32
    assert back_regions.dtype == np.uint8
    np.testing.assert_array_equal(back, boxes)
    np.testing.assert_array_equal(back_regions, regions)


def test_a_walk_of_551_boxes_takes_less_than_two_bytes_a_box() -> None:
    boxes = walked(1, 551)
    blob = pack_boxes(boxes, np.sort(np.arange(551) % 4 + 1).astype(np.uint8))
    assert len(blob) < 2 * 551


@pytest.mark.parametrize(
    ("boxes", "regions"),
    [
        (np.zeros((2, 3), np.int64), np.zeros(2, np.uint8)),
        (np.zeros((2, 4), np.int32), np.zeros(2, np.uint8)),
        (np.zeros((2, 3), np.int32), np.zeros(3, np.uint8)),
        (np.zeros((2, 3), np.int32), np.zeros(2, np.int32)),
    ],
)
def test_other_shapes_and_dtypes_are_refused(
    boxes: NDArray[np.int32], regions: NDArray[np.uint8]
) -> None:
    with pytest.raises(ValueError, match="expected"):
        pack_boxes(boxes, regions)


@given(cut=st.integers(0, 200), at=st.integers(0, 200), to=st.integers(0, 255))
@example(cut=0, at=54, to=223)
def test_a_damaged_blob_is_an_error_or_the_same_boxes(cut: int, at: int, to: int) -> None:
    boxes, regions = walked(2, 100), np.ones(100, np.uint8)
    blob = pack_boxes(boxes, regions)
    with pytest.raises(ValueError, match="not a blob of boxes"):
        unpack_boxes(blob[: cut % len(blob)])
    # The columns carry a checksum, the 12 bytes before them do not.
    place = 12 + at % (len(blob) - 12)
    if to != blob[place]:
        damaged = blob[:place] + bytes([to]) + blob[place + 1 :]
        try:
            back, _ = unpack_boxes(damaged)
        except ValueError:
            return
        np.testing.assert_array_equal(back, boxes)
