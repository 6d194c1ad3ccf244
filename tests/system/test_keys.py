"""A whole chain with keys through the command line, and those who try to get into it meanwhile."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import zmq

from pipeline import process
from protocols import encode
from protocols.messages import Beat, Closed, Command, Credit, Located
from services.detectors.file_finding import find_images
from services.detectors.files import read_image
from services.detectors.metadata import Resolver, with_file_metadata
from services.megalibrary import write_megalibrary
from services.results import ResultStore
from services.runtime.keys import KeyFolder
from services.runtime.ledger import Ledger
from services.runtime.places import Places
from tests.helpers.command import haadflow, start
from tests.helpers.intruders import (
    Intruder,
    with_any_key,
    with_key_of,
    with_wrong_server_key,
)
from tests.helpers.recorder import Recorder
from tests.helpers.up import SHIPPED
from tests.helpers.wait import until
from tests.helpers.wire_examples import EXAMPLES

pytestmark = pytest.mark.system

N = 8
ROUNDS = 60
PORTS = {"control": 5740, "beats": 5741, "offers": 5750, "closed": 5751, "results": 5760}
GATE_FRAMES, GATE_WORK = 5810, 5811
DEADLINE_S = 60.0


class Keyed:
    """A chain with keys on ports of its own, and a detector that has a folder for itself."""

    def __init__(self, folder: Path) -> None:
        self.topology = folder / "chain.toml"
        self.places = Places(folder / "out")
        self.keys = KeyFolder(folder / "keys")
        self.camera = KeyFolder(folder / "camera")
        self.ports: dict[int, int] = {}
        text = SHIPPED.read_text() + '\n[security]\nkeys = "keys"\n'
        with contextlib.ExitStack() as held:
            for shipped in sorted({int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", text)}):
                free = held.enter_context(socket.create_server(("127.0.0.1", 0)))
                self.ports[shipped] = free.getsockname()[1]
                text = text.replace(f"127.0.0.1:{shipped}", f"127.0.0.1:{self.ports[shipped]}")
        self.topology.write_text(text.replace('"haadflow-out"', json.dumps(str(self.places.out))))

    def command(self, *arguments: str | Path) -> Any:  # noqa: ANN401 - a completed process
        done = haadflow(*arguments, "--topology", self.topology)
        assert done.returncode == 0, done.stderr
        return done

    def exchange_keys(self) -> None:
        """As docs/security.md has it for a detector on another machine."""
        self.command("keys", "new")
        self.camera.new("detector")
        self.camera.allow("source", str(self.keys.path / "source.key"), "source")
        self.command("keys", "allow", "detector", self.camera.path / "detector.key", "--name", "c1")

    def address(self, port: int) -> str:
        return f"tcp://127.0.0.1:{self.ports[port]}"

    def turned_away(self, **about: str) -> bool:
        """Say whether a log tells of somebody turned away, with his address."""
        for log in self.places.logs.glob("*.log"):
            for line in log.read_text(errors="replace").splitlines():
                if '"peer.turned_away"' not in line or not line.endswith("}"):
                    continue
                entry = json.loads(line)
                if entry["address"].startswith("127.0.0.1") and all(
                    value in str(entry.get(key, "")) for key, value in about.items()
                ):
                    return True
        return False

    def located(self) -> int:
        with ResultStore(self.places.results) as store:
            return store.counts().located

    def run_id(self) -> str:
        with Ledger(self.places.ledger, read_only=True) as ledger:
            return ledger.run


@pytest.fixture
def keyed(tmp_path: Path) -> Iterator[Keyed]:
    chain = Keyed(tmp_path)
    chain.exchange_keys()
    chain.command("up")
    pid = json.loads(chain.command("status", "--json").stdout)["pid"]
    yield chain
    if psutil.pid_exists(pid):
        supervisor = psutil.Process(pid)
        supervisor.terminate()
        supervisor.wait(60)


def intruders(chain: Keyed) -> dict[str, tuple[Callable[[], Intruder], dict[str, str]]]:
    """Return who comes, and what is to be found of it in the logs."""
    keys = chain.keys
    offer = [bytes(part) for part in encode(EXAMPLES["offer_bare"])]
    located = [bytes(part) for part in encode(EXAMPLES["located"])]
    closed = Closed(run=chain.run_id(), seqs=(0, 1), outcomes=("failed", "failed"))
    acknowledge = [bytes(part) for part in encode(closed)]
    ask = [bytes(part) for part in encode(Credit(frames=100, outstanding=100))]
    down = [bytes(part) for part in encode(Command(verb="down"))]
    beat = [bytes(p) for p in encode(Beat(service="sink", pid=1, epoch="e", unix=0, figures={}))]
    offers = chain.address(PORTS["offers"])
    gone = KeyFolder(chain.keys.path.parent / "gone")
    key = gone.new("detector").public
    keys.allow("detector", key, "gone")
    keys.revoke("gone")
    public, secret = gone.own("detector")
    source = keys.own("source")[0]
    return {
        "no key": (
            lambda: Intruder(offers, offer),
            {"end": "source.offers", "why": "no CURVE"},
        ),
        "no key, for coordinates": (
            lambda: Intruder(chain.address(PORTS["results"]), located, kind=zmq.PUSH),
            {"end": "sink.results", "why": "no CURVE"},
        ),
        "nobody's key": (
            lambda: with_any_key(keys, "source", offers, offer),
            {"end": "source.offers", "why": "not on the list"},
        ),
        "another's key for the source's": (
            lambda: with_wrong_server_key(chain.camera, "detector", offers, offer),
            {"end": "source.offers", "why": "another server's key"},
        ),
        "a revoked key": (
            lambda: Intruder(offers, offer, public=public, secret=secret, server=source),
            {"end": "source.offers", "why": "revoked", "name": "gone"},
        ),
        "a worker that acknowledges": (
            lambda: with_key_of(
                keys, "worker", "source", chain.address(PORTS["closed"]), acknowledge, kind=zmq.PUSH
            ),
            {"end": "source.closed", "why": "role worker"},
        ),
        "a detector that takes frames": (
            lambda: with_key_of(keys, "detector", "queue", chain.address(GATE_WORK), ask),
            {"end": "stage.work", "why": "role detector"},
        ),
        "a detector that brings outcomes": (
            lambda: with_key_of(
                keys, "detector", "sink", chain.address(PORTS["results"]), located, kind=zmq.PUSH
            ),
            {"end": "sink.results", "why": "role detector"},
        ),
        "a worker that passes the source by": (
            lambda: with_key_of(
                keys, "worker", "queue", chain.address(GATE_FRAMES), located, kind=zmq.PUSH
            ),
            {"end": "first_stage.frames", "why": "role worker"},
        ),
        "a worker that commands": (
            lambda: with_key_of(
                keys, "worker", "supervisor", chain.address(PORTS["control"]), down
            ),
            {"end": "chain.control", "why": "role worker"},
        ),
        "a detector that reports": (
            lambda: with_key_of(
                keys, "detector", "supervisor", chain.address(PORTS["beats"]), beat, kind=zmq.PUSH
            ),
            {"end": "chain.beats", "why": "role detector"},
        ),
    }


def boxes_of(library: Path) -> dict[str, list[list[int]]]:
    """Return each image's boxes as one process finds them, without any chain."""
    resolver = Resolver()
    found: dict[str, list[list[int]]] = {}
    for image in find_images([library]):
        read = read_image(image.path)
        metadata = with_file_metadata(resolver.metadata_of(image), read)
        result = process(
            read.image,
            composition=metadata.composition,
            n_elements=metadata.n_elements,
            algorithm=2,
        )
        found[metadata.source] = result.boxes.tolist()
    return found


