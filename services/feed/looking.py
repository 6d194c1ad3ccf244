"""Which waiting batches each controller has been looked for already.

What no controller here takes waits, perhaps for days, and there may be any number of it. So each
controller has a place up to which nothing that waits is for it, or nothing that has room: the next
look goes on behind it. Who was busy meanwhile goes on where it was, in the order of commits.
"""

from __future__ import annotations

from collections.abc import Iterable


class Looking:
    """How far the batches were looked through, by a controller's address."""

    def __init__(self) -> None:
        self._through: dict[bytes, int] = {}
        self._undecided: int | None = None

    def anew(self) -> None:
        """Begin at the first batch: other controllers are here, or an operator has decided."""
        self._through.clear()
        self._undecided = None

    def again(self, place: int) -> None:
        """Look at a batch again, and at what is behind it: it has come back."""
        for address, through in self._through.items():
            self._through[address] = min(through, place - 1)

    def behind(self, free: Iterable[bytes]) -> int:
        """Return the place behind which there may be something for one of these."""
        return min(self._through.get(address, 0) for address in free)

    def seen(self, place: int, free: Iterable[bytes]) -> None:
        """Take in that there is nothing at this place any more for those that had room."""
        for address in free:
            self._through[address] = max(self._through.get(address, 0), place)

    def undecided(self, place: int) -> None:
        """Remember a batch that is to be looked at again when the controllers are settled."""
        self._undecided = min(place, self._undecided or place)

    def settled(self) -> bool:
        """Look again at what was undecided, if there was anything."""
        if self._undecided is None:
            return False
        self.again(self._undecided)
        self._undecided = None
        return True
