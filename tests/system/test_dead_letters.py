"""Frames that kill and frames that raise, in real processes; what is told of them; another try."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.detectors.files import read_image
from services.megalibrary import write_megalibrary
from tests.helpers.command import haadflow
from tests.helpers.soak import soak
from tests.helpers.up import Up

pytestmark = pytest.mark.system

N = 10
BROKEN = """
import os, sys
if "worker" in sys.orig_argv and "clustering" in sys.orig_argv:
    from services import clustering
    handle = clustering.Clustering.handle

    def broken(self, frame):
        if os.path.exists({flag!r}):
            name = os.path.basename(frame.envelope.metadata.parent_id)
            if name == {aborts!r}:
                os.abort()
            if name == {raises!r}:
                raise ZeroDivisionError("no such phase")
        return handle(self, frame)

    clustering.Clustering.handle = broken
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library") / "images"
    write_megalibrary(folder, N, seed=8, sizes=(96,))
    return folder


@pytest.fixture
def flag(tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """While this file is there, clustering aborts on one image and raises on another."""
    flag = tmp_path / "broken"
    flag.touch()
    folder = tmp_path / "site"
    folder.mkdir()
    aborts, raises, *_ = names(library)
    text = BROKEN.format(flag=str(flag), aborts=aborts, raises=raises)
    (folder / "sitecustomize.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return flag


def names(library: Path) -> list[str]:
    return sorted(path.name for path in library.glob("*.png"))


def dead_letters(out: Path) -> dict[str, dict[str, Any]]:
    done = haadflow("deadletter", "list", out, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["dead_letters"]
    return {Path(row["parent_id"]).name: row for row in rows}


def account(out: Path) -> dict[str, int]:
    done = haadflow("verify", out, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found


def test_of_a_frame_that_aborts_and_one_that_raises_all_is_told_and_both_are_replayed(
    tmp_path: Path, library: Path, flag: Path
) -> None:
    """A running chain, images from a detector."""
    killer, raiser, *_ = names(library)
    with Up(tmp_path) as chain:
        assert haadflow("send", library, "--topology", chain.topology).returncode == 0
        assert chain.until_ended(N)["failed"] == 2
        found = dead_letters(chain.out)
        assert set(found) == {killer, raiser}
        _tells_of_three_deaths(found[killer])
        _tells_of_one_exception(found[raiser])

        shown = haadflow("deadletter", "show", chain.out, str(found[raiser]["seq"])).stdout
        assert "failed in clustering: ZeroDivisionError: no such phase" in shown
        assert "in broken" in shown, "the traceback"
        shown = haadflow("deadletter", "show", chain.out, found[killer]["parent_id"]).stdout
        assert shown.count("clustering, died, clustering.worker ") == 3

        _exports_what_was_sent(chain.out, found[killer], library / killer, tmp_path / "report")

        flag.unlink()  # the bug is fixed
        done = haadflow("deadletter", "replay", chain.out, "--all")
        assert done.returncode == 0, done.stderr
        assert f"frame {N}, " in done.stdout
        assert "no chain is running" not in done.stdout
        assert chain.until_ended(N + 2)["failed"] == 2
        twice = (str(found[killer]["seq"]), str(found[raiser]["seq"]), found[killer]["parent_id"])
        done = haadflow("deadletter", "replay", chain.out, *twice)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("was replayed before") == 2, done.stdout
        found = dead_letters(chain.out)
        assert {row["replay_outcome"] for row in found.values()} == {"located"}
        books = account(chain.out)
        assert (books["accepted"], books["failed"], books["in_flight"]) == (N + 2, 2, 0)
        down = haadflow("down", "--pictures", "0", "--topology", chain.topology)
        assert down.returncode == 3, down.stderr
    with (chain.out / "frames.csv").open(newline="") as file:
        rows = {row["parent_id"]: row for row in csv.DictReader(file)}
    assert len(rows) == N + 2
    replays = {row["replay_of"]: row for row in rows.values() if row["replay_of"]}
    assert {Path(name).name for name in replays} == {killer, raiser}
    assert all(rows[name]["outcome"] == "failed" for name in replays)
    assert all(row["parent_id"] == f"{name}#2" for name, row in replays.items())


def _tells_of_three_deaths(row: dict[str, Any]) -> None:
    assert row["stage"] == "clustering"
    assert row["reason"] == "3 workers of clustering died or overran their deadline on it"
    assert row["attempts"] == 3
    assert [setback["how"] for setback in row["setbacks"]] == ["died"] * 3
    workers = {setback["worker"] for setback in row["setbacks"]}
    assert len(workers) == 3
    assert all(worker.startswith("clustering.worker ") for worker in workers)
    times = [(setback["begun_unix"], setback["ended_unix"]) for setback in row["setbacks"]]
    assert all(begun <= ended for begun, ended in times)
    assert times == sorted(times)


def _tells_of_one_exception(row: dict[str, Any]) -> None:
    assert row["stage"] == "clustering"
    assert row["reason"] == "ZeroDivisionError: no such phase"
    setback = row["setbacks"][-1]
    assert setback["how"] == "raised ZeroDivisionError"
    assert setback["worker"].startswith("clustering.worker ")


def _exports_what_was_sent(out: Path, row: dict[str, Any], sent: Path, folder: Path) -> None:
    done = haadflow("deadletter", "export", out, str(row["seq"]), "--to", folder)
    assert done.returncode == 0, done.stderr
    stem = f"frame-{row['seq']:06d}"
    image = np.load(folder / f"{stem}.npy")
    assert np.array_equal(image, read_image(sent).image)
    report = json.loads((folder / f"{stem}.json").read_text())
    assert report["setbacks"] == row["setbacks"]
    assert report["metadata"]["parent_id"] == row["parent_id"]
    content = (folder / report["image"]["file"]).read_bytes()
    assert report["image"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert report["exported_by"]["haadflow"]


@soak
def test_in_a_finished_folder_a_replay_waits_for_the_same_run_and_the_account_closes_meanwhile(
    tmp_path: Path, library: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    good, other, *_ = names(library)
    (images / good).write_bytes((library / good).read_bytes())
    broken = images / "no-image.png"
    broken.write_bytes(b"hello")
    out, report = tmp_path / "out", tmp_path / "report"
    run = ("run", images, "--out", out, "--pictures", "0", "--together")
    assert haadflow(*run).returncode == 3
    (letter,) = dead_letters(out).values()
    assert letter["stage"] == "source"
    assert [setback["how"] for setback in letter["setbacks"]] == ["could not read it"]
    seq = str(letter["seq"])

    assert haadflow("deadletter", "export", out, seq, "--to", report).returncode == 0
    assert (report / f"frame-{letter['seq']:06d}.png").read_bytes() == b"hello"
    done = haadflow("deadletter", "show", out, "no-such-frame")
    assert done.returncode == 2
    assert "no such frame has failed" in done.stderr

    status = broken.stat()
    broken.write_bytes((library / other).read_bytes())
    done = haadflow("deadletter", "replay", out, seq)
    assert done.returncode == 0, done.stderr
    assert "no chain is running here; the same `haadflow run` with --out" in done.stdout
    books = account(out)
    assert (books["accepted"], books["failed"], books["in_flight"]) == (3, 1, 1)
    # To the run, the file that was mended is a new image too.
    assert status.st_mtime_ns != broken.stat().st_mtime_ns
    assert haadflow(*run).returncode == 3
    books = account(out)
    assert (books["accepted"], books["located"], books["failed"]) == (4, 3, 1)
    assert dead_letters(out)["no-image.png"]["replay_outcome"] == "located"


def test_where_no_chain_has_written_there_are_no_dead_letters(tmp_path: Path) -> None:
    for arguments in (["list"], ["show", "0"]):
        command, *frame = arguments
        done = haadflow("deadletter", command, tmp_path, *frame)
        assert done.returncode == 2
        assert "no chain has written here" in done.stderr
