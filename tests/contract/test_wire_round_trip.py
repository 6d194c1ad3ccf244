"""Whatever encode lets out, decode takes, unchanged and uncopied."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import (
    DecodeError,
    EncodeError,
    Limits,
    decode,
    encode,
    envelope_of,
    fit,
    join_parts,
    peek,
    split_parts,
    with_attempt,
)
from protocols.bounds import REASON_CHARS
from protocols.messages import (
    Beat,
    Failed,
    Frame,
    GridImage,
    Message,
    Offer,
    Probe,
    Rejected,
    SurveyImage,
)
from tests.helpers.same import same
from tests.helpers.wire_examples import BARE, ENVELOPE, EXAMPLES, FIRST, GRID
from tests.helpers.wire_strategies import ANY_MESSAGE, MESSAGES


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_comes_back_as_it_was_sent(name: str) -> None:
    @given(MESSAGES[name])
    def round_trip(message: Message) -> None:
        back = decode([bytes(part) for part in encode(message)], expect=(type(message),))
        assert same(back, message)

    round_trip()


@given(ANY_MESSAGE)
def test_parts_survive_being_joined_for_the_disk(message: Message) -> None:
    parts = [bytes(part) for part in encode(message)]
    assert [bytes(part) for part in split_parts(join_parts(parts))] == parts
    assert same(decode(split_parts(join_parts(parts))), message)


def test_an_image_is_copied_neither_when_encoded_nor_when_decoded() -> None:
    image = np.arange(12, dtype=np.uint16).reshape(3, 4)
    parts = encode(SurveyImage(envelope=FIRST, image=image))
    assert np.shares_memory(np.frombuffer(parts[2], np.uint8), image)
    assert np.shares_memory(decode(parts, expect=(SurveyImage,)).image, image)


def test_a_decoded_array_cannot_be_written_into() -> None:
    image = decode(encode(SurveyImage(envelope=FIRST, image=np.zeros((2, 2))))).image  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="read-only"):
        image[0, 0] = 1


def test_an_array_from_an_odd_address_is_aligned_for_compiled_code() -> None:
    parts = encode(SurveyImage(envelope=FIRST, image=np.arange(12.0).reshape(3, 4)))
    shifted = memoryview(b"x" + bytes(parts[2]))[1:]
    image = decode([parts[0], parts[1], shifted], expect=(SurveyImage,)).image
    assert image.flags.aligned
    assert not image.flags.writeable
    assert np.array_equal(image, np.arange(12.0).reshape(3, 4))


@pytest.mark.parametrize(
    "image",
    [
        np.arange(24, dtype=">u2").reshape(4, 6),
        np.arange(24, dtype=np.uint16).reshape(6, 4).T,
        np.arange(48, dtype=np.int32).reshape(8, 6)[::2, ::-1],
        np.asfortranarray(np.arange(24.0).reshape(4, 6)),
        np.broadcast_to(np.float32(3), (4, 6)),
    ],
    ids=["big-endian", "transposed", "strided", "Fortran order", "broadcast"],
)
def test_an_image_in_any_memory_layout_keeps_its_pixels(image: np.ndarray) -> None:
    back = decode(encode(SurveyImage(envelope=FIRST, image=image)), expect=(SurveyImage,)).image
    assert back.flags.c_contiguous
    assert back.dtype == image.dtype.newbyteorder("=")
    assert np.array_equal(back, image)


def test_numpy_numbers_among_the_findings_are_sent_as_plain_ones() -> None:
    beat = Beat(
        service="s",
        pid=1,
        epoch="e",
        unix=0,
        figures={"a": np.float32(0.5), "b": np.int64(3), "c": [np.bool_(True)]},
    )
    assert decode(encode(beat), expect=(Beat,)).figures == {"a": 0.5, "b": 3, "c": [True]}


def _with_findings(value: object) -> Beat:
    return Beat(service="s", pid=1, epoch="e", unix=0, figures={"x": value})


_IMAGE = np.zeros((2, 2))
_DEEP: object = None
for _ in range(20):
    _DEEP = [_DEEP]


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (SurveyImage(envelope=FIRST, image=np.zeros((2, 2), complex)), "image: dtype '<c16'"),
        (SurveyImage(envelope=FIRST, image=np.zeros((2, 2), object)), r"image: dtype '\|O'"),
        (SurveyImage(envelope=FIRST, image=np.zeros(4)), r"image: shape \(4,\), expected"),
        (SurveyImage(envelope=FIRST, image=np.zeros((0, 4))), "no pixels"),
        (SurveyImage(envelope=FIRST, image=[[1]]), "expected an array, came list"),  # type: ignore[arg-type]
        (GridImage(envelope=FIRST, grid=GRID, image=np.zeros((4, 3), np.uint8)), "the grid says"),
        (
            SurveyImage(envelope=msgspec.structs.replace(FIRST, seq=-1), image=_IMAGE),
            "body.envelope.seq: Expected `int` >= 0, came -1",
        ),
        (Rejected(envelope=FIRST, stage="s", reason="x" * 4097), "body.reason: .* <= 4096"),
        (Rejected(envelope=FIRST, stage="s\n", reason=""), "without control characters"),
        (Rejected(envelope=FIRST, stage="\udcff", reason=""), "surrogates not allowed"),
        (_with_findings(2**64), "Integer value out of range"),
        (_with_findings(object()), "object cannot be sent"),
        (_with_findings(_DEEP), "nested deeper than 16"),
        (_with_findings([0] * 5000), "5000 exceeds"),
        (_with_findings("x" * (1 << 21)), "more than the limit of 1048576"),
        (FIRST, "Envelope is not a message"),
    ],
)
def test_encode_refuses_what_decode_would(message: Message, says: str) -> None:
    with pytest.raises(EncodeError, match=says):
        encode(message)


@given(st.text(st.characters(codec=None), max_size=9000))
def test_any_failure_text_can_be_made_to_fit(text: str) -> None:
    reason = fit(text, REASON_CHARS)
    assert len(reason) <= REASON_CHARS
    decode(encode(Failed(envelope=FIRST, stage="s", reason=reason)))


def test_a_shortened_text_keeps_its_beginning_and_its_end() -> None:
    short = fit("begin " + "x" * 9000 + " end", 100)
    assert short.startswith("begin ")
    assert short.endswith(" end")
    assert "9010 characters" in short
    assert len(short) == 100


_FRAMES = [name for name, message in EXAMPLES.items() if isinstance(message, Frame)]


@pytest.mark.parametrize("name", _FRAMES)
def test_peek_tells_a_frames_identity_without_its_arrays(name: str) -> None:
    message = EXAMPLES[name]
    assert isinstance(message, Frame)
    first, header, *_ = encode(message)
    envelope = message.envelope
    identity = peek([first, header])
    assert identity == (type(message).__name__, envelope.run, envelope.seq, envelope.attempt)
    assert envelope_of([first, header]) == envelope


@pytest.mark.parametrize("name", _FRAMES)
def test_raising_the_attempt_changes_nothing_else(name: str) -> None:
    message = EXAMPLES[name]
    assert isinstance(message, Frame)
    parts = encode(message)
    raised = with_attempt(parts, 9)
    assert all(after is before for after, before in zip(raised[2:], parts[2:], strict=True))
    envelope = msgspec.structs.replace(message.envelope, attempt=9)
    assert same(decode(raised), msgspec.structs.replace(message, envelope=envelope))


@pytest.mark.parametrize("parts", [encode(Probe()), [b"HF\x01", b"\x80"], [b"GET", b""]])
def test_peek_refuses_what_carries_no_frame(parts: list[bytes]) -> None:
    for read in (peek, envelope_of, lambda p: with_attempt(p, 2)):
        with pytest.raises(DecodeError):
            read(parts)


def test_an_attempt_below_one_is_refused() -> None:
    with pytest.raises(EncodeError, match="attempt"):
        with_attempt(encode(Rejected(envelope=ENVELOPE, stage="s", reason="")), 0)


def test_an_image_above_the_limit_is_not_sent() -> None:
    offer = Offer(session="s", offer=1, metadata=BARE, image=np.zeros((10, 10), np.uint8))
    with pytest.raises(EncodeError, match="100 bytes, the limit is 99"):
        encode(offer, limits=Limits(array_bytes=99))
