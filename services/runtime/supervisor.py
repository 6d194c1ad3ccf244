"""The supervisor: starts a chain's processes on this host, keeps them running, counts their beats.

A service that dies is started again; what it held comes back by lease or ledger. One that cannot
start (a taken port, a wrong parameter) or dies again and again ends the chain with `ChainBroken`,
which names the service and quotes its log.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import structlog

from protocols import DecodeError, decode
from protocols.messages import Beat

from . import exit_codes
from .bad_input import BadInput
from .disk import is_full
from .endpoints import MESSAGES_A_TURN, Inlet, Poller, Socket
from .keyring import Keyring
from .places import Places
from .process import ONE_THREAD, PARENT
from .status import Status
from .topology import StageTable, Topology

SHORT_LIFE_S = 5.0
LONG_LIFE_S = 60.0
LIVES_IN_VAIN_AT_MOST = 6
"""A service may die so often in a row with nothing to show for it. For a worker that is: no frame
of its stage was done or became a dead letter; a poison frame takes `max_deaths` of them."""
HUNG_MARGIN_S = 2.0
"""A worker that has not reported for its stage's deadline and this is killed: it hangs."""
HUNG_SERVICE_S = 60.0
"""The same for all others, which never work long on anything."""
STARTING_S = 180.0
"""The same before a service's first report: a worker may have to compile its kernels."""
ASLEEP_S = 5.0
"""When this process itself has not run for so long, nobody is to blame for not being heard."""
GRACE_S = 10.0
LOG_TAIL = 2_000
LARGEST_BEAT = 256 * 1024
"""Bytes of one part; thousands of beats may wait."""
LITTLE_DISK = 4 * 1024 * 1024


class ChainBroken(Exception):
    """The chain cannot go on: which service, why, and the end of its log."""


@dataclass(slots=True)
class _Service:
    name: str
    arguments: list[str]
    process: subprocess.Popen[bytes]
    log: Path
    born: float
    in_vain: int = 0
    progress: int = -1
    restart_at: float = 0.0
    stopping: bool = field(default=False)


