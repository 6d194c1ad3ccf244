"""Several hosts on this machine: network namespaces, each with a cable to a switch of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

from .command import COMMAND, environment

NETWORK = "10.213.77"


class NoHosts(Exception):
    """Namespaces cannot be made here, and why."""


class Hosts:
    """Hosts by name, each with an address; made by `with`, and removed after it.

    Raises
    ------
    NoHosts
        On entering: no root, no `ip`, or a kernel without them.
    """

    def __init__(self, names: Sequence[str], log: Path) -> None:
        self.address = {name: f"{NETWORK}.{place}" for place, name in enumerate(names, 1)}
        self.processes: dict[str, psutil.Process] = {}
        self._passing: list[psutil.Process] = []
        self._prefix = f"hf{os.getpid()}"
        self._log = log.open("w+b")

    def start(
        self, name: str, host: str, *arguments: str | Path, env: Mapping[str, str]
    ) -> psutil.Process:
        """Start `python -m services ...` on a host, under a name in `processes`."""
        command = [sys.executable, "-m", "services", *map(str, arguments)]
        started = self.processes[name] = self._start(host, command, env)
        return started

    def start_haadflow(self, host: str, *arguments: str | Path) -> psutil.Process:
        """Start the command on a host; it is to end by itself."""
        started = self._start(host, [*COMMAND, *map(str, arguments)], environment())
        self._passing.append(started)
        return started

    def haadflow(self, host: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the command on a host to its end."""
        return subprocess.run(
            [*self._on(host), *COMMAND, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def end(self, name: str) -> None:
        """End a process and wait for it."""
        process = self.processes.pop(name)
        process.terminate()
        process.wait(30)

    def cut(self, host: str) -> None:
        """Pull a host's cable."""
        _ip("-n", self._namespace(host), "link", "set", "eth0", "down")

    def mend(self, host: str) -> None:
        """Put it back."""
        _ip("-n", self._namespace(host), "link", "set", "eth0", "up")

    def swallow(self, host: str, to: str, *, begin: bool = True) -> None:
        """Let what a host sends to another vanish without an error, or no longer."""
        verb = "add" if begin else "del"
        _ip("-n", self._namespace(host), "route", verb, "blackhole", f"{self.address[to]}/32")

    def cap(self, host: str, rate: str) -> bool:
        """Cap what a host sends, as `2mbit`; False where the kernel has no such thing."""
        queue = ("dev", "eth0", "root", "tbf", "rate", rate, "burst", "16kb", "latency", "400ms")
        command = ("tc", "-n", self._namespace(host), "qdisc", "add", *queue)
        return shutil.which("tc") is not None and _done(command).returncode == 0

    def connected(self, to: str) -> bool:
        """Say whether any other host believes in a connection that it has made to a host."""
        listening = ("dst", self.address[to], "dport", "ge", ":5700", "dport", "le", ":5899")
        command = ("ss", "--no-header", "--tcp", "--numeric", "state", "established", *listening)
        others = (host for host in self.address if host != to)
        return any(_done([*self._on(host), *command]).stdout.strip() for host in others)

    def said(self) -> str:
        """Return the end of what the processes logged."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-4_000:]

    def _start(self, host: str, command: Sequence[str], env: Mapping[str, str]) -> psutil.Process:
        # `ip netns exec` becomes the command, and keeps its process id.
        return psutil.Popen(
            [*self._on(host), *command],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env=dict(env),
        )

    def _namespace(self, host: str) -> str:
        return f"{self._prefix}-{host}"

    def _on(self, host: str) -> list[str]:
        return ["ip", "netns", "exec", self._namespace(host)]

    def __enter__(self) -> Self:
        if os.geteuid() != 0 or shutil.which("ip") is None:
            self._log.close()
            raise NoHosts("network namespaces need root and the command `ip`")
        switch = self._namespace("switch")
        try:
            _ip("netns", "add", switch)
            _ip("-n", switch, "link", "add", "br0", "type", "bridge")
            _ip("-n", switch, "link", "set", "br0", "up")
            for place, (name, address) in enumerate(self.address.items()):
                host = self._namespace(name)
                _ip("netns", "add", host)
                cable = ("link", "add", f"port{place}", "type", "veth", "peer", "name", "eth0")
                _ip("-n", switch, *cable, "netns", host)
                _ip("-n", switch, "link", "set", f"port{place}", "master", "br0", "up")
                _ip("-n", host, "address", "add", f"{address}/24", "dev", "eth0")
                _ip("-n", host, "link", "set", "lo", "up")
                _ip("-n", host, "link", "set", "eth0", "up")
        except NoHosts:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self._passing, *self.processes.values()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
            process.wait(30)
        for name in ("switch", *self.address):
            _done(("ip", "netns", "del", self._namespace(name)))
        self._log.close()


def _ip(*arguments: str) -> None:
    done = _done(("ip", *arguments))
    if done.returncode:
        raise NoHosts(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def _done(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
