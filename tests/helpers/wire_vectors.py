"""The committed test vectors: bytes and their meaning, side by side.

    python -m tests.helpers.wire_vectors

writes the vectors of examples that have none yet. It never changes one that is there: bytes that
were published as version 1 stay version 1.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET

from protocols import decode, encode, join_parts, split_parts
from protocols.catalogue import BY_NAME
from protocols.messages import Message

from .wire_examples import EXAMPLES

VECTORS = Path(__file__).parents[1] / "contract" / "vectors"


def meaning_of(message: Message) -> dict[str, Any]:
    """Return a message as JSON can hold it: all fields, defaults included, arrays as lists."""
    kind = BY_NAME[type(message).__name__]
    plain = {name: getattr(message, name) for name in kind.plain}
    fields = {name: _all_fields(field) for name, field in plain.items() if field is not UNSET}
    arrays = {name: _array_meaning(getattr(message, name)) for name in kind.arrays}
    return {"type": kind.name, "fields": fields, "arrays": arrays}


def message_of(meaning: dict[str, Any]) -> Message:
    """Make the message that a meaning describes, without the codec."""
    arrays = {
        name: np.array(array["values"], array["dtype"]).reshape(array["shape"])
        for name, array in meaning["arrays"].items()
    }
    return msgspec.convert({**meaning["fields"], **arrays}, BY_NAME[meaning["type"]].type)


def read_vector(name: str) -> tuple[list[memoryview], dict[str, Any]]:
    """Return the parts and the meaning of a committed vector."""
    meaning: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    return split_parts((VECTORS / f"{name}.bin").read_bytes()), meaning


def committed() -> list[str]:
    """Return the names of all vectors, those made by hand included."""
    return sorted(path.stem for path in VECTORS.glob("*.bin"))


def write_missing() -> list[str]:
    """Write the vectors of examples that have none; return their names."""
    written = []
    for name, message in EXAMPLES.items():
        target = VECTORS / f"{name}.bin"
        if not target.exists():
            parts = encode(message)
            target.write_bytes(join_parts(parts))
            text = json.dumps(meaning_of(decode(parts)), indent=1, ensure_ascii=False)
            target.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
            written.append(name)
    return written


def _all_fields(value: object) -> object:
    """Like `msgspec.to_builtins`, with fields that have their default value written out."""
    if isinstance(value, msgspec.Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        return {name: _all_fields(field) for name, field in fields.items() if field is not UNSET}
    if isinstance(value, tuple | list):
        return [_all_fields(each) for each in value]
    if isinstance(value, dict):
        return {name: _all_fields(each) for name, each in value.items()}
    return value


def _array_meaning(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    dtype = array.dtype.newbyteorder("<").str
    return {"dtype": dtype, "shape": list(array.shape), "values": array.tolist()}


if __name__ == "__main__":
    sys.stdout.write("".join(f"written: {name}\n" for name in write_missing()))
