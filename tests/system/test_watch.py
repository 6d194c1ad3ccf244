"""A folder that fills: real processes, a slow writer, renames, restarts."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from services.megalibrary import write_megalibrary
from services.runtime.ledger import Ledger, LedgerError
from services.runtime.places import Places
from tests.helpers import microscope_files as make
from tests.helpers.command import haadflow, start
from tests.helpers.microscope_files import particle
from tests.helpers.wait import until

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """PNG files, as bytes."""
    folder = tmp_path_factory.mktemp("library") / "images"
    write_megalibrary(folder, 6, seed=5, sizes=(96,))
    return [path.read_bytes() for path in sorted(folder.glob("*.png"))]


class Watching:
    """`haadflow watch`, and what its ledger says."""

    def __init__(self, process: subprocess.Popen[str], out: Path) -> None:
        self.process = process
        self._alive = psutil.Process(process.pid)
        self._out = out
        self.said = ""

    def outcomes(self) -> dict[str, str | None]:
        try:
            with Ledger(Places(self._out).ledger, read_only=True) as ledger:
                outcomes = list(ledger.outcomes())
                known = {seq: ledger.metadata(seq) for seq, _ in outcomes}
        except LedgerError:
            return {}
        names = {seq: meta.parent_id.partition("/")[2] for seq, meta in known.items() if meta}
        return {names[seq]: outcome for seq, outcome in outcomes}

    def wait_for(self, name: str) -> str | None:
        until(lambda: self.outcomes().get(name), [self._alive])
        return self.outcomes()[name]

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        self.said, _ = self.process.communicate(timeout=120)
        return self.process.returncode


@contextmanager
def watching(folder: Path, out: Path, *options: str) -> Iterator[Watching]:
    """Run `haadflow watch` as long as the block."""
    command = ("watch", folder, "--out", out, "--together", "--pictures", "0", "--settle", "0.3")
    process = start(*command, *options)
    try:
        yield Watching(process, out)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def frames_of(out: Path) -> dict[str, dict[str, str]]:
    with (out / "frames.csv").open(newline="") as file:
        return {row["parent_id"].partition("/")[2]: row for row in csv.DictReader(file)}


def test_files_are_taken_when_they_are_whole_each_once_also_after_a_restart(
    images: list[bytes], tmp_path: Path
) -> None:
    pytest.importorskip("rsciio", reason="the extra `microscope` is not installed")
    folder, out = tmp_path / "fills", tmp_path / "out"
    folder.mkdir()
    (folder / "early.png").write_bytes(images[0])
    with watching(folder, out, "--patience", "120") as run:
        assert run.wait_for("early.png") == "located"
        with (folder / "slow.png").open("wb", buffering=0) as slow:
            slow.write(images[1][:1000])
            make.write_ser(folder / "pair_1.ser", particle())
            (folder / "hidden.part").write_bytes(images[2])
            (folder / "hidden.part").rename(folder / "renamed.png")
            assert run.wait_for("renamed.png") == "located"
            # What came after it has settled: half a file, and a SER without its EMI, are not taken.
            assert set(run.outcomes()) == {"early.png", "renamed.png"}
            slow.write(images[1][1000:])
        make.write_emi(folder / "pair.emi")
        assert run.wait_for("slow.png") == "located"
        assert run.wait_for("pair_1.ser") == "located"
        assert run.interrupt() == 0, run.said
    assert set(frames_of(out)) == {"early.png", "renamed.png", "slow.png", "pair_1.ser"}
    batches = [json.loads(line) for line in (out / "boxes.jsonl").read_text().splitlines()]
    assert [b["extra"]["magnification"] for b in batches if b["extra"].get("format") == "SER"] == [
        "160000"
    ]
    # Again, asking the file system as one has to on a network share.
    with watching(folder, out, "--patience", "0.3", "--poll", "100") as run:
        (folder / "broken.png").write_bytes(images[3][:1000])
        assert run.wait_for("broken.png") == "failed"
        (folder / "later.png").write_bytes(images[4])
        assert run.wait_for("later.png") == "located"
        (folder / "broken.png").write_bytes(images[3])
        assert run.wait_for("broken.png#2") == "located"
        assert run.interrupt() == 3, run.said
    assert run.said.count("broken.png: PNG damaged or cut short") == 1
    assert "tried again when it changes" in run.said
    frames = frames_of(out)
    assert set(frames) == {
        *("early.png", "renamed.png", "slow.png", "pair_1.ser"),
        *("broken.png", "later.png", "broken.png#2"),
    }
    listed = haadflow("deadletter", "list", out)
    assert "broken.png" in listed.stdout
    assert "located, frame" in listed.stdout  # as a replay of the dead letter
    assert haadflow("verify", out).returncode == 0


def test_what_is_no_folder_is_told_before_anything_starts(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.touch()
    for wrong, told in ((file, "`haadflow run` takes it"), (tmp_path / "x", "no such folder")):
        done = haadflow("watch", wrong, "--out", tmp_path / "out")
        assert done.returncode == 2
        assert told in done.stderr
    assert not (tmp_path / "out").exists()
