"""Headers in one step and headers the slow way: the same bytes, messages and words."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import DecodeError, EncodeError, decode, encode, join_parts, split_parts
from protocols.messages import Message
from tests.helpers.hostile_wire import HOSTILE
from tests.helpers.reads_alike import assert_alike, assert_handled, outcome, slowly
from tests.helpers.same import same
from tests.helpers.wire_examples import EXAMPLES
from tests.helpers.wire_strategies import ANY_MESSAGE


@given(ANY_MESSAGE)
def test_messages_are_written_and_read_alike(message: Message) -> None:
    parts = [bytes(part) for part in encode(message)]
    with slowly():
        assert [bytes(part) for part in encode(message)] == parts
    assert_alike(parts)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_quick_way_is_taken_for_what_the_chain_writes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = encode(EXAMPLES[name])
    if len(parts[1]) > 4096:
        pytest.skip("longer than what is read in one step")
    monkeypatch.setattr("protocols.codec.read_header", None)
    assert same(decode(parts), EXAMPLES[name])


@pytest.mark.parametrize("name", HOSTILE)
def test_garbage_is_refused_alike(name: str) -> None:
    assert_alike(HOSTILE[name])


@given(ANY_MESSAGE, st.data())
def test_damaged_headers_are_read_or_refused_alike(message: Message, data: st.DataObject) -> None:
    parts = [bytes(part) for part in encode(message)]
    header = bytearray(parts[1])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(header) - 1))
        how = data.draw(st.sampled_from(("change", "insert", "drop")))
        if how == "drop":
            del header[place]
        else:
            byte = data.draw(st.integers(0, 255))
            header[place : place + (how == "change")] = bytes([byte])
    assert_alike([parts[0], bytes(header), *parts[2:]])


@given(st.data())
def test_two_messages_spliced_into_one_are_read_or_refused_alike(data: st.DataObject) -> None:
    """As a fuzzer does: cuts within the joined bytes, so that lengths and parts shift too."""
    one, other = (join_parts(encode(data.draw(ANY_MESSAGE))) for _ in range(2))
    cut = data.draw(st.integers(0, len(one)))
    rest = data.draw(st.integers(0, len(other)))
    try:
        parts = split_parts(one[:cut] + other[rest:])
    except DecodeError:
        return
    assert_handled(parts)


@given(ANY_MESSAGE)
def test_what_cannot_be_sent_is_refused_alike(message: Message) -> None:
    plain = [name for name in message.__struct_fields__ if name != "image"]
    for name in plain:
        make: Callable[..., Message] = type(message)
        broken = make(
            **{
                field: object() if field == name else getattr(message, field)
                for field in message.__struct_fields__
            }
        )
        quick = outcome(encode, broken)
        with slowly():
            assert outcome(encode, broken) == quick
        assert isinstance(quick, str)
        assert quick.startswith(EncodeError.__name__)
