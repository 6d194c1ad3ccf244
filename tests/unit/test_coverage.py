"""The share of a particle that its boxes cover."""

from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from services.coverage import covered_shares
from services.results import ResultStore, Writer
from services.runtime.places import Places
from tests.helpers.outcomes import located


def test_it_is_that_of_the_truth_mask(tmp_path: Path) -> None:
    outcome = located(0)
    height, width = outcome.grid.parent_height, outcome.grid.parent_width
    boxed = np.zeros((height, width), bool)
    for x, y, size in outcome.boxes.tolist():
        boxed[y : y + size, x : x + size] = True
    missed = ~boxed
    missed[:-1] = False
    assert missed.any()
    truth = tmp_path / "truth"
    truth.mkdir()
    cv2.imwrite(str(truth / "a.png"), (boxed | missed).astype(np.uint8))
    metadata = msgspec.structs.replace(outcome.envelope.metadata, source="/somewhere/a.png")
    envelope = msgspec.structs.replace(outcome.envelope, metadata=metadata)
    places = Places(tmp_path / "out")
    places.make()
    with ResultStore(places.results, writer=Writer.this()) as store:
        store.commit([msgspec.structs.replace(outcome, envelope=envelope), located(1)])
    (share,) = covered_shares(places, tmp_path)
    assert share == pytest.approx(boxed.sum() / (boxed | missed).sum())
