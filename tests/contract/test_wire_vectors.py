"""The committed bytes of version 1 and their meaning, both ways."""

from __future__ import annotations

import pytest

from protocols import decode, encode, join_parts
from protocols.catalogue import BY_NAME
from tests.helpers.same import same
from tests.helpers.wire_examples import EXAMPLES
from tests.helpers.wire_vectors import VECTORS, committed, meaning_of, message_of, read_vector


@pytest.mark.parametrize("name", committed())
def test_bytes_decode_to_their_committed_meaning(name: str) -> None:
    parts, meaning = read_vector(name)
    meaning.pop("note", None)
    assert meaning_of(decode(parts)) == meaning


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_meaning_encodes_to_its_committed_bytes(name: str) -> None:
    _, meaning = read_vector(name)
    made = join_parts(encode(message_of(meaning)))
    assert made == (VECTORS / f"{name}.bin").read_bytes(), (
        "the bytes of version 1 have changed: readers that were written against them will not "
        "understand this build"
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_what_its_vector_means(name: str) -> None:
    assert same(message_of(read_vector(name)[1]), EXAMPLES[name])


def test_every_message_type_has_a_vector_and_every_vector_its_meaning() -> None:
    assert {read_vector(name)[1]["type"] for name in EXAMPLES} == set(BY_NAME)
    assert committed() == sorted(path.stem for path in VECTORS.glob("*.json"))
    foreign = set(committed()) - set(EXAMPLES)
    assert foreign == {"foreign_accepted", "foreign_located"}
