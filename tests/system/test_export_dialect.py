"""`haadflow export --dialect` on a real run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from protocols.messages import Located
from services.controllers.dialects import Parent, autoscript
from services.megalibrary import write_megalibrary
from services.results import ResultStore
from services.runtime.places import Places
from tests.helpers.command import haadflow

pytestmark = pytest.mark.system


def test_a_runs_boxes_are_written_for_instruments_and_what_cannot_be_said_is_named(
    tmp_path: Path,
) -> None:
    write_megalibrary(tmp_path / "images", 2, seed=5, sizes=(96,))
    out = tmp_path / "out"
    assert haadflow("run", tmp_path / "images", "--out", out, "--pictures", "0").returncode == 0
    done = haadflow("export", out, "--dialect", "autoscript")
    assert done.returncode == 0, done.stderr
    folder = out / "instrument" / "autoscript"
    index = json.loads((folder / "batches.json").read_text())
    with ResultStore(Places(out).results) as store:
        located = [result for result in store.results() if isinstance(result, Located)]
    assert [batch["n_boxes"] for batch in index["batches"]] == [len(r.boxes) for r in located]
    for batch, result in zip(index["batches"], located, strict=True):
        parent = Parent(batch["parent_height"], batch["parent_width"])
        read = autoscript.read(parent, (folder / batch["file"]).read_bytes())
        assert np.array_equal(read, result.boxes)
    assert haadflow("export", out, "--dialect", "de-xy", "--order", "nearest").returncode == 0
    index = json.loads((out / "instrument" / "de-xy" / "batches.json").read_text())
    for batch in index["batches"]:
        assert sorted(batch["box_ids"]) == list(range(batch["n_boxes"]))
        lines = (out / "instrument" / "de-xy" / batch["file"]).read_text().splitlines()
        (result,) = [r for r in located if r.envelope.metadata.parent_id == batch["parent_id"]]
        x, y, size = result.boxes[batch["box_ids"]].T
        assert lines == [f"{a},{b}" for a, b in zip(x + size // 2, y + size // 2, strict=True)]
    done = haadflow("export", out, "--dialect", "de-xy", "--grid", "2x2")
    assert done.returncode == 3
    assert [file.name for file in (out / "instrument" / "de-xy").iterdir()] == ["batches.json"]
    assert "fall on positions of a 2 x 2 grid" in " ".join(done.stderr.split())
    done = haadflow("export", out, "--dialect", "word")
    assert done.returncode == 2
    assert "word" in done.stderr
