"""Many workers in one process, that only wait with a frame, as a program of its own.

Each is the chain's own worker loop with sockets and beats of its own, in a thread; only its stage
does nothing, for a random time, and answers with an outcome made before. So a queue, a sink and a
supervisor can meet a thousand workers on a machine with two cores.
"""

from __future__ import annotations

import argparse
import resource
import signal
import threading
import time
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from protocols import decode, join_parts, split_parts
from protocols.messages import Located, SurveyImage
from services.runtime.endpoints import Outlet, Requester, close_context
from services.runtime.process import Pulse
from services.runtime.stage import Handled
from services.runtime.topology import Topology
from services.runtime.worker import Worker
from services.runtime.worker_process import IDLE_MS

SEED = 2025
STACK = 512 * 1024
READY = "ready"


class Waits:
    """A stage that takes its time and no core.

    Parameters
    ----------
    name
        Of the stage it stands for.
    seconds
        For each frame, in the mean: from half of it to one and a half. If it were the same for all,
        those that began together would answer together ever after.
    answer
        What it makes of each; what stands in its records goes into this stage's record.
    """

    accepts = SurveyImage
    gives = Located

    def __init__(self, name: str, seconds: float, answer: Located) -> None:
        self.name = name
        records = answer.envelope.stages
        self.parameters: dict[str, Any] = {each.stage: each.parameters for each in records}
        self._findings = {each.stage: each.findings for each in records}
        self._seconds = seconds
        self._random = Random(SEED)  # noqa: S311 - pauses, not secrets
        self._answer = answer

    def handle(self, frame: SurveyImage) -> Handled:
        """Wait; the outcome is this frame's by its envelope."""
        if self._seconds:
            time.sleep(self._seconds * self._random.uniform(0.5, 1.5))
        return Handled(
            msgspec.structs.replace(self._answer, envelope=frame.envelope), self._findings
        )

    def warm_up(self) -> dict[str, Any]:
        """Nothing is compiled."""
        return {}


def save_answer(path: Path, parts: list[Any]) -> None:
    """Write an encoded `Located` for `main` to answer with."""
    path.write_bytes(join_parts(parts))


def main() -> None:
    """Run workers until SIGTERM; say on standard output when all have asked for work."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--topology", type=Path, required=True)
    parser.add_argument("--answer", type=Path, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    asked = parser.parse_args()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    topology = Topology.load(asked.topology)
    answer = decode(split_parts(asked.answer.read_bytes()), expect=(Located,))
    stage = Waits(topology.stage[0].name, asked.seconds, answer)
    ready = threading.Semaphore(0)
    threading.stack_size(STACK)
    threads = [
        threading.Thread(target=_work, args=(topology, stage, stop, ready))
        for _ in range(asked.workers)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        ready.acquire()
    print(READY, flush=True)
    stop.wait()
    for thread in threads:
        thread.join()
    close_context()


def _work(
    topology: Topology, stage: Waits, stop: threading.Event, ready: threading.Semaphore
) -> None:
    """Do what services/runtime/worker_process.py does, without its signals."""
    inbox, sink = Requester(topology.stage[0].work), Outlet(topology.sink.results)
    worker = Worker([stage], inbox, sink, sink, give_up=stop.is_set)
    pulse = Pulse(
        f"{stage.name}.worker",
        topology.chain.beats,
        lambda: {
            "handled": worker.handled,
            "failed": worker.failed,
            "busy_seconds": round(worker.busy_seconds, 3),
        },
    )
    worker.ask()
    ready.release()
    while not stop.is_set():
        worker.step(IDLE_MS)
        pulse.beat()
    worker.leave()
    pulse.close()
    inbox.close()
    sink.close()


if __name__ == "__main__":
    main()