def test_nobody_gets_in_without_the_right_key_and_the_stream_does_not_notice(
    keyed: Keyed, tmp_path: Path
) -> None:
    library = tmp_path / "images"
    write_megalibrary(library, N, seed=6, sizes=(128, 256))
    where = ("--topology", keyed.topology)
    with Recorder(keyed.ports[PORTS["offers"]]) as recorder:
        to = ("--to", recorder.address, "--keys", keyed.camera.path)
        first = haadflow("send", library, *to)
        assert first.returncode == 0, first.stderr
    assert b"Offer" not in recorder.sent
    sending = start("send", library, "--repeat", str(ROUNDS), "--keys", keyed.camera.path, *where)
    until(lambda: keyed.located() >= 2 * N, [psutil.Process(sending.pid)])
    deadline = time.monotonic() + DEADLINE_S
    before = keyed.located()
    waiting = intruders(keyed)
    came: list[Intruder] = []
    replayed = False
    while waiting or not replayed:
        assert time.monotonic() < deadline, waiting
        for name, (make, expected) in list(waiting.items()):
            if keyed.turned_away(**expected):
                del waiting[name]
                continue
            came.append(make())
            came[-1].knock()
        if not replayed and "no key" not in waiting:
            recorder.play_back(keyed.ports[PORTS["offers"]])
            replayed = True
        with contextlib.suppress(subprocess.TimeoutExpired):
            sending.wait(0.1)  # what is written of them takes a moment
    assert not any(intruder.hears() for intruder in came)
    assert keyed.located() > before
    keyed.command("scale", "boxing=2")
    output, _ = sending.communicate(timeout=120)
    assert sending.returncode == 0, output
    shown = keyed.command("status")
    assert re.search(r"peers were turned away \d+ times", shown.stderr), shown.stderr
    keyed.command("keys", "revoke", "c1")
    late = haadflow("send", library, "--patience", "1", "--keys", keyed.camera.path, *where)
    assert late.returncode == 1
    assert f"whether the source allows the detector's key of {keyed.camera.path}" in late.stderr
    down = keyed.command("down", "--pictures", "0")
    sent = N * (ROUNDS + 1)
    assert f"accepted {sent} = located {sent} + rejected 0 + failed 0 + in flight 0" in down.stdout
    boxes = boxes_of(library)
    with ResultStore(keyed.places.results) as store:
        for outcome in store.results():
            assert isinstance(outcome, Located)
            np.testing.assert_array_equal(outcome.boxes, boxes[outcome.envelope.metadata.source])
    for intruder in came:
        intruder.__exit__(None, None, None)


def test_check_names_the_key_that_is_missing(tmp_path: Path) -> None:
    chain = Keyed(tmp_path)
    for command in (("check",), ("status",)):
        done = haadflow(*command, "--topology", chain.topology)
        assert done.returncode == 2, done.stderr
        assert f"{chain.keys.path}: no folder of keys; `haadflow keys new` makes it" in done.stderr
        assert "Traceback" not in done.stderr
