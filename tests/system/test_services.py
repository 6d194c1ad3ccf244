"""The chain as services: up, send, scale while images stream, status, down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from services.megalibrary import write_megalibrary
from tests.helpers.command import haadflow, start
from tests.helpers.up import SHIPPED, Up

pytestmark = pytest.mark.system

N = 12
ROUNDS = 40


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with Up(tmp_path) as chain:
        yield chain


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library") / "images"
    write_megalibrary(folder, N, seed=6, sizes=(128, 256))
    return folder


def workers_of(figures: dict[str, Any], stage: str) -> int:
    (row,) = [row for row in figures["stages"] if row["stage"] == stage]
    return int(row["workers"])


def test_scaling_while_images_stream_loses_nothing(up: Up, library: Path) -> None:
    sending = start("send", library, "--repeat", str(ROUNDS), "--topology", up.topology)
    up.until(lambda figures: figures["located"] > 0)
    up.scale("preprocessing=3")
    up.until(lambda figures: workers_of(figures, "preprocessing") == 3)
    up.scale("preprocessing=1")
    up.until(lambda figures: workers_of(figures, "preprocessing") == 1)
    output, _ = sending.communicate(timeout=120)
    assert sending.returncode == 0, output
    figures = up.until(lambda figures: figures["open"] == 0)
    assert figures["accepted"] == figures["located"] == N * ROUNDS
    assert all(row["redelivered"] == 0 for row in figures["stages"])
    down = haadflow("down", "--pictures", "2", "--topology", up.topology)
    assert down.returncode == 0, down.stderr
    assert not psutil.pid_exists(up.pid)
    assert haadflow("verify", up.out).returncode == 0
    assert (up.out / "boxes.csv").exists()
    assert (up.out / "frames.csv").read_text().count("\n") == N * ROUNDS + 1


def test_a_killed_worker_is_replaced_and_its_frame_is_not_lost(up: Up, library: Path) -> None:
    sending = start("send", library, "--repeat", "10", "--topology", up.topology)
    figures = up.until(lambda figures: figures["located"] > 0)
    for name, pid in figures["processes"].items():
        if name.startswith("clustering.worker"):
            psutil.Process(pid).kill()
    output, _ = sending.communicate(timeout=120)
    assert sending.returncode == 0, output
    figures = up.until(lambda figures: figures["open"] == 0)
    assert figures["located"] == N * 10
    assert figures["restarts"] == 1


def test_what_is_asked_wrongly_of_a_chain_is_told_what_is_wrong(up: Up) -> None:
    for setting, complaint in (
        ("boxes=2", "no stage 'boxes'"),
        ("boxing", "expected STAGE=N"),
        ("boxing=-1", "expected STAGE=N"),
    ):
        done = haadflow("scale", setting, "--topology", up.topology)
        assert done.returncode == 2
        assert complaint in done.stderr
    done = haadflow("up", "--topology", up.topology)
    assert done.returncode == 1
    assert "already up" in done.stderr


def test_a_chain_that_cannot_start_says_why(tmp_path: Path) -> None:
    topology = tmp_path / "topology.toml"
    text = SHIPPED.read_text().replace("127.0.0.1", "192.0.2.1")
    topology.write_text(text.replace('"haadflow-out"', json.dumps(str(tmp_path / "out"))))
    done = haadflow("up", "--topology", topology)
    assert done.returncode == 1
    assert "cannot listen on tcp://192.0.2.1" in done.stderr


def test_check_connects_nothing_and_names_what_is_wrong(tmp_path: Path) -> None:
    assert haadflow("check", "--topology", SHIPPED).returncode == 0
    topology = tmp_path / "topology.toml"
    topology.write_text(SHIPPED.read_text().replace("algorithm = 2", "algorithm = 3"))
    done = haadflow("check", "--topology", topology)
    assert done.returncode == 2
    assert "stage boxing" in done.stderr
    assert "algorithm" in done.stderr
