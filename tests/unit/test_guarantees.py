"""docs/guarantees.md: every test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PAGE = (_ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
_SHOWN = re.sub(r"<!--.*?-->", "", _PAGE, flags=re.DOTALL)
_CITED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", _SHOWN)


@pytest.mark.parametrize(("file", "name"), sorted(set(_CITED)))
def test_a_test_that_is_cited_exists(file: str, name: str) -> None:
    tree = ast.parse((_ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_row_that_claims_something_cites_a_test() -> None:
    tables = re.findall(r"^\| .*proved by \|\n\|[- |]+\n((?:\|.*\n)+)", _SHOWN, re.MULTILINE)
    rows = [row for table in tables for row in table.splitlines()]
    assert len(rows) > 20
    assert all("`tests/" in row.split("|")[-2] for row in rows)


def test_the_picture_has_every_transition_of_the_table() -> None:
    drawn = (_ROOT / "docs" / "draw_frame_states.py").read_text(encoding="utf-8")
    numbers = re.findall(r"^\| (\d+) \|", _SHOWN, re.MULTILINE)
    assert numbers == [str(number) for number in range(1, 14)]
    assert all(re.search(rf'["n]{number}[ "]', drawn) for number in numbers)
