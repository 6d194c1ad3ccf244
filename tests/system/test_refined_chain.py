"""The refined method as services: its worker is killed in mid-stream, and nothing shows of it."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path

import pytest

from pipeline import process
from services.detectors.files import read_image
from services.megalibrary import write_megalibrary
from tests.helpers.command import haadflow, start
from tests.helpers.up import REFINED, Up

pytestmark = pytest.mark.system

ALONE, SEVERAL = 260, 100
N = ALONE + SEVERAL
RATE = 60
"""Images a second: slow enough that the stream outlasts both kills."""

Box = tuple[int, int, int, int, int]
"""x, y, size, region, particle."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of one particle, and of several."""
    folder = tmp_path_factory.mktemp("library")
    write_megalibrary(folder / "alone", ALONE, seed=21, sizes=(96,))
    write_megalibrary(folder / "several", SEVERAL, seed=22, sizes=(128,), difficulty="several")
    return folder


def rows(out: Path, table: str) -> list[dict[str, str]]:
    with (out / table).open(newline="") as file:
        return list(csv.DictReader(file))


def boxes_by_frame(out: Path) -> dict[str, list[Box]]:
    found: dict[str, list[Box]] = {}
    for row in rows(out, "boxes.csv"):
        x, y, size = int(row["x_px"]), int(row["y_px"]), int(row["size_px"])
        box = (x, y, size, int(row["region"]), int(row["particle"]))
        found.setdefault(row["parent_id"], []).append(box)
    return found


def expected(image: Path, n_elements: int | None) -> tuple[str, list[Box]]:
    """Return what a notebook finds, particle by particle."""
    result = process(read_image(image).image, n_elements=n_elements, method="refined")
    if result.owners is None:
        return result.outcome, []
    columns = (*result.boxes.T.tolist(), result.regions.tolist(), result.owners.tolist())
    boxes: list[Box] = list(zip(*columns, strict=True))
    return result.outcome, sorted(boxes, key=lambda box: box[4])


def kill_the_worker_at_work(chain: Up, *, located: int) -> None:
    """SIGKILL it by its process id when so many frames are located and some are in its hand.

    It is stopped first: frames gather at it then, whatever the machine's speed.
    """
    chain.until(lambda figures: figures["located"] >= located)
    (worker,) = chain.processes("refined.worker")
    worker.send_signal(signal.SIGSTOP)
    figures = chain.until(lambda figures: figures["stages"][0]["leased"] > 0)
    assert figures["located"] < N
    worker.kill()


def test_a_worker_of_the_refined_stage_killed_in_mid_stream_changes_no_frame_and_no_box(
    library: Path, tmp_path: Path
) -> None:
    with Up(tmp_path, shipped=REFINED) as chain:
        images = (library / "alone", library / "several")
        sending = start("send", *images, "--rate", str(RATE), "--topology", chain.topology)
        kill_the_worker_at_work(chain, located=30)
        chain.until(lambda figures: figures["restarts"] == 1)
        kill_the_worker_at_work(chain, located=150)
        assert sending.poll() is None, "the stream was over before the second kill"
        output, _ = sending.communicate(timeout=120)
        assert sending.returncode == 0, output
        figures = chain.until_ended(N)
        assert figures["restarts"] == 2
        down = haadflow("down", "--pictures", "0", "--topology", chain.topology)
        assert down.returncode == 0, down.stderr
    verified = haadflow("verify", chain.out, "--json")
    assert verified.returncode == 0, verified.stderr
    account = json.loads(verified.stdout)
    assert account["accepted"] == N == account["located"] + account["rejected"]
    frames = rows(chain.out, "frames.csv")
    assert len({frame["parent_id"] for frame in frames}) == len(frames) == N
    assert "died" in (chain.out / "boxes.jsonl").read_text()
    found = boxes_by_frame(chain.out)
    assert max(box[4] for boxes in found.values() for box in boxes) > 0
    for frame in frames:
        n_elements = int(frame["n_elements"]) if frame["n_elements"] else None
        outcome, boxes = expected(Path(frame["source"]), n_elements)
        assert frame["outcome"] == outcome, frame["parent_id"]
        assert found.get(frame["parent_id"], []) == boxes, frame["parent_id"]
