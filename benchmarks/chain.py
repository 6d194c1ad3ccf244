"""A chain to measure: real processes as `haadflow up` starts them, over Unix sockets.

The supervisor is a process of its own, so that this one is only the detector, and the observer.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec
import psutil

from protocols.messages import Answer, Command
from services.chain import NoChain, ask
from services.results import ResultStore
from services.runtime.places import Places
from services.runtime.process import PARENT
from services.runtime.status import ChainStatus
from services.runtime.topology import SecurityTable, Topology, one_machine

READY_S = 60.0
DOWN_S = 30.0
STALLED_S = 30.0
MIB = 2**20


class ChainFailed(Exception):
    """The chain did not do what it should within the time allowed."""


class Snapshot(NamedTuple):
    """What the chain's processes had used at one moment."""

    at: float
    """Seconds, monotonic."""
    committed: int
    cpu: dict[str, float]
    """Processor seconds of each service, since it started."""
    resident: dict[str, float]
    """MiB of each service."""
    machine_cpu: float
    """Processor seconds of everything that runs on this machine."""


class ThreadTimes(NamedTuple):
    """Processor seconds of one service since it started."""

    service: str
    main: float
    others: float

    def since(self, before: list[ThreadTimes]) -> ThreadTimes:
        """Return what was used since an earlier look at all services."""
        for earlier in before:
            if earlier.service == self.service:
                return ThreadTimes(
                    self.service, self.main - earlier.main, self.others - earlier.others
                )
        return self


