"""Multipart messages that no reader may take, each for one reason.

The rule they serve: after any bad message, the next good one is handled as if nothing had happened.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

import msgpack  # type: ignore[import-untyped]  # ships no types

from protocols import FIRST_PART, encode
from protocols.messages import Message

from .wire_examples import EXAMPLES

Parts = list[bytes]


def wire(message: Message) -> Parts:
    """Return a good message's parts as plain bytes."""
    return [bytes(part) for part in encode(message)]


def altered(name: str, change: Callable[[dict[str, Any]], None]) -> Parts:
    """Return an example's parts with its header changed in place."""
    first, header, *buffers = wire(EXAMPLES[name])
    opened = msgpack.unpackb(header)
    change(opened)
    return [first, msgpack.packb(opened), *buffers]


def with_body(name: str, path: str, value: object) -> Parts:
    """Return an example's parts with one field of its body set, as in `envelope.seq`."""

    def change(header: dict[str, Any]) -> None:
        *way, last = path.split(".")
        node = header["body"]
        for step in way:
            node = node[step]
        node[last] = value

    return altered(name, change)


def with_entry(example: str, /, **changes: object) -> Parts:
    """Return an example's parts with the first entry of its manifest changed."""
    return altered(example, lambda header: header["arrays"][0].update(changes))


def raw_header(header: bytes, *buffers: bytes) -> Parts:
    """Return a message with this header."""
    return [FIRST_PART, header, *buffers]


def _framing() -> dict[str, Parts]:
    good = wire(EXAMPLES["survey_image"])
    http = b"GET / HTTP/1.1\r\nHost: localhost:5750\r\nConnection: close\r\n\r\n"
    return {
        "no part": [],
        "one empty part": [b""],
        "two empty parts": [b"", b""],
        "an HTTP request": [http],
        "an HTTP request in two parts": [http, http],
        "a TLS greeting": [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b""],
        "the magic alone": [FIRST_PART],
        "the header first": good[::-1],
        "the magic left out": good[1:],
        "another magic": [b"HG\x01", *good[1:]],
        "the magic in small letters": [b"hf\x01", *good[1:]],
        "a longer magic": [FIRST_PART + b"\x00", *good[1:]],
        "version 0": [b"HF\x00", *good[1:]],
        "version 2": [b"HF\x02", *good[1:]],
        "version 255": [b"HF\xff", *good[1:]],
        "the image left out": good[:2],
        "an image too many": [*good, good[2]],
        "a thousand parts": [*good, *[b""] * 1000],
        "all in one part": [b"".join(good)],
        "an empty part before": [b"", *good],
    }


def _header() -> dict[str, Parts]:
    header = wire(EXAMPLES["accepted"])[1]
    generator = random.Random(1)  # noqa: S311 - reproducible noise, no secret
    claims = {
        "a list of 2**32 - 1 entries": b"\xdd\xff\xff\xff\xff",
        "a map of 2**32 - 1 entries": b"\xdf\xff\xff\xff\xff",
        "text of 2**32 - 1 bytes": b"\xdb\xff\xff\xff\xff",
        "binary of 2**32 - 1 bytes": b"\xc6\xff\xff\xff\xff",
        "an extension of 2**32 - 1 bytes": b"\xc9\xff\xff\xff\xff\x01",
    }
    return {
        "an empty header": raw_header(b""),
        "an empty map": raw_header(b"\x80"),
        "a header cut short": raw_header(header[:-1]),
        "a header with a tail": raw_header(header + b"\x00"),
        "two headers in one part": raw_header(header + header),
        "JSON": raw_header(b'{"type": "Accepted", "body": {}}'),
        "a pickle": raw_header(b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00}\x94."),
        "random bytes": raw_header(generator.randbytes(500)),
        "a header of 2 MiB": raw_header(msgpack.packb({"type": "x" * (1 << 21)})),
        "a header that is a list": raw_header(msgpack.packb([1, 2])),
        "a header that is nil": raw_header(b"\xc0"),
        "the byte MessagePack never uses": raw_header(b"\xc1"),
        "keys that are numbers": raw_header(b"\x81\x01\x02"),
        "text that is not UTF-8": raw_header(b"\x81\xa4type\xa4\xff\xfe\xfd\xfc"),
        "a surrogate in UTF-8": raw_header(b"\x81\xa4type\xa3\xed\xa0\x80"),
        "a time stamp": raw_header(b"\x81\xa4type\xd6\xff\x00\x00\x00\x00"),
        "binary data": raw_header(msgpack.packb({"type": b"Probe", "body": {}})),
        "100 lists inside each other": altered(
            "beat", lambda h: h["body"]["figures"].update(x=_nested(100))
        ),
        "17 maps inside each other": altered("beat", lambda h: h.update(x=_nested_maps(17))),
        "5,000 lists inside each other": raw_header(b"\x81\xa1x" + b"\x91" * 5000 + b"\xc0"),
        "500 lists that each claim 4,096 entries": raw_header(b"\x81\xa1x" + b"\xdc\x10\x00" * 500),
        "a list of 5,000 entries": altered("beat", lambda h: h.update(x=[0] * 5000)),
        "a map of 5,000 entries": altered(
            "beat", lambda h: h.update(x={str(n): n for n in range(5000)})
        ),
        **{what: raw_header(b"\x81\xa4type" + claim) for what, claim in claims.items()},
        "empty binary data in figures": raw_header(
            msgpack.packb({"type": "Answer", "body": {"ok": True, "figures": {"x": b""}}})
        ),
        "an empty binary key": raw_header(
            b"\x82\xa4type\xa6Answer\xa4body\x82\xa2ok\xc3\xa7figures\x81\xc4\x00\x01"
        ),
    }


