"""A chain that things are done to, with its senders."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

from services.results import ResultStore
from services.runtime.ledger import Ledger
from services.runtime.places import Places
from tests.helpers.command import COMMAND, haadflow, role_of

from .plan import Fault

LOOK_S = 0.02
"""Between two looks at what has moved; the supervisor's end is noticed at once."""
STILL_S = 1.0
"""When nothing has moved for so long, what is stopped goes on: everybody may wait for it."""
STUCK_S = 90.0
"""When nothing has moved for so long with nothing stopped, the chain is stuck."""


class Stuck(AssertionError):
    """The chain no longer moves: the faults so far, and its logs' last lines."""


class Victims:
    """The processes of a chain under faults.

    Parameters
    ----------
    folder
        For topology and output.
    shipped, changes
        The topology, and replacements in its text.
    library
        Folder of images; every sender sends all of it, `rounds` times.
    senders
        At once.
    env
        Of all processes.
    """

    def __init__(
        self,
        folder: Path,
        shipped: Path,
        changes: Mapping[str, str],
        *,
        library: Path,
        rounds: int,
        senders: int,
        env: Mapping[str, str],
    ) -> None:
        self.out = folder / "out"
        self.done: Counter[str] = Counter()
        self.whole_senders = 0
        self.broken_senders = 0
        self._library = library
        self._rounds = rounds
        self._env = env
        self._most_senders = senders
        self._sockets = Path(tempfile.mkdtemp(prefix="hf-"))
        self._topology = folder / "topology.toml"
        text = shipped.read_text().replace('"tcp://127.0.0.1:', f'"ipc://{self._sockets}/')
        for before, after in changes.items():
            assert before in text, before
            text = text.replace(before, after)
        self._topology.write_text(text.replace('"haadflow-out"', json.dumps(str(self.out))))
        self._trace = (folder / "faults.log").open("w")
        self._began = time.monotonic()
        self._log = (folder / "senders.log").open("w+b")
        self._senders: list[psutil.Popen] = []
        self._stopped: list[tuple[int, psutil.Process]] = []
        self.supervisor = self._up()
        places = Places(self.out)
        self._ledger = Ledger(places.ledger, read_only=True)
        self._store = ResultStore(places.results)

    def moved(self) -> int:
        """Count what has happened: frames accepted, and frames ended."""
        return self._ledger.highest() + 1 + self._store.counts().total

    def accepted(self) -> int:
        """Count the frames accepted so far."""
        return self._ledger.highest() + 1

    def send_on(self) -> None:
        """Note which senders have ended, and have as many as there are to be."""
        for sender in list(self._senders):
            status = sender.poll()
            if status is None:
                continue
            self._senders.remove(sender)
            if status == 0:
                self.whole_senders += 1
            else:
                self.broken_senders += 1
                assert status in {-signal.SIGKILL, -signal.SIGTERM, 130}, self._said_by_senders()
        while len(self._senders) < self._most_senders:
            command = [*COMMAND, "send", str(self._library), "--repeat", str(self._rounds)]
            command += ["--patience", "300", "--topology", str(self._topology)]
            self._senders.append(
                psutil.Popen(command, stdout=self._log, stderr=self._log, env=dict(self._env))
            )

    def send_once(self) -> None:
        """Send the library once, and wait until all of it has ended, before anything is done."""
        sent = haadflow("send", self._library, "--topology", self._topology)
        assert sent.returncode == 0, sent.stderr
        while self._ledger.open_count():
            self._look()

    def until_moved(self, frames: int) -> None:
        """Return when so much has moved; what is stopped goes on at its time."""
        target = self.moved() + frames
        self._until(lambda: self.moved() >= target)

    def until_accepted(self, frames: int) -> None:
        """Return when so many frames have been accepted in all."""
        self._until(lambda: self.accepted() >= frames)

    def finish(self) -> None:
        """Let the senders send all of theirs, and every frame end; then stop the chain."""
        self._note("no more faults")
        self._go_on(everything=True)
        self._most_senders = 0
        self._until(lambda: not self._senders)
        self._note("all is sent")
        self._until(lambda: not self._ledger.open_count())
        self._note("all has ended")
        self._ledger.close()
        self._store.close()
        down = haadflow("down", "--pictures", "0", "--topology", self._topology)
        assert down.returncode == 0, down.stderr

    def suffer(self, fault: Fault) -> None:
        """Carry out a fault."""
        victims = self._candidates(fault.victim)
        if not victims:
            return
        victim = victims[fault.which % len(victims)]
        self.done[f"{fault.kind} {fault.victim}"] += 1
        self._note(f"{fault.kind} {fault.victim} {victim.pid}")
        if fault.victim == "supervisor" and fault.kind != "stop":
            self._end_supervisor(signal.SIGKILL if fault.kind == "kill" else signal.SIGTERM)
            return
        try:
            if fault.kind == "stop":
                victim.suspend()
                self._stopped.append((self.moved() + fault.lasting, victim))
            elif fault.kind == "hang":
                victim.suspend()
            elif fault.kind == "kill":
                victim.kill()
            else:
                victim.terminate()
        except psutil.NoSuchProcess:
            pass  # it had been killed, or scaled away, before

    def _candidates(self, victim: str) -> Sequence[psutil.Process]:
        if victim == "supervisor":
            return [self.supervisor]
        if victim == "sender":
            return [sender for sender in self._senders if sender.poll() is None]
        return [child for child in self.supervisor.children() if role_of(child) == victim]

    def _end_supervisor(self, number: signal.Signals) -> None:
        self._go_on(everything=True)
        hung = [p for p in self.supervisor.children() if p.status() == psutil.STATUS_STOPPED]
        self.supervisor.send_signal(number)
        for process in hung:
            process.kill()  # a process that is stopped for ever cannot see that it is to end
        self.supervisor.wait(60)
        self.supervisor = self._up()

    def _up(self) -> psutil.Process:
        started = haadflow("up", "--topology", self._topology, env=self._env)
        assert started.returncode == 0, started.stderr
        status = haadflow("status", "--json", "--topology", self._topology)
        return psutil.Process(json.loads(status.stdout)["pid"])

    def _until(self, done: Callable[[], bool]) -> None:
        last, since = self.moved(), time.monotonic()
        while not done():
            self.send_on()
            self._look()
            now = self.moved()
            if now != last:
                last, since = now, time.monotonic()
            still = time.monotonic() - since
            self._go_on(everything=still > STILL_S)
            if still > STUCK_S:
                raise Stuck(f"after {dict(self.done)}:\n{self._ends_of_logs()}")

    def _look(self) -> None:
        try:
            status = self.supervisor.wait(LOOK_S)
        except psutil.TimeoutExpired:
            return
        raise Stuck(f"the supervisor has ended, {status}:\n{self._ends_of_logs()}")

    def _go_on(self, *, everything: bool) -> None:
        waiting = []
        for until, process in self._stopped:
            if everything or self.moved() >= until:
                try:
                    process.resume()
                    self._note(f"{process.pid} goes on")
                except psutil.NoSuchProcess:
                    continue  # the supervisor has replaced it
            else:
                waiting.append((until, process))
        self._stopped = waiting

    def _note(self, what: str) -> None:
        """Keep a line of what was done when, for whoever looks into a fault that was found."""
        seconds = time.monotonic() - self._began
        self._trace.write(f"{seconds:8.2f} s, {self.accepted()} accepted, {what}\n")
        self._trace.flush()

    def _ends_of_logs(self) -> str:
        logs = sorted(Places(self.out).logs.glob("*.log"))
        return "\n".join(f"== {log.name}\n{log.read_text()[-600:]}" for log in logs)

    def _said_by_senders(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-2_000:]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for sender in self._senders:
            sender.kill()
            sender.wait()
        if self.supervisor.is_running():
            children = self.supervisor.children()
            for process in (self.supervisor, *children):
                process.resume()
            self.supervisor.terminate()
            try:
                self.supervisor.wait(60)
            except subprocess.TimeoutExpired:
                self.supervisor.kill()
        self._log.close()
        self._trace.close()
        shutil.rmtree(self._sockets)
