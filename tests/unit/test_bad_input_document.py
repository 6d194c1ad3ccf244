"""docs/bad-input.md lists every socket that listens, and every limit on images."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from services.runtime.topology import FeedTable, SourceTable, Topology

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "bad-input.md").read_text(encoding="utf-8")


def test_every_address_of_the_shipped_chain_is_listed() -> None:
    listed = set(re.findall(r"^\| `([^`]+)` \|", TEXT, re.MULTILINE))
    topology = Topology.load(ROOT / "deploy" / "topology.toml")
    feed = FeedTable(batches="tcp://127.0.0.1:5770", copies="tcp://127.0.0.1:5771")
    topology = msgspec.structs.replace(topology, feed=feed)
    listening = {re.sub(r"stage \w+", "stage NAME", where) for where, _ in topology.addresses()}
    assert listed == listening


def test_every_limit_on_images_is_listed_with_its_default() -> None:
    limits = {
        field.name: field.default
        for field in msgspec.structs.fields(SourceTable)
        if field.name.startswith("max_")
    }
    rows = {
        name: row.replace(",", "").replace("1 GiB", str(1 << 30)).replace("2 GiB", str(1 << 31))
        for row in TEXT.splitlines()
        for name in re.findall(r"`source\.(max_\w+)`", row)
        if row.startswith("| ")
    }
    assert set(limits) == set(rows)
    assert all(str(default) in rows[name] for name, default in limits.items())