def _fields() -> dict[str, Parts]:
    return {
        "no type": altered("probe", lambda h: h.pop("type")),
        "a type that is a number": altered("probe", lambda h: h.update(type=1)),
        "a type nobody knows": altered("probe", lambda h: h.update(type="Prober")),
        "a type in small letters": altered("probe", lambda h: h.update(type="probe")),
        "a type of 100,000 letters": altered("probe", lambda h: h.update(type="x" * 100_000)),
        "no body": altered("probe", lambda h: h.pop("body")),
        "a body that is a list": altered("probe", lambda h: h.update(body=[])),
        "a manifest that is a map": altered("probe", lambda h: h.update(arrays={})),
        "a field left out": altered("accepted", lambda h: h["body"].pop("seq")),
        "an envelope that is text": with_body("rejected", "envelope", "x"),
        "a negative seq": with_body("rejected", "envelope.seq", -1),
        "a seq of 2**63": with_body("rejected", "envelope.seq", 2**63),
        "a seq with a fraction": with_body("rejected", "envelope.seq", 1.5),
        "a seq that is a float": with_body("rejected", "envelope.seq", 1.0),
        "a seq that is true": with_body("rejected", "envelope.seq", True),
        "a seq that is text": with_body("rejected", "envelope.seq", "1"),
        "attempt 0": with_body("rejected", "envelope.attempt", 0),
        "an empty run": with_body("rejected", "envelope.run", ""),
        "a run with a line feed": with_body("rejected", "envelope.run", "a\n"),
        "257 stages": altered(
            "rejected",
            lambda h: h["body"]["envelope"].update(stages=h["body"]["envelope"]["stages"] * 129),
        ),
        "an empty parent_id": with_body("rejected", "envelope.metadata.parent_id", ""),
        "a parent_id of 513 letters": with_body(
            "rejected", "envelope.metadata.parent_id", "x" * 513
        ),
        "a parent_id with a NUL": with_body("rejected", "envelope.metadata.parent_id", "a\0b"),
        "a composition from nowhere": with_body(
            "rejected", "envelope.metadata.composition_from", "a guess"
        ),
        "no elements": with_body("rejected", "envelope.metadata.n_elements", 0),
        "more elements than there are": with_body("rejected", "envelope.metadata.n_elements", 119),
        "a pixel size of 0": with_body("rejected", "envelope.metadata.pixel_size_nm", 0.0),
        "a pixel size below 0": with_body("rejected", "envelope.metadata.pixel_size_nm", -1.0),
        "a pixel size of NaN": with_body(
            "rejected", "envelope.metadata.pixel_size_nm", float("nan")
        ),
        "an infinite pixel size": with_body(
            "rejected", "envelope.metadata.pixel_size_nm", float("inf")
        ),
        "a number in extra": with_body("rejected", "envelope.metadata.extra", {"a": 1}),
        "time before 1970": with_body("rejected", "envelope.accepted_unix", -1.0),
        "a reason of 5,000 letters": with_body("rejected", "reason", "x" * 5000),
        "a parent without height": with_body("rejected", "parent_height", 0),
        "a grid of no rows": with_body("grid_image", "grid.rows", 0),
        "a grid of 129 rows": with_body("grid_image", "grid.rows", 129),
        "no clusters": with_body("regions", "k", 0),
        "fewer outcomes than seqs": with_body("closed", "outcomes", ["located"]),
        "an outcome nobody knows": with_body("closed", "outcomes", ["located"] * 2 + ["lost"]),
        "credit below 0": with_body("credit", "frames", -1),
        "a done of three": with_body("credit", "done", [["r", 1, 2]]),
        "a verb nobody knows": with_body("command", "verb", "format"),
        "a receipt nobody knows": with_body(
            "receipts", "receipts", [{"box_id": 1, "status": "done"}]
        ),
        "a box with two receipts": with_body("receipts", "untouched", [2]),
        "a controller called feed": with_body("description", "controller", "feed"),
        "a controller called operator": with_body("description", "controller", "operator"),
        "a window of 65": with_body("description", "window", 65),
        "half a scan grid": with_body("description", "grid_width", None),
        "a point list without points": with_body("description", "points_per_edge", None),
        "an order nobody knows": with_body("batch", "order", "spiral"),
        "another origin": with_body("batch", "origin", "centre"),
        "boxes of no parent": with_body("batch", "parent_width", None),
        "a batch box outside its parent": with_body("batch", "parent_height", 95),
        "fewer boxes than came": with_body("batch", "n_boxes", 2),
    }


