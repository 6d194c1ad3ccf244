"""What a file says of its picture beside pixels and their size: magnification, voltage, sample."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.composition import SYMBOLS, find_in_name, parse_composition

_MOST_KEYS = 20_000
_DEEPEST = 12
_COMPOSITION_KEYS = frozenset({"composition", "chemicalcomposition", "samplecomposition"})
_SAMPLE_TEXTS = frozenset(
    {"description", "samplename", "sampledescription", "specimen", "sample", "material", "name"}
)


def dotted(tree: object, path: str) -> Any:  # noqa: ANN401 - whatever a file holds there
    """Return what a tree of dictionaries has at `a.b.c`, or None; space and `_` are the same."""
    for step in path.split("."):
        if not isinstance(tree, Mapping):
            return None
        if step in tree:
            tree = tree[step]
            continue
        wanted = step.replace(" ", "_")
        key = next((key for key in tree if str(key).replace(" ", "_") == wanted), None)
        if key is None:
            return None
        tree = tree[key]
    return tree


def instrument_fact(about: Mapping[str, Any], name: str) -> float | None:
    """Return a number such as `magnification` or `beam_energy`, where a file has a sound one.

    rosettasciio leaves it in `metadata`, or says in `mapping` from where to take it.
    """
    instrument = dotted(about.get("metadata"), "Acquisition_instrument")
    for microscope in instrument.values() if isinstance(instrument, Mapping) else ():
        number = _positive(dotted(microscope, name))
        if number is not None:
            return number
    mapping = about.get("mapping")
    for origin, (target, convert) in mapping.items() if isinstance(mapping, Mapping) else ():
        if not str(target).endswith(f".{name}"):
            continue
        value = dotted(about.get("original_metadata"), str(origin))
        try:
            number = _positive(value if convert is None or value is None else convert(value))
        except Exception:  # noqa: BLE001, S112 - a file's value that cannot be converted is none
            continue
        if number is not None:
            return number
    return None


def composition_of(about: Mapping[str, Any]) -> str | None:
    """Return the composition a file states of its sample, as written, or None.

    A field called composition; a description of the sample with amounts that add up to 100, as in
    a file's name; or a list of the sample's elements, then without amounts.
    """
    trees = (about.get("metadata"), about.get("original_metadata"))
    pairs = [pair for tree in trees for pair in _walk(tree)]
    for path, value in pairs:
        if path[-1] in _COMPOSITION_KEYS and isinstance(value, str) and _is_composition(value):
            return value.strip()
    for path, value in pairs:
        owner = path[-2] if len(path) > 1 else ""
        of_sample = owner in {"sample", "specimen"} or path[-1] == "specimen"
        if of_sample and path[-1] in _SAMPLE_TEXTS and isinstance(value, str):
            found = find_in_name(value[:1000])
            if found is not None:
                return found
    elements = dotted(about.get("metadata"), "Sample.elements")
    if isinstance(elements, list | tuple) and elements:
        symbols = [str(each) for each in elements]
        if len(set(symbols)) == len(symbols) and SYMBOLS.issuperset(symbols):
            return "".join(symbols)
    return None


def _is_composition(text: str) -> bool:
    try:
        parse_composition(text)
    except ValueError:
        return False
    return True


def _positive(value: object) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _walk(tree: object) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield (path, value) of the leaves, keys in lower case without spaces; a bounded number."""
    waiting: list[tuple[tuple[str, ...], object]] = [((), tree)]
    seen = 0
    while waiting and seen < _MOST_KEYS:
        path, value = waiting.pop()
        if isinstance(value, Mapping):
            if len(path) < _DEEPEST:
                waiting += [((*path, _key(key)), each) for key, each in value.items()]
            continue
        seen += 1
        if path:
            yield path, value.decode(errors="replace") if isinstance(value, bytes) else value


def _key(key: object) -> str:
    return str(key).lower().replace("_", "").replace(" ", "")
