"""A worker as a process: the loop, its sockets, its signals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog

from .endpoints import Outlet, Requester
from .keyring import Keyring
from .process import Pulse, Stop, hold_to_one_thread, process_name
from .stage import Stage
from .topology import StageTable, Topology
from .worker import Worker

IDLE_MS = 100
FIRST_BEAT_MS = 1_000
"""So long a worker waits for the supervisor's end before it asks for work all the same."""


def run(topology: Topology, table: StageTable, stages: Sequence[Stage]) -> None:
    """Warm up, ask for work, and run until told to stop."""
    stop = Stop()
    hold_to_one_thread()
    warm: dict[str, Any] = {}
    for stage in stages:
        warm |= stage.warm_up()
    log = structlog.get_logger()
    log.info("worker.warm", **warm)
    keyring = Keyring.of(topology)
    inbox = Requester(table.work, curve=keyring.connect("worker", "stage.work"))
    sink = Outlet(topology.sink.results, curve=keyring.connect("worker", "sink.results"))
    onward_address = topology.onward_address(table.name)
    last = onward_address == topology.sink.results
    onward = (
        sink if last else Outlet(onward_address, curve=keyring.connect("worker", "stage.frames"))
    )

    def give_up() -> bool:
        # Waiting for the next stage is no hanging: the supervisor is to hear the difference.
        pulse.beat()
        return stop.overdue()

    name = process_name(f"{table.name}.worker")
    worker = Worker(stages, inbox, onward, sink, give_up=give_up, name=name)

    def figures() -> dict[str, Any]:
        return {
            "handled": worker.handled,
            "failed": worker.failed,
            "busy_seconds": round(worker.busy_seconds, 3),
        }

    pulse = Pulse(
        f"{table.name}.worker",
        topology.chain.beats,
        figures,
        curve=keyring.connect("worker", "chain.beats"),
    )
    log.info("worker.ready")
    # Heard before its first frame: one that hangs there would be taken for one that compiles.
    pulse.beat(now=True, wait_ms=FIRST_BEAT_MS)
    worker.ask()
    while not stop:
        worker.step(IDLE_MS)
        pulse.beat()
    worker.leave()
    pulse.close()
    for end in {inbox, sink, onward}:
        end.close()
