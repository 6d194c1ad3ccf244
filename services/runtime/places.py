"""Where things lie in the folder that a chain writes into."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

SKIP_MARKER = ".haadflow-skip"
"""A folder with a file of this name holds what haadflow wrote: truth masks, overlays. A search for
survey images passes it over."""


class Places(NamedTuple):
    """Files and folders inside a chain's output folder."""

    out: Path

    def make(self) -> None:
        """Make the folders, and mark the output as no place to look for survey images."""
        self.logs.mkdir(parents=True, exist_ok=True)
        (self.out / SKIP_MARKER).touch()

    @property
    def hidden(self) -> Path:
        """What the chain needs and a microscopist does not."""
        return self.out / ".haadflow"

    @property
    def ledger(self) -> Path:
        """Accepted frames."""
        return self.hidden / "ledger.sqlite"

    @property
    def results(self) -> Path:
        """Committed outcomes."""
        return self.hidden / "results.sqlite"

    @property
    def feed(self) -> Path:
        """Batches offered to scan controllers, and their receipts."""
        return self.hidden / "feed.sqlite"

    @property
    def feed_lock(self) -> Path:
        """Held by the feed that offers what is here."""
        return self.hidden / "feed.lock"

    @property
    def spool(self) -> Path:
        """Images that cannot be read again from elsewhere."""
        return self.hidden / "spool"

    @property
    def dead_letters(self) -> Path:
        """Spooled images of failed frames."""
        return self.hidden / "deadletter"

    @property
    def keepsakes(self) -> Path:
        """Spooled images of the first frames, for the pictures."""
        return self.hidden / "first-images"

    @property
    def logs(self) -> Path:
        """One log a service."""
        return self.hidden / "logs"

    @property
    def supervisor_log(self) -> Path:
        """The supervisor's log among them."""
        return self.logs / "supervisor.log"

    @property
    def topology(self) -> Path:
        """The topology the chain runs with."""
        return self.hidden / "topology.json"

    @property
    def sockets(self) -> Path:
        """Names the folder of the sockets of the `run` that writes here."""
        return self.hidden / "sockets"

    @property
    def lock(self) -> Path:
        """Held by the chain that writes here."""
        return self.hidden / "lock"
