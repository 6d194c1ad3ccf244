"""`haadflow run` as a user meets it: real processes, real sockets, real files, real kills."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipeline import process
from services.detectors.files import read_image
from services.megalibrary import write_megalibrary
from services.runtime.ledger import Ledger, LedgerError
from services.runtime.places import Places
from tests.helpers.command import COMMAND, environment, haadflow, start, wait_for_services
from tests.helpers.garbage import make_garbage, particle, png
from tests.helpers.wait import until

pytestmark = pytest.mark.system

N = 300
"""Enough to be killed in the middle of."""
CHAIN = 10
"""Four queues, four workers, source and sink."""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A megalibrary of small images."""
    folder = tmp_path_factory.mktemp("library") / "images"
    write_megalibrary(folder, N, seed=5, sizes=(96,))
    return folder


@pytest.fixture(scope="session")
def undisturbed(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run that nothing happens to writes."""
    out = tmp_path_factory.mktemp("undisturbed")
    done = haadflow("run", library, "--out", out, "--pictures", "4")
    assert done.returncode == 0, done.stderr
    return out


def rows(out: Path, table: str) -> list[dict[str, str]]:
    with (out / table).open(newline="") as file:
        return list(csv.DictReader(file))


def boxes_of(out: Path) -> list[tuple[str, ...]]:
    columns = ("parent_id", "box_id", "x_px", "y_px", "size_px", "region")
    return [tuple(row[c] for c in columns) for row in rows(out, "boxes.csv")]


def account_of(out: Path) -> dict[str, int]:
    done = haadflow("verify", out, "--json")
    account: dict[str, int] = json.loads(done.stdout)
    return account


def wait_until_streaming(out: Path, running: subprocess.Popen[str]) -> None:
    """Return when some frames are closed and most are open."""

    def streams() -> bool:
        try:
            with Ledger(Places(out).ledger, read_only=True) as ledger:
                return 0 < ledger.open_count() < ledger.accepted() - 20
        except LedgerError:
            return False

    until(streams, [psutil.Process(running.pid)], deadline_s=60)


def test_every_image_becomes_a_row_and_the_account_closes(undisturbed: Path) -> None:
    frames = rows(undisturbed, "frames.csv")
    assert len(frames) == N
    assert {row["composition_from"] for row in frames} == {"table"}
    verified = haadflow("verify", undisturbed, "--json")
    assert verified.returncode == 0
    account = json.loads(verified.stdout)
    assert account["accepted"] == N == account["located"] + account["rejected"]
    assert account["located"] > 0.9 * N
    assert account["closes"]


def test_the_chain_finds_what_a_notebook_finds(undisturbed: Path, library: Path) -> None:
    frames = rows(undisturbed, "frames.csv")
    boxes = rows(undisturbed, "boxes.csv")
    for frame in frames[:6]:
        image = read_image(library / Path(frame["source"]).name).image
        result = process(image, composition=frame["composition"])
        mine = [
            [int(row["x_px"]), int(row["y_px"]), int(row["size_px"])]
            for row in boxes
            if row["parent_id"] == frame["parent_id"]
        ]
        assert np.array_equal(np.array(mine), result.boxes)
        assert int(frame["k"]) == result.k


def test_a_run_of_the_refined_method_finds_what_a_notebook_finds(
    library: Path, tmp_path: Path
) -> None:
    images = sorted(library.glob("*.png"))[:12]
    out = tmp_path / "out"
    done = haadflow("run", *images, "--out", out, "--method", "refined", "--pictures", "1")
    assert done.returncode == 0, done.stderr
    boxes = rows(out, "boxes.csv")
    frames = rows(out, "frames.csv")
    assert len(frames) == len(images)
    for frame in frames:
        image = read_image(Path(frame["source"])).image
        n_elements = int(frame["n_elements"]) if frame["n_elements"] else None
        result = process(image, n_elements=n_elements, method="refined")
        assert frame["outcome"] == result.outcome
        mine = {
            (int(row["x_px"]), int(row["y_px"]), int(row["size_px"]))
            for row in boxes
            if row["parent_id"] == frame["parent_id"]
        }
        assert mine == set(map(tuple, result.boxes.tolist()))
    (first, *_) = (json.loads(line) for line in (out / "boxes.jsonl").read_text().splitlines())
    assert "particles" in json.dumps(first["provenance"])
    again = haadflow("run", *images, "--out", out)
    assert again.returncode == 2
    assert "method was refined, now it is published" in again.stderr
    assert (
        "expected published or refined"
        in haadflow("run", *images, "--out", tmp_path / "other", "--method", "best").stderr
    )


def test_all_files_are_there_and_agree(undisturbed: Path) -> None:
    batches = [json.loads(line) for line in (undisturbed / "boxes.jsonl").read_text().splitlines()]
    assert len(batches) == N
    assert sum(batch["n_boxes"] for batch in batches) == len(rows(undisturbed, "boxes.csv"))
    summary = json.loads((undisturbed / "summary.json").read_text())
    assert summary["account"]["closes"]
    assert summary["frames"] == {k: account_of(undisturbed)[k] for k in summary["frames"]}
    assert len(list((undisturbed / "overlays").glob("*.png"))) == 4
    assert (undisturbed / "contact_sheet.png").exists()


def test_the_same_command_again_changes_nothing(
    library: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    again = haadflow("run", library, "--out", out, "--pictures", "0")
    assert again.returncode == 0, again.stderr
    assert "nothing new" in again.stderr
    assert boxes_of(out) == boxes_of(undisturbed)
    assert account_of(out) == account_of(undisturbed)


def test_workers_that_host_all_stages_find_the_same(
    library: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = haadflow("run", library, "--out", out, "--pictures", "0", "--together")
    assert done.returncode == 0, done.stderr
    assert boxes_of(out) == boxes_of(undisturbed)


def test_other_settings_into_the_same_folder_are_refused(library: Path, undisturbed: Path) -> None:
    done = haadflow("run", library, "--out", undisturbed, "--algorithm", "1")
    assert done.returncode == 2
    assert "algorithm was 2, now it is 1" in done.stderr


def test_garbage_becomes_rows_and_the_rest_goes_on(library: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    garbage = make_garbage(folder)
    good = sorted(library.glob("*.png"))[:3]
    for image in good:
        (folder / image.name).write_bytes(image.read_bytes())
    out = tmp_path / "out"
    done = haadflow("run", folder, "--out", out, "--pictures", "20")
    assert done.returncode == 3, done.stderr
    frames = {Path(row["source"]).name: row for row in rows(out, "frames.csv")}
    for image in good:
        assert frames[image.name]["outcome"] == "located"
    for thing in garbage:
        row = frames[thing.path.name]
        if thing.reason is not None:
            assert row["outcome"] == "failed"
            assert re.search(thing.reason, row["reason"])
    verified = haadflow("verify", out)
    assert verified.returncode == 0, verified.stdout


@pytest.mark.parametrize(
    ("victim", "how"),
    [
        ("preprocessing.worker", signal.SIGKILL),
        ("boxing.queue", signal.SIGKILL),
        ("source", signal.SIGKILL),
        ("source", signal.SIGTERM),
        ("sink", signal.SIGKILL),
    ],
)
def test_whatever_is_killed_no_frame_is_lost(
    victim: str, how: signal.Signals, library: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """And JSON on standard output is all there is."""
    out = tmp_path / "out"
    command = [*COMMAND, "run", str(library), "--out", str(out), "--pictures", "0", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as running:
        try:
            services = wait_for_services(running.pid, CHAIN)
            wait_until_streaming(out, running)
            services[victim].send_signal(how)
            output, complaints = running.communicate(timeout=240)
        finally:
            running.kill()
    assert running.returncode == 0, complaints
    assert json.loads(output)["closes"]
    assert "service.died" in Places(out).supervisor_log.read_text()
    assert boxes_of(out) == boxes_of(undisturbed)
    assert haadflow("verify", out).returncode == 0


def test_a_killed_run_goes_on_and_leaves_nothing_running(
    library: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    running = start("run", library, "--out", out, "--pictures", "0")
    services = wait_for_services(running.pid, CHAIN)
    wait_until_streaming(out, running)
    running.kill()
    running.communicate(timeout=10)
    for service in services.values():
        service.wait(timeout=60)  # each ends by itself, its supervisor gone
    left = Path(Places(out).sockets.read_text())
    assert left.is_dir()
    done = haadflow("run", library, "--out", out, "--pictures", "0")
    assert done.returncode == 0, done.stderr
    assert not left.exists()
    assert boxes_of(out) == boxes_of(undisturbed)


def test_ctrl_c_ends_with_130_and_the_same_command_goes_on(
    library: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    running = start("run", library, "--out", out, "--pictures", "0")
    services = wait_for_services(running.pid, CHAIN)
    wait_until_streaming(out, running)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 130, output
    assert not [s for s in services.values() if s.is_running() and s.status() != "zombie"]
    assert haadflow("run", library, "--out", out, "--pictures", "0").returncode == 0
    assert boxes_of(out) == boxes_of(undisturbed)


@pytest.mark.parametrize("victim", ["ledger", "results"])
@pytest.mark.parametrize("command", ["run", "export", "verify"])
def test_a_file_of_the_chain_that_is_garbage_is_named(
    command: str, victim: str, library: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    broken: Path = getattr(Places(out), victim)
    broken.write_bytes(b"garbage" * 1000)
    done = haadflow(command, *((library, "--out", out) if command == "run" else (out,)))
    assert done.returncode in {1, 2}
    assert str(broken) in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_no_address_is_named(library: Path) -> None:
    done = haadflow("send", library, "--to", "garbage")
    assert done.returncode == 2
    assert "cannot connect to 'garbage'" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_no_folder_is_named(library: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for command in (("run", library), ("up",)):
        done = haadflow(*command, "--out", file)
        assert done.returncode in {1, 2}
        assert str(file) in done.stderr
        assert "Traceback" not in done.stderr


def test_a_note_on_sockets_that_was_cut_short_removes_nothing_of_others(
    library: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    Places(out).sockets.write_bytes(b"")
    one_more = tmp_path / "one more.png"
    one_more.write_bytes(png(particle(96)))
    with socket.socket(socket.AF_UNIX) as mine:
        mine.bind(str(tmp_path / "mine.sock"))
        done = haadflow("run", library, one_more, "--out", out, "--pictures", "0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(rows(out, "frames.csv")) == N + 1
    assert (tmp_path / "mine.sock").is_socket()


def test_a_name_that_is_not_utf8_is_refused_for_the_output(library: Path, tmp_path: Path) -> None:
    out = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    for command in (("run", library), ("up",)):
        done = haadflow(*command, "--out", out)
        assert done.returncode == 2
        assert "this name is not UTF-8" in done.stderr
        assert "Traceback" not in done.stderr


def test_sigterm_while_pictures_are_drawn_ends_with_130_and_leaves_no_half_file(
    undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(undisturbed, out)
    for path in out.iterdir():
        if path.is_file() and path.suffix:
            path.unlink()
    running = start("export", out, "--pictures", str(N))
    until((out / "frames.csv").exists, [psutil.Process(running.pid)])
    running.send_signal(signal.SIGTERM)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 130, output
    assert "Traceback" not in output
    assert not list(out.rglob("*.partial*"))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "nowhere", "--out", "o"], "there is no such file"),
        (["run", ".", "--out", "o", "--workers", "boxing"], "expected STAGE=N"),
        (["run", ".", "--out", "o", "--workers", "boxes=1"], "expected one of quality_gate"),
        (["run", ".", "--out", "o", "--workers", "boxing=1", "--workers", "boxing=1"], "twice"),
        (["run", ".", "--out", "o"], "no images there"),
        (["send", ".", "--to", "tcp://127.0.0.1:99999"], "port 99999; expected 1 to 65535"),
        (["send", ".", "--to", "here"], "'here': expected tcp://HOST:PORT or ipc:///PATH"),
        (["send", ".", "--patience", "inf"], "inf is no number of seconds"),
        (["run", ".", "--out", "."], "choose another folder"),
        (["run", ".", "--out", "o", "--composition", "Xx50"], "Xx"),
        (["verify", "."], "there is no ledger here"),
        (["export", "."], "there are no results here"),
        (["status", "--topology", "nowhere.toml"], "No such file"),
    ],
)
def test_a_wrong_command_is_told_what_is_wrong(
    tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    done = haadflow(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_run_into_the_same_folder_is_refused_and_changes_nothing(
    library: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    write_megalibrary(other, 2, seed=9, sizes=(96,))
    running = start("run", library, "--out", out, "--pictures", "0")
    wait_until_streaming(out, running)
    second = haadflow("run", other, "--out", out)
    output, _ = running.communicate(timeout=240)
    assert second.returncode == 2
    assert "another chain is writing here" in second.stderr
    assert running.returncode == 0, output
    assert boxes_of(out) == boxes_of(undisturbed)
