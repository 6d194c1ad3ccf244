"""A worker as a process of its own, with everything around it in the test's hands."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from protocols import decode
from protocols.messages import Beat
from services.runtime.endpoints import Dispatcher, Inlet, Socket
from services.runtime.places import Places
from services.runtime.topology import Topology
from tests.helpers.command import environment
from tests.helpers.wait import until as wait_until

from .conftest import until

STAGE = "boxing"


@pytest.fixture
def start(topology: Topology, places: Places) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Start a worker of the chain's last stage; it is killed in the end."""
    topology.save(places.topology)
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "services", "worker", STAGE]
        command += ["--topology", str(places.topology)]
        started.append(subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_worker_is_heard_before_it_asks_for_its_first_frame(
    topology: Topology,
    keep: Callable[[Socket], Socket],
    start: Callable[[], subprocess.Popen[bytes]],
) -> None:
    """Else one that hangs on its first frame would be taken for one that compiles its kernels."""
    work, beats = Dispatcher(topology.stage_named(STAGE).work), Inlet(topology.chain.beats)
    for end in (work, beats):
        keep(end)
    worker = start()
    wait_until(work.receive, [psutil.Process(worker.pid)])
    worker.send_signal(signal.SIGSTOP)
    heard: list[Any] = []
    until(lambda: heard, lambda: heard.extend(beats.receive() or ()))
    beat = decode(heard, expect=(Beat,))
    assert (beat.service, beat.pid, beat.figures["handled"]) == (f"{STAGE}.worker", worker.pid, 0)
