"""A Nion adapter that is told to end in the middle of a box, on the simulated microscope."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from protocols.messages import Outcome
from services.controllers.doses import doses
from services.controllers.nion_files import file_of
from services.feed.entry import Entry
from tests.helpers.command import haadflow
from tests.helpers.environments import environment_of
from tests.helpers.feeding import SIDE, Feeding, fill, located
from tests.helpers.nion import specimen_of

pytestmark = [pytest.mark.system, pytest.mark.microscope]

BOXES = 3
LONG_US = 1e7
"""A position then takes 10 s, and a box of 4 pixels 160 s."""
STOPPED_S = 60.0
"""The scan is over by then only if it was stopped, with a camera too."""


def one_parent(run: str) -> Iterator[Outcome]:
    yield located(run, 0, BOXES)


@pytest.fixture
def feeding(tmp_path: Path) -> Iterator[Feeding]:
    with Feeding(fill(tmp_path / "out", one_parent)) as feeding:
        feeding.start_feed()
        yield feeding


def entry_of(feeding: Feeding) -> Entry:
    with feeding.store() as store:
        (entry,) = store.named("parent-0")
    return entry


@pytest.mark.parametrize("camera", [False, True])
def test_a_sub_scan_that_was_stopped_is_not_kept_and_nobody_says_it_was_acquired(
    feeding: Feeding, tmp_path: Path, camera: bool
) -> None:
    """Neither the process that stopped it nor the next one; it is scanned again if so decided."""
    command = (environment_of("nion") / "bin" / "haadflow",)
    out = feeding.folder("nion")
    specimen = specimen_of(tmp_path, SIDE)
    told = ["--set", f"specimen={specimen}"] + ["--set", "camera=witness_camera"] * camera
    slowly = ["--set", f"dwell_us={LONG_US}", "--set", f"exposure_ms={LONG_US / 1e3}"]
    first = feeding.start_adapter("nion", "nion", *told, *slowly, "--grace", "0", command=command)
    feeding.until((out / "dose.jsonl").exists)
    first.terminate()
    first.wait(STOPPED_S)
    entry = entry_of(feeding)
    (dose,) = doses(out / "dose.jsonl")
    assert (entry.state, entry.receipts) == ("held", {}), feeding.said()
    assert dose.aim is not None
    assert entry.doubtful == [dose.aim.box_id]
    assert not list(out.rglob("*.npz"))

    feeding.start_adapter("nion", "nion", *told, command=command)
    feeding.until(lambda: "recall." in feeding.said())
    entry = entry_of(feeding)
    assert (entry.state, entry.why) == ("held", "nion does not know what became of 1 box")
    done = haadflow("hold", "release", feeding.places.out, "parent-0", "--repeat")
    assert done.returncode == 0, done.stderr
    feeding.until(lambda: entry_of(feeding).state == "done")
    assert entry_of(feeding).count("acquired") == BOXES
    again = [found.aim for found in doses(out / "dose.jsonl")]
    assert again.count(dose.aim) == 2, "it was scanned a second time"
    assert len(again) == BOXES + 1
    image = np.load(specimen, allow_pickle=False)
    with np.load(file_of(out, *dose.aim), allow_pickle=False) as kept:
        x, y, size = kept["box"]
        assert np.array_equal(kept["image"], image[y : y + size, x : x + size])
