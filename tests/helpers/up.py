"""A chain as services, for tests."""

from __future__ import annotations

import json
import re
import shutil
import socket
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Self

import psutil

from protocols.messages import Command
from services.chain import ask
from services.runtime.topology import Topology

from .command import haadflow
from .wait import until

SHIPPED = Path(__file__).parents[2] / "deploy" / "topology.toml"
FEW_CORES = SHIPPED.with_name("few-cores.toml")
REFINED = SHIPPED.with_name("refined.toml")
LOOK_S = 0.05
"""Between two looks: services report some times a second."""
PAIRS = Path(__file__).with_name("pairs.toml")


class Up:
    """A chain that is up, on sockets of its own.

    Parameters
    ----------
    folder
        For its topology and output.
    changes
        Replacements in the shipped topology's text.
    shipped
        Which one.
    tcp
        On ports of this machine instead of Unix sockets.
    env
        Of its processes; the tester's own without settings by default.
    """

    def __init__(
        self,
        folder: Path,
        changes: Mapping[str, str] | None = None,
        *,
        shipped: Path = SHIPPED,
        tcp: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._sockets = Path(tempfile.mkdtemp(prefix="hf-"))
        self.out = folder / "out"
        self.topology = folder / "topology.toml"
        text = shipped.read_text()
        if tcp:
            text = _on_free_ports(text)
        else:
            text = text.replace('"tcp://127.0.0.1:', f'"ipc://{self._sockets}/')
        for before, after in (changes or {}).items():
            assert before in text
            text = text.replace(before, after)
        self.topology.write_text(text.replace('"haadflow-out"', json.dumps(str(self.out))))
        started = haadflow("up", "--topology", self.topology, env=env)
        assert started.returncode == 0, started.stderr
        self._chain = Topology.load(self.topology)
        self.pid = self.status()["pid"]

    def status(self) -> dict[str, Any]:
        """Return what `haadflow status --json` prints, without a process for each look."""
        answer = ask(self._chain, Command(verb="status"))
        assert answer.ok, answer.text
        return answer.figures

    def until(
        self,
        done: Any,  # noqa: ANN401 - a lambda over the figures
        *,
        deadline_s: float = 120.0,
    ) -> dict[str, Any]:
        """Return the first figures that `done` is true of; the supervisor is there meanwhile."""
        figures: dict[str, Any] = {}

        def look() -> bool:
            figures.update(self.status())
            return bool(done(figures))

        supervisor = psutil.Process(self.pid)
        said = partial(str, figures)
        until(look, [supervisor], deadline_s=deadline_s, look_s=LOOK_S, said=said)
        return figures

    def until_ended(self, accepted: int) -> dict[str, Any]:
        """Return the figures when source and sink both report so many frames, and none is open.

        Each reports by itself, so one may be behind the other.
        """
        return self.until(
            lambda figures: (
                figures["accepted"] == accepted
                and figures["located"] + figures["rejected"] + figures["failed"] == accepted
                and figures["open"] == 0
            )
        )

    def scale(self, setting: str) -> None:
        """Do what `haadflow scale` does."""
        stage, workers = setting.split("=")
        answer = ask(self._chain, Command(verb="scale", stage=stage, workers=int(workers)))
        assert answer.ok, answer.text

    def processes(self, beginning: str) -> list[psutil.Process]:
        """Return the services whose name begins so, as `preprocessing.worker`."""
        found = self.status()["processes"].items()
        return [psutil.Process(pid) for name, pid in found if name.startswith(beginning)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if psutil.pid_exists(self.pid):
            supervisor = psutil.Process(self.pid)
            supervisor.terminate()
            supervisor.wait(60)
        shutil.rmtree(self._sockets)


def _on_free_ports(text: str) -> str:
    found = sorted(set(re.findall(r"tcp://127\.0\.0\.1:(\d+)", text)))
    with ExitStack() as stack:
        free = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in found]
        ports = dict(zip(found, (str(each.getsockname()[1]) for each in free), strict=True))
    return re.sub(r"(?<=tcp://127\.0\.0\.1:)\d+", lambda port: ports[port[0]], text)
