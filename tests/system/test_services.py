"""The chain as services: up, send, scale while images stream, status, down."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.megalibrary import write_megalibrary
from services.results import ResultStore
from services.runtime.places import Places
from tests.helpers.command import haadflow, start, wait_for_services
from tests.helpers.up import FEW_CORES, SHIPPED, Up

pytestmark = pytest.mark.system

N = 12
ROUNDS = 40


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with Up(tmp_path) as chain:
        yield chain


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A chain for tests that leave it as it was, with no frame open."""
    with Up(tmp_path_factory.mktemp("standing")) as chain:
        yield chain


@pytest.fixture
def small_spool(tmp_path: Path) -> Iterator[Up]:
    """A chain that takes no more from detectors than it can go on with at once."""
    with Up(tmp_path, {"window_frames = 64": "spool_bytes = 1_000_000"}) as chain:
        yield chain


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library") / "images"
    write_megalibrary(folder, N, seed=6, sizes=(128, 256))
    return folder


class Stream:
    """Senders that follow each other, so that images stream for as long as a test wants."""

    def __init__(self, library: Path, up: Up) -> None:
        self.sent = 0
        self._command = ("send", library, "--repeat", str(ROUNDS), "--topology", up.topology)
        self._up = up
        self._sending = start(*self._command)

    def until(self, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        return self._up.until(lambda figures: self._flows() and done(figures))

    def until_more_located(self) -> None:
        now = self._up.status()["located"]
        self.until(lambda figures: figures["located"] > now)

    def end(self) -> None:
        output, _ = self._sending.communicate(timeout=120)
        assert self._sending.returncode == 0, output
        self.sent += N * ROUNDS

    def _flows(self) -> bool:
        if self._sending.poll() is not None:
            self.end()
            self._sending = start(*self._command)
        return True


def workers_of(figures: dict[str, Any], stage: str) -> int:
    (row,) = [row for row in figures["stages"] if row["stage"] == stage]
    return int(row["workers"])


def test_scaling_and_ending_workers_while_images_stream_leaves_no_trace(
    small_spool: Up, library: Path
) -> None:
    """They finish the frame in hand: none is lost, and none is given out twice."""
    up = small_spool
    stream = Stream(library, up)
    for workers in (1, 4, 1):
        up.scale(f"preprocessing={workers}")
        stream.until(lambda figures: workers_of(figures, "preprocessing") == workers)  # noqa: B023
        stream.until_more_located()
    for worker in up.processes("clustering.worker"):
        worker.terminate()
    stream.until(lambda figures: figures["restarts"] == 1)
    stream.until_more_located()
    stream.end()
    up.until_ended(stream.sent)
    figures = up.until(lambda figures: all(r["done"] == stream.sent for r in figures["stages"]))
    assert figures["accepted"] == figures["located"] == stream.sent
    assert all(row["redelivered"] == 0 for row in figures["stages"])
    with ResultStore(Places(up.out).results) as store:
        assert {outcome.envelope.attempt for outcome in store.results()} == {1}
    down = haadflow("down", "--pictures", "2", "--topology", up.topology)
    assert down.returncode == 0, down.stderr
    assert not psutil.pid_exists(up.pid)
    assert haadflow("verify", up.out).returncode == 0
    assert (up.out / "boxes.csv").exists()
    assert (up.out / "frames.csv").read_text().count("\n") == stream.sent + 1


def test_a_killed_worker_is_replaced_and_its_frame_is_not_lost(standing: Up, library: Path) -> None:
    up, before = standing, standing.status()
    sending = start("send", library, "--repeat", "10", "--topology", up.topology)
    figures = up.until(lambda figures: figures["located"] > before["located"])
    for name, pid in figures["processes"].items():
        if name.startswith("clustering.worker"):
            psutil.Process(pid).kill()
    output, _ = sending.communicate(timeout=120)
    assert sending.returncode == 0, output
    figures = up.until_ended(before["accepted"] + N * 10)
    assert figures["located"] == before["located"] + N * 10
    assert figures["restarts"] == before["restarts"] + 1


@pytest.mark.parametrize("spool", ["true", "false"])
def test_on_few_cores_with_everything_killed_no_frame_is_lost(
    spool: str, library: Path, tmp_path: Path
) -> None:
    """Each worker hosts all stages, the source the queue; without a spool detectors offer again."""
    with Up(tmp_path, {"# spool = false ": f"spool = {spool} #"}, shipped=FEW_CORES) as up:
        assert set(up.status()["processes"]) == {"sink", "source", "image_to_boxes.worker.1"}
        sending = start("send", library, "--repeat", str(ROUNDS), "--topology", up.topology)
        up.until(lambda figures: figures["located"] > 20)
        for count, victim in enumerate(("image_to_boxes.worker", "source", "sink"), 1):
            (process,) = up.processes(victim)
            process.kill()
            up.until(lambda figures: figures["restarts"] == count)  # noqa: B023 - called at once
        output, _ = sending.communicate(timeout=120)
        assert sending.returncode == 0, output
        up.until_ended(N * ROUNDS)
        down = haadflow("down", "--pictures", "2", "--topology", up.topology)
        assert down.returncode == 0, down.stderr
    with (up.out / "frames.csv").open(newline="") as file:
        frames = list(csv.DictReader(file))
    assert len(frames) == N * ROUNDS
    assert {frame["outcome"] for frame in frames} == {"located"}


def test_what_is_asked_wrongly_of_a_chain_is_told_what_is_wrong(standing: Up) -> None:
    for setting, complaint in (
        ("boxes=2", "no stage 'boxes'"),
        ("boxing", "expected STAGE=N"),
        ("boxing=-1", "expected STAGE=N"),
    ):
        done = haadflow("scale", setting, "--topology", standing.topology)
        assert done.returncode == 2
        assert complaint in done.stderr
    done = haadflow("up", "--topology", standing.topology)
    assert done.returncode == 1
    assert "already up" in done.stderr


def test_ctrl_c_while_a_chain_comes_up_leaves_none(tmp_path: Path) -> None:
    sockets = Path(tempfile.mkdtemp(prefix="hf-"))
    topology = tmp_path / "topology.toml"
    topology.write_text(SHIPPED.read_text().replace('"tcp://127.0.0.1:', f'"ipc://{sockets}/'))
    starting = start("up", "--topology", topology, "--out", tmp_path / "out")
    # no chain is up without it, however slow this test is
    held = max(wait_for_services(starting.pid, 8).values(), key=psutil.Process.create_time)
    held.suspend()
    services = wait_for_services(starting.pid, 11)
    starting.send_signal(signal.SIGINT)
    held.resume()
    output, _ = starting.communicate(timeout=60)
    assert starting.returncode == 130, output
    for service in services.values():
        service.wait(timeout=60)
    shutil.rmtree(sockets)


def test_what_is_no_supervisor_is_named(standing: Up, tmp_path: Path) -> None:
    text = standing.topology.read_text()
    swapped = text.replace("/5740", "/x").replace("/5750", "/5740").replace("/x", "/5750")
    topology = tmp_path / "swapped.toml"
    topology.write_text(swapped)
    done = haadflow("status", "--topology", topology)
    assert done.returncode == 1
    assert "is no supervisor" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_chain_that_cannot_start_says_why(tmp_path: Path) -> None:
    topology = tmp_path / "topology.toml"
    text = SHIPPED.read_text().replace("127.0.0.1", "192.0.2.1")
    text = text.replace('"haadflow-out"', json.dumps(str(tmp_path / "out")))
    topology.write_text(text)
    done = haadflow("up", "--topology", topology)
    assert done.returncode == 2
    assert "other machines can reach tcp://192.0.2.1:5740, and there are no keys" in done.stderr
    topology.write_text(text + "\n[security]\nopen_network = true\n")
    done = haadflow("up", "--topology", topology)
    assert done.returncode == 1
    assert "cannot listen on tcp://192.0.2.1" in done.stderr


def test_a_port_that_another_program_has_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        text = SHIPPED.read_text().replace('"tcp://127.0.0.1:', f'"ipc://{tmp_path}/')
        text = text.replace(f'"ipc://{tmp_path}/5820"', json.dumps(address))
        topology = tmp_path / "topology.toml"
        topology.write_text(text)
        done = haadflow("up", "--topology", topology, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert f"cannot listen on {address}: Address already in use" in done.stderr
    assert "preprocessing.queue" in done.stderr


def test_a_folder_that_a_chain_writes_into_is_left_alone(
    standing: Up, library: Path, tmp_path: Path
) -> None:
    """A refused `up` must not change what the other's next restarted process reads."""
    up, before = standing, standing.status()
    known = Places(up.out).topology.read_bytes()
    topology = tmp_path / "second.toml"
    topology.write_text(SHIPPED.read_text().replace('"tcp://127.0.0.1:', f'"ipc://{tmp_path}/'))
    done = haadflow("up", "--topology", topology, "--out", up.out)
    assert done.returncode == 1
    assert "another chain is writing here" in done.stderr
    assert Places(up.out).topology.read_bytes() == known
    for process in up.processes("boxing"):
        process.kill()
    assert haadflow("send", library, "--topology", up.topology).returncode == 0
    assert up.until_ended(before["accepted"] + N)["located"] == before["located"] + N


def test_down_with_frames_open_says_so_and_up_goes_on(up: Up, library: Path) -> None:
    up.scale("boxing=0")
    up.until(lambda figures: workers_of(figures, "boxing") == 0)
    assert haadflow("send", library, "--topology", up.topology).returncode == 0
    down = haadflow("down", "--drain", "0.5", "--pictures", "0", "--topology", up.topology)
    assert down.returncode == 4
    assert f"{N} frames are still open; `haadflow up` goes on with them" in down.stderr
    assert haadflow("up", "--topology", up.topology).returncode == 0
    up.pid = up.status()["pid"]
    down = haadflow("down", "--pictures", "0", "--topology", up.topology)
    assert down.returncode == 0, down.stderr
    assert f"located {N} " in down.stdout


def test_down_waits_for_frames_while_the_source_is_started_again(up: Up, library: Path) -> None:
    """Its figures are gone with it; the ledger's are not."""
    up.scale("boxing=0")
    up.until(lambda figures: workers_of(figures, "boxing") == 0)
    assert haadflow("send", library, "--topology", up.topology).returncode == 0
    (source,) = up.processes("source")
    up.scale("boxing=1")
    source.kill()
    down = haadflow("down", "--pictures", "0", "--topology", up.topology)
    assert down.returncode == 0, down.stderr
    assert f"located {N} " in down.stdout


def test_check_connects_nothing_and_names_what_is_wrong(tmp_path: Path) -> None:
    assert haadflow("check", "--topology", SHIPPED).returncode == 0
    topology = tmp_path / "topology.toml"
    topology.write_text(SHIPPED.read_text().replace("algorithm = 2", "algorithm = 3"))
    done = haadflow("check", "--topology", topology)
    assert done.returncode == 2
    assert "stage boxing" in done.stderr
    assert "algorithm" in done.stderr
