"""A service that is not heard: replaced when it hangs, spared when nobody was listening."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from services.runtime.places import Places
from services.runtime.supervisor import ASLEEP_S, STARTING_S, Supervisor
from services.runtime.topology import Topology

from .conftest import until


class Clock:
    """Seconds, moved by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def supervisor(topology: Topology, places: Places, clock: Clock) -> Iterator[Supervisor]:
    """One that has started a sink, stopped before its first report."""
    supervisor = Supervisor(topology, places, until_drained=False, clock=clock)
    supervisor._start("sink", ["sink"])
    supervisor._services["sink"].process.send_signal(signal.SIGSTOP)
    yield supervisor
    supervisor.stop()


def test_a_service_that_hangs_before_its_first_report_is_replaced(
    supervisor: Supervisor, clock: Clock
) -> None:
    hung = supervisor._services["sink"].process
    while clock.now <= STARTING_S:
        clock.now += 0.8 * ASLEEP_S
        supervisor.step(0)
    until(lambda: hung.poll() == -signal.SIGKILL, lambda: supervisor.step(5))
    clock.now += 0.8 * ASLEEP_S
    until(lambda: supervisor._services["sink"].process is not hung, lambda: supervisor.step(5))
    assert supervisor.restarts == 1


def test_nobody_is_blamed_for_the_time_the_supervisor_itself_was_stopped(
    supervisor: Supervisor, clock: Clock
) -> None:
    clock.now += 10 * STARTING_S
    supervisor.step(0)
    assert supervisor._services["sink"].process.poll() is None
