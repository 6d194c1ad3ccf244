"""Fuzz the codec with atheris: `python -m tests.fuzz.codec [FOLDER] [libFuzzer's options]`.

What comes is a message in one piece, as in the spool. Whatever it is, `assert_handled` must hold:
a message or a `DecodeError`, the quick way and the slow way alike. Half of the mutations are
libFuzzer's, on bytes; the others put another value into some place of the header, or change a part.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import atheris
import msgpack  # type: ignore[import-untyped]  # ships no types

with atheris.instrument_imports(include=["protocols"]):
    from protocols import DecodeError, join_parts, split_parts
    from tests.helpers.hostile_wire import HOSTILE
    from tests.helpers.reads_alike import assert_handled
    from tests.helpers.wire_vectors import VECTORS, committed

FOLDER = Path("fuzz-corpus")
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 16, 255, 256, 4096, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63,
    2**64 - 1, -(2**63), 0.0, -0.0, 0.5, 1e308, float("nan"), float("inf"), float("-inf"),
    "", "x", "\0", "\n", "\u2028", "\U0010ffff", "|u1", "<u2", "<f8", ">u2", "|O", "x" * 600,
    [], [0], [[]], [2**31 - 1, 2**31 - 1], {}, {"": None}, {"x": {"y": [1]}}, b"", b"x",
)  # fmt: skip
"""Values at the edges of what a field may be."""


def test_one(data: bytes) -> None:
    """Give one input to the codec."""
    try:
        parts = split_parts(data)
    except DecodeError:
        return
    assert_handled(parts)


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Change an input: its bytes, or what they mean."""
    draw = random.Random(seed)  # noqa: S311 - reproducible, no secret
    if draw.random() < 0.5:
        return bytes(atheris.Mutate(data, max_size))
    try:
        parts = [bytes(part) for part in split_parts(data)]
        header = msgpack.unpackb(parts[1], strict_map_key=False)
        _put(header, draw)
        parts[1] = msgpack.packb(header)
    except (DecodeError, IndexError, ValueError, TypeError, OverflowError, RecursionError):
        return bytes(atheris.Mutate(data, max_size))
    if draw.random() < 0.2:
        place = draw.randrange(len(parts))
        parts[place] = draw.choice((b"", parts[place][:-1], parts[place] * 2, parts[0]))
    return join_parts(parts)[:max_size]


def _put(header: object, draw: random.Random) -> None:
    """Put an odd value, or one from elsewhere in the header, into some place of it."""
    places: list[tuple[Any, Any]] = []
    values: list[Any] = list(ODD)

    def collect(node: Any) -> None:  # noqa: ANN401 - whatever MessagePack holds
        values.append(node)
        keys: Any = node if isinstance(node, dict) else range(len(node))
        for key in keys if isinstance(node, dict | list) else ():
            places.append((node, key))
            if isinstance(node[key], dict | list):
                collect(node[key])
            else:
                values.append(node[key])

    if isinstance(header, dict | list):
        collect(header)
    node, key = draw.choice(places)
    if isinstance(node, dict) and draw.random() < 0.2:
        node[draw.choice(("x", "type", "envelope", "extra"))] = node.pop(key)
    elif draw.random() < 0.1:
        del node[key]
    else:
        # Packed and unpacked: a value may hold the place it is put into.
        node[key] = msgpack.unpackb(msgpack.packb(draw.choice(values)), strict_map_key=False)


def write_seeds(folder: Path) -> None:
    """Put the committed vectors and the hostile messages where the fuzzer begins."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in committed():
        (folder / f"vector-{name}").write_bytes((VECTORS / f"{name}.bin").read_bytes())
    for number, parts in enumerate(HOSTILE.values()):
        if sum(map(len, parts)) < 1 << 14:
            (folder / f"hostile-{number:03d}").write_bytes(join_parts(parts))


def main() -> None:
    """Fuzz until libFuzzer's options say stop, or something is found."""
    folders = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    folder = Path(folders[0]) if folders else FOLDER
    write_seeds(folder)
    options = [argument for argument in sys.argv[1:] if argument.startswith("-")]
    prefix = f"-artifact_prefix={folder.with_name(folder.name + '-found-')}"
    command = [sys.argv[0], "-max_len=16384", "-rss_limit_mb=1024", prefix, *options, str(folder)]
    atheris.Setup(command, test_one, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
