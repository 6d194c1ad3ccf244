"""What comes from the network may be anything: it is a message, or a DecodeError, nothing else."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import msgpack  # type: ignore[import-untyped]  # ships no types
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocols import (
    FIRST_PART,
    DecodeError,
    Limits,
    UnexpectedMessage,
    UnknownVersion,
    decode,
    encode,
    envelope_of,
    offer_number,
    peek,
    split_parts,
    with_attempt,
)
from protocols.catalogue import BY_NAME
from protocols.messages import Accepted, Credit, Message, Offer, Probe, SurveyImage
from tests.helpers.hostile_wire import HOSTILE, Parts, altered, wire, with_body, with_entry
from tests.helpers.same import same
from tests.helpers.wire_examples import EXAMPLES

_GOOD = EXAMPLES["survey_image"]


@pytest.mark.parametrize("parts", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_message_is_refused_and_the_next_good_one_is_read(parts: Parts) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(parts)
    assert 10 < len(str(caught.value)) < 700
    assert same(decode(wire(_GOOD)), _GOOD)


@pytest.mark.parametrize("parts", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_message_costs_little_memory(parts: Parts) -> None:
    tracemalloc.start()
    try:
        with contextlib.suppress(DecodeError):
            decode(parts)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40_000_000  # 1,024 nested lists of 4,096 claimed entries, and no worse


@pytest.mark.parametrize("parts", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("read", [peek, envelope_of, lambda parts: with_attempt(parts, 2)])
def test_a_glance_at_a_hostile_message_raises_nothing_else(
    read: Callable[[Parts], object], parts: Parts
) -> None:
    with contextlib.suppress(DecodeError):
        read(parts)


@pytest.mark.parametrize("version", [0, 2, 72, 255])
def test_another_version_is_told_apart_from_garbage(version: int) -> None:
    with pytest.raises(UnknownVersion, match=f"wire version {version} came, this reader knows 1"):
        decode([b"HF" + bytes([version]), *wire(_GOOD)[1:]])


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_valid_message_of_another_link_is_refused(name: str) -> None:
    message = EXAMPLES[name]
    other = Probe if isinstance(message, Credit) else Credit
    with pytest.raises(UnexpectedMessage, match=rf"expected {other.__name__}, came '\w+'"):
        decode(wire(message), expect=(other,))
    assert same(decode(wire(message), expect=(other, type(message))), message)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        (
            [*wire(_GOOD)[:2], b"12345"],
            r"part 2, field image: 5 bytes came, <u2 of shape \(3, 4\) takes 24",
        ),
        (with_entry("survey_image", dtype=">u2"), "part 2, field image: dtype '>u2', expected"),
        (with_entry("survey_image", shape=[-1, 12]), r"field arrays\[0\].shape: .*came \[-1, 12\]"),
        (with_body("accepted", "seq", -4), "part 1, field body.seq: .*>= 0, came -4"),
        (
            with_body("rejected", "envelope.metadata.parent_id", "x" * 600),
            r"body.envelope.metadata.parent_id: .* came 'x{60}'... \(600 characters\)",
        ),
        ([b"GET / HTTP/1.1", b""], r"part 0: expected b'HF\\x01', came b'GET / HTTP/1.1'"),
    ],
)
def test_a_refusal_names_the_place_what_came_and_what_was_expected(parts: Parts, says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        decode(parts)


def test_fields_and_arrays_of_a_later_minor_version_are_ignored() -> None:
    def add(header: dict[str, Any]) -> None:
        header["note"] = "later"
        header["body"]["mood"] = {"a": [1]}
        header["body"]["envelope"]["colour"] = "red"
        header["body"]["envelope"]["metadata"]["voltage_kv"] = 300
        header["arrays"].insert(0, {"name": "mask", "dtype": "<c16", "shape": [7], "unit": "V"})

    first, header, image = altered("survey_image", add)
    parts = [first, header, b"any bytes", image]
    assert same(decode(parts), _GOOD)
    # A queue that counts a death must not strip them either.
    kept = msgpack.unpackb(with_attempt(parts, 3)[1])
    assert kept["note"] == "later"
    assert kept["body"]["envelope"]["colour"] == "red"


def test_limits_are_the_readers_to_lower() -> None:
    parts = wire(_GOOD)
    with pytest.raises(DecodeError, match="24 bytes, more than the limit of 23"):
        decode(parts, limits=Limits(array_bytes=23))
    with pytest.raises(DecodeError, match="more than the limit of 100"):
        decode(parts, limits=Limits(header_bytes=100))
    with pytest.raises(DecodeError, match="expected 2 to 2 parts, came 3"):
        decode(parts, limits=Limits(parts=2))


def test_a_refusal_can_name_the_offer_even_if_its_image_is_broken() -> None:
    broken = with_entry("offer", dtype="|O")
    with pytest.raises(DecodeError):
        decode(broken, expect=(Offer,))
    assert offer_number(broken) == 41
    assert offer_number([b"GET / HTTP/1.1"]) == 0
    assert offer_number(with_body("offer", "offer", -3)) == 0


@pytest.mark.parametrize("cut", [1, 3, 5, 50, 660])
def test_a_file_of_parts_that_was_cut_short_is_refused(cut: int) -> None:
    joined = b"".join(len(part).to_bytes(4, "little") + part for part in wire(_GOOD))
    with pytest.raises(DecodeError):
        decode(split_parts(joined[:cut]))


def test_a_file_of_endless_parts_is_refused() -> None:
    with pytest.raises(DecodeError, match="more than 10 parts"):
        split_parts(bytes(4) * 1_000_000)


def _decode_or_refuse(parts: Sequence[bytes | memoryview]) -> None:
    try:
        message = decode(parts)
    except DecodeError:
        return
    assert type(message).__name__ in BY_NAME
    encode(message)  # what was taken can be sent on


@given(st.lists(st.binary(max_size=200), max_size=5))
@example([])
def test_random_parts_never_break_the_reader(parts: list[bytes]) -> None:
    _decode_or_refuse(parts)


@given(st.lists(st.binary(max_size=200), max_size=3))
def test_random_headers_never_break_the_reader(parts: list[bytes]) -> None:
    _decode_or_refuse([FIRST_PART, *parts])


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


@given(st.sampled_from(sorted(EXAMPLES)), st.data())
def test_any_value_in_any_field_is_taken_or_refused(name: str, data: st.DataObject) -> None:
    first, raw, *buffers = wire(EXAMPLES[name])
    header = msgpack.unpackb(raw)
    places: list[tuple[dict[str, object] | list[object], object]] = []

    def collect(node: object) -> None:
        if isinstance(node, dict | list):
            for key in list(node) if isinstance(node, dict) else range(len(node)):
                places.append((node, key))
                collect(node[key])

    collect(header)
    node, key = data.draw(st.sampled_from(places))
    node[key] = data.draw(_VALUES)  # type: ignore[call-overload, index]
    _decode_or_refuse([first, msgpack.packb(header), *buffers])


@given(st.sampled_from(sorted(EXAMPLES)), st.data())
def test_changed_bytes_never_break_the_reader(name: str, data: st.DataObject) -> None:
    parts = [bytearray(part) for part in wire(EXAMPLES[name])]
    part = parts[data.draw(st.integers(0, len(parts) - 1))]
    for _ in range(data.draw(st.integers(1, 3))):
        if part:
            part[data.draw(st.integers(0, len(part) - 1))] = data.draw(st.integers(0, 255))
    _decode_or_refuse([bytes(part) for part in parts])


@given(st.sampled_from(sorted(EXAMPLES)), st.data())
def test_a_message_cut_anywhere_is_refused(name: str, data: st.DataObject) -> None:
    parts = wire(EXAMPLES[name])
    index = data.draw(st.integers(0, len(parts) - 1))
    length = data.draw(st.integers(0, max(0, len(parts[index]) - 1)))
    if len(parts[index]) == 0:
        return  # the boxes of a frame without boxes
    cut = [*parts[:index], parts[index][:length], *parts[index + 1 :]]
    with pytest.raises(DecodeError):
        decode(cut)


@given(
    dtype=st.text(max_size=6) | st.sampled_from(["<u2", "|u1", "<f8", "|O", "|V8"]),
    shape=st.lists(st.integers(-(2**63), 2**63), max_size=4) | st.lists(st.integers(0, 30)),
    size=st.integers(0, 200),
)
def test_a_claimed_array_is_exactly_what_came_or_refused(
    dtype: str, shape: list[int], size: int
) -> None:
    parts = [*with_entry("survey_image", dtype=dtype, shape=shape)[:2], bytes(size)]
    try:
        image = decode(parts, expect=(SurveyImage,)).image
    except DecodeError:
        return
    assert image.nbytes == size
    assert list(image.shape) == shape
    assert image.dtype == np.dtype(dtype)


def test_a_message_without_arrays_need_not_list_them() -> None:
    message: Message = Accepted(offer=1, run="r", seq=0)
    first, raw = wire(message)
    header = msgpack.unpackb(raw)
    del header["arrays"]
    assert decode([first, msgpack.packb(header)]) == message
