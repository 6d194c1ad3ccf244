"""The chain as services on this host: a supervisor that answers `status`, `scale` and `down`."""

from __future__ import annotations

import time
from itertools import islice

from msgspec import to_builtins

from protocols import DecodeError, decode, encode
from protocols.messages import Answer, Command

from .runtime.endpoints import MESSAGES_A_TURN, Dispatcher, Requester
from .runtime.lock import sole_writer
from .runtime.places import Places
from .runtime.process import Stop
from .runtime.supervisor import Supervisor
from .runtime.topology import MOST_WORKERS, Topology, TopologyError

ANSWER_MS = 2_000
COMMANDS_WAITING = 64
"""Of one who asks; the next one waits in its own memory."""


class NoChain(Exception):
    """No supervisor answers at the topology's control address."""


def run(topology: Topology, places: Places) -> None:
    """Run the chain until `down` or a signal."""
    stop = Stop()
    with sole_writer(places):
        control = Dispatcher(topology.chain.control, waiting=COMMANDS_WAITING)
        supervisor = Supervisor(topology, places, until_drained=False)
        supervisor.bad_input.watch("chain.control", control, brief=True)
        supervisor.start()
        down = False
        try:
            while not stop and not down:
                if control in supervisor.step(200, also=(control,)):
                    down = _answer(control, supervisor)
        finally:
            supervisor.stop()
            control.close()


def ask(topology: Topology, command: Command, *, timeout_ms: int = ANSWER_MS) -> Answer:
    """Send a command to a running chain and return its answer; `NoChain` when there is none."""
    requester = Requester(topology.chain.control)
    try:
        requester.send(encode(command))
        parts = requester.receive(timeout_ms)
    finally:
        requester.close(0)
    if parts is None:
        raise NoChain(f"no chain answers at {topology.chain.control}; start one with `haadflow up`")
    try:
        return decode(parts, expect=(Answer,))
    except DecodeError as error:
        raise NoChain(
            f"what answers at {topology.chain.control} is no supervisor: {error}"
        ) from error


def _answer(control: Dispatcher, supervisor: Supervisor) -> bool:
    """Answer what was asked; say whether the chain is to go down."""
    down = False
    for peer, parts in islice(iter(control.receive, None), MESSAGES_A_TURN):
        try:
            command = decode(parts, expect=(Command,))
        except DecodeError as error:
            supervisor.bad_input.refuse("command.undecodable", error, where="chain.control")
            control.send(peer, encode(Answer(ok=False, text=str(error))))
            continue
        answer = _carry_out(command, supervisor)
        down = down or (command.verb == "down" and answer.ok)
        control.send(peer, encode(answer))
    return down


def _carry_out(command: Command, supervisor: Supervisor) -> Answer:
    if command.verb == "scale":
        if command.stage is None or command.workers is None:
            return Answer(ok=False, text="scale: expected a stage and a number of workers")
        if command.workers > MOST_WORKERS:
            return Answer(ok=False, text=f"scale: came {command.workers}; at most {MOST_WORKERS}")
        try:
            supervisor.scale(command.stage, command.workers)
        except TopologyError as error:
            return Answer(ok=False, text=str(error))
    status = supervisor.status.current(time.monotonic())
    mine = sum(supervisor.bad_input.figures().values())
    figures = to_builtins(status) | {
        "bad_input": status.bad_input | ({"supervisor": mine} if mine else {}),
        "wanted": dict(supervisor.wanted),
        "processes": supervisor.processes(),
        "restarts": supervisor.restarts,
        "out": str(supervisor.places.out.absolute()),
        "pid": supervisor.pid,
    }
    return Answer(ok=True, figures=figures)