def _arrays() -> dict[str, Parts]:
    image = "survey_image"  # (3, 4) of <u2: 24 bytes
    return {
        "another array's name": with_entry(image, name="picture"),
        "a name that is nil": with_entry(image, name=None),
        "an entry that is a list": altered(image, lambda h: h.update(arrays=[[1]])),
        "the same array twice": altered("located", lambda h: h["arrays"][1].update(name="boxes")),
        "objects": with_entry(image, dtype="|O"),
        "objects of NumPy": with_entry(image, dtype="object"),
        "complex numbers": with_entry(image, dtype="<c8", shape=[3, 1]),
        "booleans": with_entry(image, dtype="|b1"),
        "big-endian numbers": with_entry(image, dtype=">u2"),
        "numbers without byte order": with_entry(image, dtype="u2"),
        "text": with_entry(image, dtype="<U2"),
        "records": with_entry(image, dtype="<u2,<u2"),
        "times": with_entry(image, dtype="<M8[s]"),
        "a dtype that is a list": with_entry(image, dtype=["<u2"]),
        "a shape that is a number": with_entry(image, shape=12),
        "a shape that is text": with_entry(image, shape="3,4"),
        "a shape with a float": with_entry(image, shape=[3.0, 4]),
        "a shape with a boolean": with_entry(image, shape=[True, 12]),
        "a negative axis": with_entry(image, shape=[-1, 12]),
        "two negative axes": with_entry(image, shape=[-3, -4]),
        "one axis": with_entry(image, shape=[12]),
        "three axes": with_entry(image, shape=[3, 2, 2]),
        "no axes": with_entry(image, shape=[]),
        "4,000 axes": with_entry(image, shape=[1] * 4000),
        "no pixels": [*with_entry(image, shape=[0, 4])[:2], b""],
        "2**62 bytes claimed": with_entry(image, shape=[2**31 - 1, 2**30]),
        "a product of 2**64 + 32 bytes, which wraps to 32": [
            *with_entry("survey_image_float64", shape=[1824726041, 1263665316])[:2],
            b"\x00" * 32,
        ],
        "an axis of 2**63": with_entry(image, shape=[2**63, 1]),
        "a row too many": with_entry(image, shape=[4, 4]),
        "a row too few": with_entry(image, shape=[2, 4]),
        "a buffer cut short": [*wire(EXAMPLES[image])[:2], b"\x00" * 23],
        "a buffer too long": [*wire(EXAMPLES[image])[:2], b"\x00" * 25],
        "an empty buffer": [*wire(EXAMPLES[image])[:2], b""],
        "boxes of four numbers": with_entry("located", shape=[3, 4]),
        "boxes as floats": with_entry("located", dtype="<f4"),
        "a 16-bit grid image": with_entry("grid_image", dtype="<u2", shape=[3, 2]),
        "a grid image turned": with_entry("grid_image", shape=[4, 3]),
        "labels of another shape": with_entry("regions", shape=[3, 2]),
        "a crop outside its grid": with_body("filtered_crop", "bounding_box.x1", 5),
        "an empty bounding box": with_body("filtered_crop", "bounding_box.x1", 1),
        "a bounding box turned round": with_body("located", "bounding_box.x0", 129),
        "a bounding box outside the parent": with_body("located", "bounding_box.y1", 97),
        "a box outside the parent": _with_boxes([[64, 0, 32], [120, 32, 16]]),
        "a box left of the parent": _with_boxes([[-1, 0, 32], [96, 32, 16]]),
        "a box of no size": _with_boxes([[64, 0, 0], [96, 32, 16]]),
        "a box whose edge overflows": _with_boxes([[64, 0, 2**31 - 1], [96, 32, 16]]),
        "a box of the background": [*wire(EXAMPLES["located"])[:3], b"\x01\x00"],
        "a region for three boxes": [
            *altered("located", lambda h: h["arrays"][1].update(shape=[1]))[:3],
            b"\x01",
        ],
    }


def _with_boxes(boxes: list[list[int]]) -> Parts:
    first, header, _, regions = wire(EXAMPLES["located"])
    return [first, header, b"".join(struct.pack("<3i", *box) for box in boxes), regions]


def _nested(depth: int) -> object:
    node: object = None
    for _ in range(depth):
        node = [node]
    return node


def _nested_maps(depth: int) -> object:
    node: object = 1
    for _ in range(depth):
        node = {"x": node}
    return node


HOSTILE: dict[str, Parts] = {**_framing(), **_header(), **_fields(), **_arrays()}
