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
FIRST = 20
"""Images that go ahead: when they have ended, the worker has compiled and is at work."""
RATE = 40
"""Images a second: the rest of a stream takes seconds after the kill, on a busy machine too."""

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


def stream_and_kill(chain: Up, images: list[Path]) -> None:
    """SIGKILL the worker, by its process id, while images stream and some are in its hand.

    It is stopped first: frames gather at it then, whatever the machine's speed.
    """
    before = chain.status()
    sending = start("send", *images, "--rate", str(RATE), "--topology", chain.topology)
    chain.until(lambda figures: figures["located"] >= before["located"] + 10)
    (worker,) = chain.processes("refined.worker")
    worker.send_signal(signal.SIGSTOP)
    chain.until(lambda figures: figures["stages"][0]["leased"] > 0)
    worker.kill()
    assert sending.poll() is None, "the stream was over before the kill"
    output, _ = sending.communicate(timeout=120)
    assert sending.returncode == 0, output
    figures = chain.until_ended(before["accepted"] + len(images))
    assert figures["restarts"] == before["restarts"] + 1


def test_a_worker_of_the_refined_stage_killed_in_mid_stream_changes_no_frame_and_no_box(
    library: Path, tmp_path: Path
) -> None:
    with Up(tmp_path, shipped=REFINED) as chain:
        images = sorted(library.rglob("0*.png"), key=lambda path: (path.name, path.parent))
        images = [path for path in images if path.parent.name != "truth"]
        assert haadflow("send", *images[:FIRST], "--topology", chain.topology).returncode == 0
        chain.until_ended(FIRST)
        half = (FIRST + N) // 2
        stream_and_kill(chain, images[FIRST:half])
        stream_and_kill(chain, images[half:])
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
