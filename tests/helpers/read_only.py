"""An install that cannot be written to, as its user meets it: with processes, modes and mounts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

PACKAGES = ("pipeline", "protocols", "services")
STRANGER = 12345
DEADLINE_S = 240.0
REPORT = """
import dataclasses, json, sys
from pipeline import warm_up
print(json.dumps(dataclasses.asdict(warm_up(sys.argv[1:]))))
"""


class Install:
    """The packages in a folder of their own, as a wheel has them.

    Parameters
    ----------
    site
        The folder. If it is not there it is filled, without anything compiled.
    """

    def __init__(self, site: Path) -> None:
        self.site = site
        checkout = Path(__file__).parents[2]
        for name in () if site.exists() else PACKAGES:
            shutil.copytree(
                checkout / name, site / name, ignore=shutil.ignore_patterns("__pycache__")
            )

    def take_kernels_of_checkout(self, *, but: str) -> None:
        """Copy the machine code that the checkout has, but for one file's kernels.

        To compile all of them takes 20 s.
        """
        kept = Path(__file__).parents[2] / "pipeline" / "__pycache__"
        here = self.site / "pipeline" / "__pycache__"
        here.mkdir()
        for file in kept.glob("*.nb[ci]"):
            if not file.name.startswith(f"{but}."):
                shutil.copyfile(file, here / file.name)

    def run(
        self,
        *arguments: str,
        environment: Mapping[str, str],
        prefix: tuple[str, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run Python on this copy, with nothing in the environment but what is given."""
        given = {"PYTHONPATH": str(self.site), "PATH": os.environ["PATH"], **environment}
        return subprocess.run(
            [*prefix, sys.executable, *arguments],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            cwd="/",
            env=given,
            check=False,
        )

    def kernels(
        self, dtype: str = "u1", *, environment: Mapping[str, str], prefix: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """Warm up in a process of its own and return where it had the kernels from."""
        done = self.run("-c", REPORT, dtype, environment=environment, prefix=prefix)
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def seal(self) -> None:
        """Take away every right to write."""
        subprocess.run(["chmod", "-R", "a-w", str(self.site)], check=True)


def as_stranger() -> tuple[str, ...]:
    """Return what makes a command another user's, who may read everything and write nothing.

    Root ignores modes, so root becomes somebody else; he keeps the right to read, because the
    interpreter may lie in root's home.
    """
    if os.geteuid() != 0:
        return ()
    reads = "-all,+dac_read_search"
    who = (f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups")
    prefix = ("setpriv", *who, f"--inh-caps={reads}", f"--ambient-caps={reads}")
    return _that_works(prefix, "root cannot become another user here")


def on_read_only_root() -> tuple[str, ...]:
    """Return what runs a command in a mount namespace where no disk takes anything."""
    remount = (
        "mount --make-rprivate / && "
        "while read -r _ place type _; do case $type in proc|sysfs|cgroup*) ;; "
        '*) mount -o remount,bind,ro "$place" 2>/dev/null || true ;; esac; '
        "done < /proc/self/mounts; "
        '! touch /x /tmp/x 2>/dev/null && exec "$@"'
    )
    prefix = ("unshare", "--mount", "sh", "-c", remount, "sh")
    return _that_works(prefix, "mounting read-only needs root, and is not allowed everywhere")


def _that_works(prefix: tuple[str, ...], otherwise: str) -> tuple[str, ...]:
    if shutil.which(prefix[0]) is None:
        pytest.skip(f"there is no {prefix[0]}: {otherwise}")
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"{otherwise}: {tried.stderr.strip()}")
    return prefix
