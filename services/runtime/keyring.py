"""From a folder of keys to what each end needs; without a folder, to nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .endpoints import Curve
from .guard import doorkeeper
from .keys import Allowed, KeyFolder, KeysError
from .roles import LISTENS, MAY_CONNECT, End, Role
from .topology import Topology


class Keyring:
    """What a process needs of its host's keys.

    Parameters
    ----------
    folder
        None: the ends are as open as their addresses.

    Raises
    ------
    KeysError
        There is no such folder, or its list cannot be read.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = None if folder is None else KeyFolder(folder)
        self._allowed: Allowed | None = None if self._folder is None else self._folder.allowed()

    @classmethod
    def of(cls, topology: Topology) -> Keyring:
        """Return that of a chain on this host."""
        keys = topology.security.keys
        return cls(None if keys is None else Path(keys))

    def listen(self, end: End) -> Curve | None:
        """Return what an end needs to listen; its guard is at work from now on."""
        if self._folder is None or self._allowed is None:
            return None
        public, secret = self._folder.own(LISTENS[end])
        return Curve(public, secret, guard=doorkeeper().guard(end, self._allowed))

    def connect(self, role: Role, end: End) -> Curve | None:
        """Return what somebody needs to connect to an end."""
        assert role in MAY_CONNECT[end], (role, end)  # noqa: S101 - a programmer's error
        if self._folder is None or self._allowed is None:
            return None
        public, secret = self._folder.own(role)
        return Curve(public, secret, server=self._allowed.server(LISTENS[end]).encode())

    def check(self, roles: Iterable[Role]) -> None:
        """See that this host has what these roles need, connecting nothing.

        Raises
        ------
        KeysError
            Names the first file that is wrong or missing.
        """
        if self._folder is None or self._allowed is None:
            return
        for role in roles:
            public = self._folder.own(role)[0].decode()
            for end, may in MAY_CONNECT.items():
                if role in may:
                    self._allowed.server(LISTENS[end])
            if role in LISTENS.values() and self._allowed.server(role) != public:
                raise KeysError(
                    f"{self._allowed.path}: another key than this host's is that of the {role}"
                )


def frames_end(topology: Topology, stage: str) -> End:
    """Return what the end is called where a stage takes frames."""
    return "first_stage.frames" if stage == topology.stage[0].name else "stage.frames"
