"""The command `haadflow` as a user starts it: a process, with a deadline."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil

from .wait import until

COMMAND = (sys.executable, "-c", "from services.cli import main; main()")
DEADLINE_S = 240.0
LOOK_S = 0.05
"""Between two looks at which processes there are."""


def haadflow(
    *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        cwd=cwd,
        check=False,
        env=environment() if env is None else dict(env),
    )


def start(
    *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start the command and return at once."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        env=environment() if env is None else env,
    )


def environment() -> dict[str, str]:
    """Return an environment without settings of the tester's own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HAADFLOW_TOPOLOGY")}
    return kept | {"COLUMNS": "200"}


def role_of(process: psutil.Process) -> str | None:
    """Return what a process of a chain is, as `worker`; None if it is none, or gone."""
    try:
        line = process.cmdline()
    except psutil.Error:
        return None
    return line[line.index("services") + 1] if "services" in line else None


def services_of(pid: int) -> dict[str, psutil.Process]:
    """Return a supervisor's services by role and stage, as `preprocessing.worker`."""
    found: dict[str, psutil.Process] = {}
    for child in psutil.Process(pid).children(recursive=True):
        try:
            line = child.cmdline()
        except psutil.Error:
            continue
        if "services" in line:
            role = line[line.index("services") + 1 :]
            stage = "" if role[1].startswith("--") else f"{role[1]}."
            found[f"{stage}{role[0]}"] = child
    return found


def wait_for_services(pid: int, count: int) -> dict[str, psutil.Process]:
    """Return a supervisor's services when so many are there."""

    def started() -> dict[str, psutil.Process] | None:
        found = services_of(pid)
        return found if len(found) >= count else None

    found = until(
        started,
        [psutil.Process(pid)],
        deadline_s=60,
        look_s=LOOK_S,
        said=lambda: f"only {sorted(services_of(pid))} started",
    )
    assert found is not None
    return found
