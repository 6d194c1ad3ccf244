"""docs/wire-format.md says what the code does: a detector is written from it alone."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import msgspec
import pytest

from protocols import DEFAULT_LIMITS, FIRST_PART, bounds, messages
from protocols.arrays import REAL_DTYPES
from protocols.catalogue import BY_NAME
from tests.helpers.wire_vectors import VECTORS

_TEXT = (Path(__file__).parents[2] / "docs" / "wire-format.md").read_text(encoding="utf-8")
_SECTIONS = {
    match["title"]: match["text"]
    for match in re.finditer(
        r"^### (?P<title>\w+)\n(?P<text>.*?)(?=^##)", _TEXT, re.MULTILINE | re.DOTALL
    )
}
_TYPES = sorted(
    value.__name__
    for value in vars(messages).values()
    if isinstance(value, type) and issubclass(value, msgspec.Struct) and value is not msgspec.Struct
)


def _rows(section: str) -> dict[str, str]:
    """Return field name -> its row, of the section's table of fields."""
    return dict(re.findall(r"^\| `(\w+)` \|(.*)\|$", section, re.MULTILINE))


@pytest.mark.parametrize("name", _TYPES)
def test_every_type_has_a_section_with_exactly_its_fields(name: str) -> None:
    fields = [field.name for field in msgspec.structs.fields(getattr(messages, name))]
    assert list(_rows(_SECTIONS[name])) == fields


@pytest.mark.parametrize("name", _TYPES)
def test_every_field_that_may_be_left_out_is_marked_with_its_default(name: str) -> None:
    rows = _rows(_SECTIONS[name])
    for field in msgspec.structs.fields(getattr(messages, name)):
        optional = not field.required
        assert ("default" in rows[field.name]) is optional, field.name


@pytest.mark.parametrize("name", [name for name, kind in BY_NAME.items() if kind.arrays])
def test_every_array_is_described_with_its_dtype(name: str) -> None:
    rows = _rows(_SECTIONS[name])
    for field, rule in BY_NAME[name].arrays.items():
        expected = "any dtype" if rule.dtypes == REAL_DTYPES else rule.dtypes[0]
        assert "array (" in rows[field]
        assert expected in rows[field].replace("&#124;", "|")


def test_no_section_describes_a_message_that_is_not_there() -> None:
    assert sorted(_SECTIONS) == _TYPES


def test_all_dtypes_are_listed() -> None:
    listed = set(re.findall(r"(?<=[`>])[|<][uif]\d(?=[`<])", _TEXT.replace("&#124;", "|")))
    assert listed == set(REAL_DTYPES)


def test_limits_are_those_of_the_reader() -> None:
    table = _TEXT.split("## Limits")[1].split("## Errors")[0]
    said = [int(number) for number in re.findall(r"^\| .* \| (\d+)\b.*\|$", table, re.MULTILINE)]
    assert said == [*asdict(DEFAULT_LIMITS).values(), bounds.LARGEST_EXTENT]
    assert bounds.MANY.max_length == DEFAULT_LIMITS.list_length


@pytest.mark.parametrize(
    ("kind", "bound"),
    [
        ("name", bounds.Name),
        ("formula", bounds.Formula),
        ("parent id", bounds.ParentId),
        ("source", bounds.Source),
        ("note, reason", bounds.Note),
        ("note, reason", bounds.Reason),
        ("long text", bounds.Traceback),
    ],
)
def test_lengths_of_text_are_those_of_the_fields(kind: str, bound: object) -> None:
    said = re.search(rf"^\| {kind} \| (\d+)", _TEXT, re.MULTILINE)
    assert said is not None
    (meta,) = bound.__metadata__  # type: ignore[attr-defined]
    assert int(said[1]) == meta.max_length
    assert ("may be empty" in _TEXT[said.end() : said.end() + 20]) is (meta.min_length is None)


def test_the_hexadecimal_example_is_the_committed_vector() -> None:
    dump = _TEXT.split("```hexdump\n")[1].split("```")[0]
    lines = [re.match(r"[0-9a-f]{4}  ((?:[0-9a-f]{2} )+)", line) for line in dump.splitlines()]
    data = b"".join(bytes.fromhex(line[1]) for line in lines if line)
    assert data == (VECTORS / "offer_bare.bin").read_bytes()


def test_the_magic_is_that_of_the_document() -> None:
    assert FIRST_PART.hex(" ") in _TEXT
