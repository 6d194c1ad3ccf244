"""The chain as services on this host: a supervisor that answers `status`, `scale` and `down`."""

from __future__ import annotations

import time
from itertools import islice

import structlog
from msgspec import to_builtins

from protocols import DecodeError, decode, encode
from protocols.messages import Answer, Command

from .runtime.endpoints import MESSAGES_A_TURN, Dispatcher, Requester
from .runtime.intact import check_whole
from .runtime.keyring import Keyring
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
        check_whole((places.ledger, places.results, places.feed))
        if topology.is_open and (addresses := topology.reachable()):
            structlog.get_logger().warning("chain.open_to_the_network", addresses=addresses)
        curve = Keyring.of(topology).listen("chain.control")
        control = Dispatcher(topology.chain.control, waiting=COMMANDS_WAITING, curve=curve)
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
    curve = Keyring.of(topology).connect("operator", "chain.control")
    requester = Requester(topology.chain.control, curve=curve)
    try:
        requester.send(encode(command))
        parts = requester.receive(timeout_ms)
    finally:
        requester.close(0)
    if parts is None:
        keys = topology.security.keys
        or_key = "" if keys is None else f", or see whether it allows the operator's key of {keys}"
        raise NoChain(
            f"no chain answers at {topology.chain.control}; start one with `haadflow up`{or_key}"
        )
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
