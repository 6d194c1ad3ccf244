"""Which field the Nion adapter scans, on the simulated microscope."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from protocols.messages import Outcome
from services.controllers.nion_files import file_of
from tests.helpers.environments import environment_of
from tests.helpers.feeding import SIDE, Feeding, fill, located
from tests.helpers.nion import specimen_of

pytestmark = [pytest.mark.system, pytest.mark.microscope]

BOXES = 3
PIXEL_NM = 0.5
ENDED_S = 60.0


def one_parent(run: str) -> Iterator[Outcome]:
    yield located(run, 0, BOXES, pixel_size_nm=PIXEL_NM, scan_rotation_deg=0.0)


@pytest.fixture
def feeding(tmp_path: Path) -> Iterator[Feeding]:
    with Feeding(fill(tmp_path / "out", one_parent)) as feeding:
        feeding.start_feed()
        yield feeding


def test_a_specimen_may_be_of_another_height_than_a_nanometre_a_pixel(
    feeding: Feeding, tmp_path: Path
) -> None:
    command = (environment_of("nion") / "bin" / "haadflow",)
    specimen = specimen_of(tmp_path, SIDE)
    told = ["--set", f"specimen={specimen}", "--set", f"field_height_nm={SIDE * PIXEL_NM}"]
    feeding.start_adapter("nion", "nion", *told, command=command)
    feeding.until(lambda: feeding.sums().get("done", (0,))[0] == 1)
    assert feeding.sums()["done"].acquired == BOXES
    image = np.load(specimen, allow_pickle=False)
    with feeding.store() as store:
        (entry,) = store.named("parent-0")
    for box_id in range(BOXES):
        path = file_of(feeding.folder("nion"), entry.run, entry.seq, box_id)
        with np.load(path, allow_pickle=False) as kept:
            x, y, size = kept["box"]
            assert np.array_equal(kept["image"], image[y : y + size, x : x + size])


def test_another_size_than_the_specimens_is_refused_by_name(
    feeding: Feeding, tmp_path: Path
) -> None:
    command = (environment_of("nion") / "bin" / "haadflow",)
    told = ["--set", f"specimen={specimen_of(tmp_path, SIDE)}", "--set", f"height={SIDE + 1}"]
    started = feeding.start_adapter("nion", "nion", *told, command=command)
    assert started.wait(ENDED_S) == 2
    assert f"height, width: ({SIDE + 1}, {SIDE}) came, the specimen" in " ".join(
        feeding.said().split()
    )
