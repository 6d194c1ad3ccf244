"""A controller's end of the conversation with the feed: says everything until it is answered."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from protocols import DecodeError, decode, encode
from protocols.messages import (
    Batch,
    Begin,
    Description,
    FromFeed,
    Go,
    Noted,
    Probe,
    Recall,
    Receipt,
    Receipts,
    Withdrawn,
)
from services.runtime.endpoints import Requester
from services.runtime.keyring import Keyring

from .journal import Offer

AGAIN_S = 1.0
"""What is not answered is said again."""
AWAY_S = 3.0
RECEIPTS_AT_ONCE = 256
UNTOUCHED_AT_ONCE = 4096


class Link:
    """One session with a feed.

    Parameters
    ----------
    feed
        Its address.
    description
        What the controller takes; the session is drawn here.
    keys
        Folder with the controller's key and the feed's, if the chain has keys.
    """

    def __init__(
        self,
        feed: str,
        description: Callable[[str], Description],
        *,
        keys: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.description = description(uuid.uuid4().hex[:16])
        self.strange = 0
        """Messages that no feed sends."""
        self._clock = clock
        self._socket = Requester(feed, curve=Keyring(keys).connect("controller", "feed.batches"))
        self._numbers = itertools.count(1)
        self._unnoted: dict[int, tuple[Receipts, float]] = {}
        self._asked: tuple[Begin, float] | None = None
        self._described = -AGAIN_S
        self._heard: float | None = None

    def hear(self, timeout_ms: int) -> Iterator[Batch | Go | Withdrawn | Recall]:
        """Say again what is not answered, then yield what the feed says."""
        self._say_again()
        parts = self._socket.receive(timeout_ms)
        while parts is not None:
            said = self._decoded(parts)
            if isinstance(said, Noted):
                self._unnoted.pop(said.number, None)
            elif said is not None and not isinstance(said, Probe):
                yield said
            parts = self._socket.receive()

    @property
    def is_heard(self) -> bool:
        """Whether the feed is there: it probes its controllers all the time."""
        return self._heard is not None and self._clock() - self._heard < AWAY_S

    def begin(self, offer: Offer) -> None:
        """Ask whether a batch may be begun, until `answered`."""
        parent = offer.parent
        self._asked = Begin(run=parent.run, seq=parent.seq, grant=offer.grant), -AGAIN_S
        self._say_again()

    def answered(self) -> None:
        """Ask no more."""
        self._asked = None

    def say(
        self,
        offer: Offer,
        receipts: list[Receipt],
        *,
        untouched: list[int] | None = None,
        final: bool = False,
    ) -> None:
        """Say what became of boxes of an offer, until it is noted."""
        self.say_of(
            (offer.parent.run, offer.parent.seq, offer.grant),
            receipts,
            untouched=untouched,
            final=final,
        )

    def say_of(
        self,
        offer: tuple[str, int, int],
        receipts: list[Receipt],
        *,
        untouched: list[int] | None = None,
        final: bool = False,
    ) -> None:
        """Do as `say` does, of an offer known by (run, seq, grant) only."""
        run, seq, grant = offer
        given_back = untouched or []
        pieces = max(
            -(-len(receipts) // RECEIPTS_AT_ONCE), -(-len(given_back) // UNTOUCHED_AT_ONCE), 1
        )
        for piece in range(pieces):
            said = Receipts(
                number=next(self._numbers),
                run=run,
                seq=seq,
                grant=grant,
                receipts=tuple(receipts[piece * RECEIPTS_AT_ONCE :][:RECEIPTS_AT_ONCE]),
                untouched=tuple(given_back[piece * UNTOUCHED_AT_ONCE :][:UNTOUCHED_AT_ONCE]),
                final=final and piece == pieces - 1,
            )
            self._unnoted[said.number] = said, -AGAIN_S
        self._say_again()

    def all_noted(self, grant: int | None = None) -> bool:
        """Say whether the feed has written down everything, or everything of one offer."""
        return not any(grant in (None, said.grant) for said, _ in self._unnoted.values())

    def close(self) -> None:
        """Leave; what was just said has a moment to go."""
        self._socket.close()

    def _say_again(self) -> None:
        now = self._clock()
        if now - self._described >= AGAIN_S:
            self._described = now
            self._socket.send(encode(self.description))
        if not self.is_heard:
            return  # what is said to a feed that is away piles up until it is back
        if self._asked is not None and now - self._asked[1] >= AGAIN_S:
            self._asked = self._asked[0], now
            self._socket.send(encode(self._asked[0]))
        unnoted: set[int] = set()
        for number, (said, when) in self._unnoted.items():
            # The last of an offer comes last: what was not heard before it would be in doubt.
            is_early = said.final and said.grant in unnoted
            unnoted.add(said.grant)
            if now - when >= AGAIN_S and not is_early:
                self._unnoted[number] = said, now
                self._socket.send(encode(said))

    def _decoded(self, parts: list[Any]) -> FromFeed | Probe | None:
        try:
            said = decode(parts)
        except DecodeError:
            self.strange += 1
            return None
        if isinstance(said, Batch | Go | Withdrawn | Noted | Recall | Probe):
            self._heard = self._clock()
            return said
        self.strange += 1
        return None
