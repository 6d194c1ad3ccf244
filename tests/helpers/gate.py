"""A gate in one worker: a frame is in hand there, for as long as a test wants."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from .command import environment

SHIM = """
import os, sys
if "worker" in sys.orig_argv and {stage!r} in sys.orig_argv:
    from services import clustering
    handle = clustering.Clustering.handle

    def gated(self, frame):
        mine = f"{gate}.{{os.getpid()}}"
        try:
            os.rename({gate!r}, mine)
        except FileNotFoundError:
            pass  # it is closed already, or another worker's
        else:
            with open(mine, "rb") as file:
                file.read()  # until the test opens and closes it
        return handle(self, frame)

    clustering.Clustering.handle = gated
"""


class Gate:
    """Holds the first worker of a stage that comes to it in the midst of a frame.

    The stage is one that hosts clustering. The worker is alive and connected meanwhile, as with a
    frame that takes long.
    """

    def __init__(self, folder: Path, stage: str) -> None:
        folder.mkdir()
        self._gate = folder / "gate"
        (folder / "sitecustomize.py").write_text(SHIM.format(gate=str(self._gate), stage=stage))
        self.environment: Mapping[str, str] = {**environment(), "PYTHONPATH": str(folder)}

    def set_up(self) -> None:
        """Put the gate where the next worker comes to it."""
        os.mkfifo(self._gate)

    def holder(self) -> int | None:
        """Return the process id of the worker that is held; None when there is none yet."""
        return next((int(p.suffix[1:]) for p in self._gate.parent.glob("gate.*")), None)

    def forget(self) -> None:
        """Take away what a worker that was killed there has left."""
        for path in self._gate.parent.glob("gate.*"):
            path.unlink()

    def open(self) -> None:
        """Let it go on."""
        for path in self._gate.parent.glob("gate.*"):
            path.open("wb").close()
            path.unlink()
