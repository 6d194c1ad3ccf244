"""TOML or JSON files into typed settings: everything that is wrong, each with its line.

`tomllib` forgets where a value stood. It is found again with `tomllib` itself: the first of the
file's beginnings that parses and holds the key ends where the key's statement ends, and the longest
one before that ends where it begins.
"""

from __future__ import annotations

import copy
import json
import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec

Key: TypeAlias = tuple[str | int, ...]
"""Such as ("stage", 2, "workers"): the third [[stage]]'s."""
T = TypeVar("T")

LARGEST_BYTES = 1 << 20
MOST_PROBLEMS = 20

_PLACE = re.compile(r" - at `(?:key in )?\$(?P<path>[^`]*)`\Z")
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>\d+)\]")
_NOTHING = object()
_FIELD = re.compile(r"(?:unknown|required) field `(?P<name>[^`]*)`")
_LINE = re.compile(r" \(at line (?P<line>\d+), column \d+\)\Z|: line (?P<json>\d+) column .*\Z")


class SettingsError(ValueError):
    """A file that cannot be read as settings: which, in which line, and why."""


class Problem(NamedTuple):
    """One thing that is wrong."""

    key: Key
    said: str
    name: str = ""
    """Of the key, where its place in the file says less: `stage boxing.work`."""


def read_settings(path: Path) -> tuple[dict[str, Any], str]:
    """Parse a `.toml` or `.json` file; return what it holds, and its text.

    Raises
    ------
    SettingsError
        It cannot be read, is no text, or no TOML (JSON).
    """
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if len(raw) > LARGEST_BYTES:
        raise SettingsError(f"{path}: more than the limit of {LARGEST_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise SettingsError(f"{path}:{line}: byte {error.start} is not UTF-8") from error
    try:
        settings = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except RecursionError as error:
        raise SettingsError(f"{path}: nested too deeply") from error
    except ValueError as error:
        place = _LINE.search(str(error))
        if place is None:
            raise SettingsError(f"{path}: {error}") from error
        said, line_said = str(error)[: place.start()], place["line"] or place["json"]
        raise SettingsError(f"{path}:{line_said}: {said}") from error
    if not isinstance(settings, dict):
        raise SettingsError(f"{path}: expected a table, came a {type(settings).__name__}")
    return settings, text


def convert(settings: dict[str, Any], kind: type[T]) -> tuple[T | None, list[Problem]]:
    """Convert parsed settings, or list what is wrong in them, each key once."""
    rest = copy.deepcopy(settings)
    problems: list[Problem] = []
    while len(problems) < MOST_PROBLEMS:
        try:
            made = msgspec.convert(rest, kind)
        except msgspec.ValidationError as error:
            problem = _problem(error, rest)
            if any(problem.key == known.key for known in problems):
                break  # a key that has to be there, and was wrong
            problems.append(problem)
            if not _remove(rest, problem.key):
                break
        else:
            return (None if problems else made), problems
    return None, problems


def told(path: Path, text: str, problems: Iterable[Problem]) -> str:
    """Return one line a problem: file, line, key, and what is wrong."""
    lines = []
    for key, said, name in problems:
        line = None if path.suffix == ".json" else line_of(text, key)
        place = f"{path}:{line}" if line is not None else f"{path}"
        lines.append(f"{place}: {name or spelt(key)}: {said}" if key else f"{place}: {said}")
    return "\n".join(lines)


def spelt(key: Key) -> str:
    """Return a key as people write it, `stage[2].workers`; [0] is the first."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in key)
    return text.removeprefix(".")


def line_of(text: str, key: Key) -> int | None:
    """Return the line, from 1, in which the statement begins that gives a key its value in TOML.

    Of a key that is not there, it is the line of what should hold it; None if nothing does.
    """
    lines = text.split("\n")
    good: dict[int, object] = {0: {}}

    def beginning(count: int) -> object:
        """Return what the first `count` lines hold; None if they end within a statement."""
        if count not in good:
            try:
                good[count] = tomllib.loads("\n".join(lines[:count]) + "\n")
            except (ValueError, RecursionError):
                good[count] = None
        return good[count]

    whole = beginning(len(lines))
    while key and not _holds(whole, key):
        key = key[:-1]
    if not key:
        return None
    without, holding = 0, len(lines)
    while holding - without > 1:
        middle = (without + holding) // 2
        between = [*range(middle, without, -1), *range(middle + 1, holding)]
        tried = next((count for count in between if beginning(count) is not None), None)
        if tried is None:
            break
        if _holds(beginning(tried), key):
            holding = tried
        else:
            without = tried
    return without + 1


def _holds(node: object, key: Key) -> bool:
    for step in key:
        if isinstance(node, dict):
            node = node.get(step, _NOTHING)
        elif isinstance(node, list) and isinstance(step, int):
            node = node[step] if step < len(node) else _NOTHING
        else:
            return False
    return node is not _NOTHING


def _problem(error: msgspec.ValidationError, settings: object) -> Problem:
    text = str(error)
    place = _PLACE.search(text)
    said = text[: place.start()] if place else text
    key = _steps(place["path"] if place else "")
    field = _FIELD.search(said)
    if field is not None:
        return Problem((*key, field["name"]), said)
    came = _value_at(settings, key)
    if ", got" not in said and isinstance(came, str | int | float):
        said = f"{said}, came {came!r:.80}"
    return Problem(key, said)


def _steps(path: str) -> Key:
    return tuple(
        int(step["index"]) if step["name"] is None else step["name"]
        for step in _STEP.finditer(path)
    )


def _value_at(node: Any, key: Sequence[str | int]) -> Any:  # noqa: ANN401 - what the file holds
    try:
        for step in key:
            node = node[step]
    except (KeyError, IndexError, TypeError):
        return None
    return node


def _remove(settings: dict[str, Any], key: Key) -> bool:
    """Take a wrong entry out, so that the next wrong one is found."""
    if not key or not _holds(settings, key):
        return False
    del _value_at(settings, key[:-1])[key[-1]]
    return True