class Chain:
    """A chain in a folder of its own; starts on entering, goes down on leaving.

    Parameters
    ----------
    folder
        What the chain writes into; may hold a ledger with frames already.
    together
        One worker hosts all stages, and the source holds their queue.
    spool
        Offered images go to the disk before they are accepted.
    adapt
        Changes the topology before the chain starts. A stage may have no workers: others then come
        to its queue.
    keys
        Folder of keys, for a chain whose ends are encrypted.
    """

    def __init__(
        self,
        folder: Path,
        *,
        together: bool = False,
        spool: bool = True,
        adapt: Callable[[Topology], Topology] = lambda topology: topology,
        keys: Path | None = None,
    ) -> None:
        self.keys = keys
        self.places = Places(folder)
        # Not in that folder: a Unix socket's path is short.
        self._sockets = Path(tempfile.mkdtemp(prefix="haadflow-bench-"))
        self.topology = adapt(
            _topology(self._sockets, folder, together=together, spool=spool, keys=keys)
        )
        self.started_unix = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._services: dict[str, psutil.Process] = {}
        self._store: ResultStore | None = None

    def __enter__(self) -> Self:
        self.places.make()
        self.topology.save(self.places.topology)
        command = [sys.executable, "-m", "services", "supervisor"]
        command += ["--topology", str(self.places.topology)]
        self.started_unix = time.time()
        with (self.places.logs / "supervisor.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # The chain ends itself if this process is gone.
                env={**os.environ, PARENT: str(os.getpid())},
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self._go_down()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._go_down()

    @property
    def _stages(self) -> list[str]:
        return [table.name for table in self.topology.stage if table.workers]

    @property
    def offers(self) -> str:
        """Where detectors send."""
        return self.topology.source.offers or ""

    def committed(self) -> int:
        """Count the outcomes on disk, as any other process can see them."""
        if self._store is None:
            self._store = ResultStore(self.places.results)
        return self._store.counts().total

    def wait_for(self, committed: int, *, look_every_s: float) -> float:
        """Wait until so many outcomes are on disk; return when that was seen, monotonic.

        Raises
        ------
        ChainFailed
            If nothing is committed for `STALLED_S` seconds.
        """
        seen, last = -1, time.monotonic()
        while True:
            now, count = time.monotonic(), self.committed()
            if count >= committed:
                return now
            if count != seen:
                seen, last = count, now
            elif now - last > STALLED_S:
                raise ChainFailed(f"{count} of {committed} frames committed, then none any more")
            time.sleep(look_every_s)

    def snapshot(self) -> Snapshot:
        """Look at all processes; `ChainFailed` when one has been replaced since the last look."""
        cpu, resident = {}, {}
        for name, process in self._services.items():
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    cpu[name] = times.user + times.system
                    resident[name] = process.memory_info().rss / MIB
            except psutil.NoSuchProcess as error:
                raise ChainFailed(f"{name} has died while it was measured") from error
        return Snapshot(time.monotonic(), self.committed(), cpu, resident, _machine_cpu())

    def pids(self) -> dict[str, int]:
        """Return the process id of each service that `snapshot` looks at."""
        return {name: process.pid for name, process in self._services.items()}

    def look_around(self) -> None:
        """Find the services there are now: a stage may have got other workers meanwhile."""
        _, pids = self.status()
        self._services = {name: psutil.Process(pid) for name, pid in pids.items()}

    def threads(self) -> list[ThreadTimes]:
        """Look at the threads of all services: the main one, and the others together."""
        found = []
        for name, process in self._services.items():
            times = {t.id: t.user_time + t.system_time for t in process.threads()}
            main = times.pop(process.pid, 0.0)
            found.append(ThreadTimes(name, main, sum(times.values())))
        return found

    def scale(self, stage: str, workers: int) -> float:
        """Change a stage's workers; return the seconds until the newest one asked for work."""
        before = self.ready_unix(stage)
        asked = time.time()
        self._ask(Command(verb="scale", stage=stage, workers=workers))
        deadline = time.monotonic() + READY_S
        while len(after := self.ready_unix(stage)) == len(before):
            if time.monotonic() > deadline:
                raise ChainFailed(f"a worker of {stage} did not start within {READY_S:g} s")
            time.sleep(0.02)
        return max(after) - asked

    def ready_unix(self, stage: str) -> list[float]:
        """Return when each of a stage's workers said, in its log, that it asks for work."""
        said = []
        for log in self.places.logs.glob(f"{stage}.worker.*.log"):
            for line in log.read_text(encoding="utf-8").splitlines():
                event = _event(line)
                if event.get("event") == "worker.ready":
                    said.append(datetime.fromisoformat(str(event["timestamp"])).timestamp())
        return said

    def status(self) -> tuple[ChainStatus, Mapping[str, int]]:
        """Return the supervisor's figures, and each service's process id."""
        answer = self._ask(Command(verb="status"))
        pids = {**answer.figures["processes"], "supervisor": answer.figures["pid"]}
        return msgspec.convert(answer.figures, ChainStatus), pids

    def _ask(self, command: Command) -> Answer:
        try:
            return ask(self.topology, command)
        except NoChain as error:
            raise ChainFailed(str(error)) from error

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while not all(self.ready_unix(stage) for stage in self._stages):
            if time.monotonic() > deadline or (self._process and self._process.poll() is not None):
                raise ChainFailed(f"the chain did not start; see {self.places.logs}")
            time.sleep(0.05)
        while not self._sink_reports():
            if time.monotonic() > deadline:
                raise ChainFailed(f"the sink did not start; see {self.places.logs}")
            time.sleep(0.05)
        self.look_around()

    def _sink_reports(self) -> bool:
        """Say whether the sink has sent a beat: then the store is there to be read."""
        try:
            status, _ = self.status()
        except ChainFailed:  # a chain without workers may not even have its supervisor yet
            return False
        return any(name.startswith("sink") for name in status.memory_mib)

    def _go_down(self) -> None:
        if self._store is not None:
            self._store.close()
        if self._process is not None:
            # The supervisor takes SIGTERM as `down`: it stops its services in order.
            self._process.terminate()
            try:
                self._process.wait(DOWN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()  # its services notice that it is gone, and end
                self._process.wait()
        shutil.rmtree(self._sockets, ignore_errors=True)


def _topology(
    sockets: Path, out: Path, *, together: bool, spool: bool, keys: Path | None
) -> Topology:
    """One worker a stage, as `run` has it on two cores, and a place for offers."""
    topology = one_machine(sockets, out=out, workers={}, parameters={}, together=together)
    source = msgspec.structs.replace(
        topology.source, offers=f"ipc://{sockets}/offers", keep_first=0, spool=spool
    )
    security = SecurityTable(keys=None if keys is None else str(keys))
    return msgspec.structs.replace(topology, source=source, security=security)


def _machine_cpu() -> float:
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # Linux counts a guest's time in user and nice already.
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - idle - guests)


def _event(line: str) -> dict[str, Any]:
    """Read a line of a log; one that is half written is none."""
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
