"""Which controllers are connected, and what they have said of themselves."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, field

from protocols.messages import Description

MOST = 256
"""Controllers at a time; a later one is not heard while there are so many."""


class Peer(Struct, kw_only=True):
    """One controller's connection."""

    address: bytes
    """What the socket calls it."""
    description: Description
    asked: set[int] = field(default_factory=set)
    """Offers of earlier sessions that its journal was asked about over this connection."""


class Peers:
    """Those that have described themselves."""

    def __init__(self) -> None:
        self._by_address: dict[bytes, Peer] = {}
        self._by_session: dict[str, Peer] = {}

    def describe(self, address: bytes, description: Description) -> tuple[Peer | None, bool]:
        """Take in what a peer says of itself; return it, and whether its connection is new.

        None if there are too many. A session that comes over another connection has left the old.
        """
        known = self._by_address.get(address)
        if known is not None and known.description.session == description.session:
            known.description = description
            return known, False
        if known is None and len(self._by_address) >= MOST:
            return None, False
        before = self._by_session.get(description.session)
        if before is not None:
            del self._by_address[before.address]
        peer = Peer(address=address, description=description)
        self._by_address[address] = self._by_session[description.session] = peer
        return peer, True

    def at(self, address: bytes) -> Peer | None:
        """Return who is at an address; None if it has not said."""
        return self._by_address.get(address)

    def with_session(self, session: str) -> Peer | None:
        """Return who has a session."""
        return self._by_session.get(session)

    def forget(self, peer: Peer) -> bool:
        """Drop one that is gone; say whether its session went with it, and not on elsewhere."""
        if self._by_address.get(peer.address) is peer:
            del self._by_address[peer.address]
        if self._by_session.get(peer.description.session) is peer:
            del self._by_session[peer.description.session]
            return True
        return False

    def __iter__(self) -> Iterator[Peer]:
        return iter(list(self._by_address.values()))

    def __len__(self) -> int:
        return len(self._by_address)