class Supervisor:
    """One chain on this host.

    Parameters
    ----------
    topology, places
        What to run and where it writes; the caller is its `sole_writer`.
    until_drained
        The source ends itself when every accepted frame is closed; `finished` then says so.
    clock
        Seconds, monotonic.
    """

    def __init__(
        self,
        topology: Topology,
        places: Places,
        *,
        until_drained: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.topology = topology
        self.places = places
        self.finished = False
        self.restarts = 0
        self.pid = os.getpid()
        self.wanted = {table.name: table.workers for table in topology.stage}
        self.status = Status(topology)
        self._until_drained = until_drained
        self._clock = clock
        self._log = structlog.get_logger()
        self._services: dict[str, _Service] = {}
        self._born = 0
        self._looked = self._awake_since = clock()
        places.make()
        topology.save(places.topology)
        self._beats = Inlet(
            topology.chain.beats,
            high_water_mark=10_000,
            largest_part=LARGEST_BEAT,
            curve=Keyring.of(topology).listen("chain.beats"),
        )
        self.bad_input = BadInput({"chain.beats": self._beats})

    def start(self) -> None:
        """Start every process; returns at once."""
        held = int(self.topology.source.holds_first_queue)
        for table in self.topology.stage[held:]:
            self._start(f"{table.name}.queue", ["queue", table.name])
        self._start("sink", ["sink"])
        if self.topology.feed.batches is not None:
            self._start("feed", ["feed"])
        self._start("source", ["source", *(["--until-drained"] if self._until_drained else [])])
        self._match_workers()

    def step(self, timeout_ms: float = 100, *, also: tuple[Socket, ...] = ()) -> set[Socket]:
        """Hear beats, start again what died; return which of the ends `also` can be read."""
        ready = Poller([self._beats, *also]).wait(timeout_ms)
        if self._beats in ready:
            self._hear_beats()
        self._look_after()
        return ready - {self._beats}

    def scale(self, stage: str, workers: int) -> None:
        """Change the number of a stage's workers on this host; running frames are finished."""
        self.topology.stage_named(stage)
        self.wanted[stage] = workers
        self._match_workers()

    def stop(self, grace_s: float = GRACE_S) -> None:
        """End every process: workers first, the sink late, so that what is finished gets home.

        The feed comes last: receipts are noted as long as it can be.
        """
        for group in (".worker", "source", ".queue", "sink", "feed"):
            self._end([s for n, s in self._services.items() if group in n], grace_s)
        self._services.clear()
        self._hear_beats()
        self._beats.close(0)

    def processes(self) -> dict[str, int]:
        """Return the process id of each service."""
        return {name: service.process.pid for name, service in self._services.items()}

    def _hear_beats(self) -> None:
        for parts in islice(iter(self._beats.receive, None), MESSAGES_A_TURN):
            try:
                beat: Beat = decode(parts, expect=(Beat,))
            except DecodeError as error:
                self.bad_input.refuse("beat.undecodable", error, where="chain.beats")
                continue
            try:
                self.status.hear(beat, self._clock())
            except ValueError as error:
                self.bad_input.refuse("beat.odd", error, where="chain.beats")

    def _look_after(self) -> None:
        now = self._clock()
        self.bad_input.figures()  # what nobody reads would lie in memory
        if now - self._looked > ASLEEP_S:
            self._awake_since = now
        self._looked = now
        for name, service in list(self._services.items()):
            code = service.process.poll()
            if code is None:
                self._end_if_hung(service, now)
                continue
            self.status.forget(service.process.pid)
            if service.stopping:
                del self._services[name]
            elif name == "source" and code == 0 and self._until_drained:
                self.finished = True
                del self._services[name]
            elif service.restart_at == 0.0:
                self._plan_restart(service, code, now)
            elif now >= service.restart_at:
                self._restart(service)

    def _plan_restart(self, service: _Service, code: int, now: float) -> None:
        stage = self._stage_of(service)
        progress = -1 if stage is None else self.status.progress(stage.name)
        if stage is None:
            useful = now - service.born > SHORT_LIFE_S
        else:
            useful = progress != service.progress or now - service.born > LONG_LIFE_S
        service.progress = progress
        service.in_vain = 0 if useful else service.in_vain + 1
        at_most = max(LIVES_IN_VAIN_AT_MOST, 0 if stage is None else stage.max_deaths + 3)
        self._log.warning("service.died", name=service.name, status=code)
        if code == exit_codes.USAGE or service.in_vain > at_most:
            how = _ending(code) + _full_disk(self.places)
            raise ChainBroken(
                f"{service.name} {how}; the end of its log {service.log}:\n{_tail(service.log)}"
            )
        service.restart_at = now + (0.0 if useful else min(2.0, 0.1 * 2**service.in_vain))

    def _end_if_hung(self, service: _Service, now: float) -> None:
        heard = self.status.heard(service.process.pid)
        stage = self._stage_of(service)
        patience = HUNG_SERVICE_S if stage is None else stage.deadline_s + HUNG_MARGIN_S
        if heard is None:
            heard, patience = service.born, max(patience, STARTING_S)
        if now - max(heard, self._awake_since) > patience:
            self._log.warning("service.hung", name=service.name, silent_s=round(now - heard, 1))
            service.process.kill()

    def _stage_of(self, service: _Service) -> StageTable | None:
        """Return the stage a service is a worker of; None for all others."""
        role, *stage = service.arguments
        return self.topology.stage_named(stage[0]) if role == "worker" else None

    def _restart(self, service: _Service) -> None:
        self.restarts += 1
        self._start(service.name, service.arguments, before=service)

    def _match_workers(self) -> None:
        for stage, wanted in self.wanted.items():
            mine = [
                s
                for n, s in self._services.items()
                if n.startswith(f"{stage}.worker.") and not s.stopping
            ]
            for service in mine[wanted:]:
                _ask_to_end(service)
            for _ in range(wanted - len(mine)):
                self._born += 1
                self._start(f"{stage}.worker.{self._born}", ["worker", stage])

    def _start(self, name: str, arguments: list[str], *, before: _Service | None = None) -> None:
        log = self.places.logs / f"{name}.log"
        command = [sys.executable, "-m", "services", *arguments]
        command += ["--topology", str(self.places.topology)]
        with _open_log(log) as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **ONE_THREAD, PARENT: str(os.getpid())},
                # Ctrl-C at the terminal is for the supervisor, which stops them in order.
                start_new_session=True,
            )
        service = _Service(name, arguments, process, log, self._clock())
        if before is not None:
            service.in_vain, service.progress = before.in_vain, before.progress
        self._services[name] = service

    def _end(self, services: list[_Service], grace_s: float) -> None:
        for service in services:
            _ask_to_end(service)
        deadline = self._clock() + grace_s
        for service in services:
            try:
                service.process.wait(max(0.0, deadline - self._clock()))
            except subprocess.TimeoutExpired:
                self._log.warning("service.killed", name=service.name)
                service.process.kill()
                service.process.wait()


def _ask_to_end(service: _Service) -> None:
    service.stopping = True
    # A stopped process takes no SIGTERM until it goes on.
    for number in (signal.SIGTERM, signal.SIGCONT):
        service.process.send_signal(number)


def _open_log(log: Path) -> BinaryIO:
    try:
        return log.open("ab")
    except OSError as error:
        if not is_full(error):
            raise
        return Path(os.devnull).open("ab")


def _full_disk(places: Places) -> str:
    free = shutil.disk_usage(places.out).free
    return f" ({places.out} has {free} bytes left)" if free < LITTLE_DISK else ""


def _tail(log: Path) -> str:
    if not log.exists():
        return "(there is none)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_TAIL))
        return file.read().decode(errors="replace").strip() or "(empty)"


def _ending(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
