"""The feed as a process: reads the result store, talks to controllers, keeps the state of batches.

A turn takes in what has come, changes the batches in one transaction, and speaks when that is on
the disk. What cannot be written is not answered, so its sender says it again.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import structlog

from protocols import DecodeError, decode, encode
from protocols.messages import (
    Batch,
    Begin,
    Description,
    FromController,
    FromFeed,
    Go,
    Noted,
    Probe,
    Recall,
    Receipts,
    Withdrawn,
)
from services.results import Record, ResultStore, StoreError
from services.results.errors import EmptyStore
from services.runtime.bad_input import BadInput
from services.runtime.disk import AGAIN_S, is_full
from services.runtime.endpoints import (
    MESSAGES_A_TURN,
    Dispatcher,
    Listener,
    Poller,
    Publisher,
)
from services.runtime.keyring import Keyring
from services.runtime.lock import sole_feed
from services.runtime.places import Places
from services.runtime.process import Pulse, Stop
from services.runtime.topology import Topology, TopologyError

from .batches import Batches
from .entry import Entry
from .looking import Looking
from .offering import batch_of, choose_order, refused_by, takes
from .peers import Peer, Peers
from .store import FeedStore

IDLE_MS = 25
"""Until it is seen that the sink has committed, or an operator has decided, at most."""
PROBE_EVERY_S = 0.4
"""Each controller is probed so often: a send to one that is gone fails at once."""
MESSAGES_WAITING = 256
"""Of one controller; the next one waits in its own memory."""
TAKEN_IN_AT_ONCE = 512
SETTLED_S = 6.0
"""A box that those who are here cannot take is not refused before nobody has come or gone for so
long: controllers that start together come one after the other, and those of a feed that is started
again within `RECONNECT_MAX_MS`."""
LOOKED_AT = 64
"""Waiting batches that are looked at in a turn for a controller that takes them."""


class Feed:
    """One chain's feed; `step` turns its loop once."""

    def __init__(
        self,
        topology: Topology,
        places: Places,
        *,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        address = topology.feed.batches
        if address is None:
            raise TopologyError("feed.batches: no address; a feed needs one", key=("feed",))
        self.store = FeedStore(places.feed, wall_clock=wall_clock)
        self._batches = Batches(self.store)
        self._order = topology.feed.order
        self._results_path = places.results
        self._results: ResultStore | None = None
        self._pause = pause
        self._clock = clock
        self._log = structlog.get_logger()
        keyring = Keyring.of(topology)
        self._end = Dispatcher(
            address, waiting=MESSAGES_WAITING, curve=keyring.listen("feed.batches")
        )
        self.address = self._end.address
        ends: dict[str, Listener] = {"feed.batches": self._end}
        self._copies: Publisher | None = None
        if topology.feed.copies is not None:
            curve = keyring.listen("feed.copies")
            self._copies = Publisher(topology.feed.copies, curve=curve)
            ends["feed.copies"] = self._copies
        self._bad = BadInput(ends, clock=clock)
        self._poller = Poller([self._end])
        self._peers = Peers()
        self._changed = clock()
        """When a controller came or went last."""
        self._probed = 0.0
        self._lost: list[Peer] = []
        self._to_say: list[tuple[Peer, FromFeed]] = []
        self._to_copy: list[Batch | Receipts] = []
        self._may_offer = True
        self._looking = Looking()
        self._more_to_take_in = True
        self._waits_for_disk = self._begins_again = False
        with self.store.transaction():
            self._batches.begin_again("the feed was started again")
        self._pulse = Pulse(
            "feed",
            topology.chain.beats,
            self._figures,
            curve=keyring.connect("feed", "chain.beats"),
        )

    def step(self, timeout_ms: float = IDLE_MS) -> None:
        """Take in what has come, offer what can go."""
        came = []
        if self._poller.wait(timeout_ms):
            came = list(islice(iter(self._end.receive, None), MESSAGES_A_TURN))
        self._to_say, self._to_copy = [], []
        try:
            with self.store.transaction():
                if self._begins_again:
                    self._batches.begin_again("the disk of the feed was full")
                for address, parts in came:
                    self._hear(address, parts)
                self._take_leave()
                self._take_in()
                self._offer()
        except sqlite3.Error as error:
            if not is_full(error):
                raise
            self._log.error("feed.disk_full", error=str(error))
            # What was heard in this turn is not in the file: all begins again, as after a restart.
            # Controllers describe themselves again by and by, and say again what is not noted.
            self._peers = Peers()
            self._looking.anew()
            self._begins_again = True
            self._waits_for_disk = self._may_offer = self._more_to_take_in = True
            self._pause(AGAIN_S)
        else:
            self._waits_for_disk = self._begins_again = False
            self._speak()
        self._probe()
        self._pulse.beat()

    def close(self) -> None:
        """Note what is here, then leave."""
        self.step(0)
        self._pulse.close()
        self._end.close()
        if self._copies is not None:
            self._copies.close()
        if self._results is not None:
            self._results.close()
        self.store.close()

    def _hear(self, address: bytes, parts: list[Any]) -> None:
        try:
            said: FromController = decode(parts, expect=(Description, Begin, Receipts))
        except DecodeError as error:
            self._bad.refuse("controller.undecodable", error, where="feed.batches")
            return
        if isinstance(said, Description):
            self._described(address, said)
            return
        peer = self._peers.at(address)
        if peer is None:
            # Of one that this feed, started again, does not know yet; it says it again.
            why = f"{type(said).__name__} came before its Description"
            self._bad.note("controller.not_described", why, where="feed.batches")
        elif isinstance(said, Begin):
            self._asked_to_begin(peer, said)
        else:
            self._received(peer, said)

    def _described(self, address: bytes, said: Description) -> None:
        before = self._peers.at(address)
        takes_else = before is not None and takes(before.description) != takes(said)
        peer, new = self._peers.describe(address, said)
        if peer is None:
            why = f"{said.controller!r:.80} is one more than {len(self._peers)} controllers"
            self._bad.refuse("controller.too_many", why, where="feed.batches")
            return
        if new or takes_else:
            self._others_are_here()
        if new:
            about = {"session": said.session, "family": said.family, "software": said.software}
            self._log.info("controller.here", controller=said.controller, **about)
        for entry in self._batches.back(said):
            if entry.grant is not None and entry.grant not in peer.asked:
                peer.asked.add(entry.grant)
                ask = Recall(run=entry.run, seq=entry.seq, grant=entry.grant)
                self._to_say.append((peer, ask))
        if new:
            for entry in self.store.with_session(said.session):
                if entry.state == "offered":  # over the connection before, perhaps in vain
                    self._say_batch(peer, entry, self._record(entry))

    def _asked_to_begin(self, peer: Peer, said: Begin) -> None:
        why = self._batches.begin(said, peer.description.session)
        named = {"run": said.run, "seq": said.seq, "grant": said.grant}
        if why is None:
            self._to_say.append((peer, Go(**named)))  # type: ignore[arg-type]  # of these types
        else:
            self._to_say.append((peer, Withdrawn(**named, reason=why)))  # type: ignore[arg-type]

    def _received(self, peer: Peer, said: Receipts) -> None:
        heard = self._batches.hear(said, peer.description)
        if heard.wrong is not None:
            self._bad.refuse("receipts.of_no_offer", heard.wrong, where="feed.batches")
        if heard.late:
            about = {"run": said.run, "seq": said.seq, "boxes": heard.late}
            self._log.warning("receipts.late", controller=peer.description.controller, **about)
        if heard.state == "held":
            self._log.warning("batch.held", run=said.run, seq=said.seq)
        self._may_offer = True
        self._to_say.append((peer, Noted(number=said.number)))
        self._to_copy.append(said)

    def _take_leave(self) -> None:
        """Take back what those have that are gone."""
        for peer in self._lost:
            if self._peers.forget(peer):
                description = peer.description
                self._batches.gone(description.session, description.controller)
                self._log.warning("controller.gone", controller=description.controller)
                self._others_are_here()
        self._lost = []

    def _others_are_here(self) -> None:
        """Note that a controller came or went: what nobody took may be for somebody now."""
        self._may_offer = True
        self._changed = self._clock()
        self._looking.anew()

    def _take_in(self) -> None:
        """Let what the sink has committed wait, and see what an operator has decided."""
        if self.store.others_wrote():
            self._may_offer = True
            self._looking.anew()
        results = self._opened()
        if results is None or not (results.others_wrote() or self._more_to_take_in):
            return
        found = results.committed_behind(self.store.highest_place(), TAKEN_IN_AT_ONCE)
        self._batches.take_in(found)
        self._more_to_take_in = len(found) == TAKEN_IN_AT_ONCE
        self._may_offer |= bool(found)

    def _opened(self) -> ResultStore | None:
        if self._results is None and self._results_path.exists():
            try:
                self._results = ResultStore(self._results_path)
            except EmptyStore:
                return None  # the sink is about to make it
            except StoreError as error:
                if not _is_busy(error):
                    raise
        return self._results

    def _record(self, entry: Entry) -> Record:
        results = self._opened()
        if results is None:
            raise StoreError(self._results_path, "is not there any more")
        return results.record_at(entry.place)

    def _offer(self) -> None:
        """Offer what waits to those who have room for it."""
        for place in self._batches.came_back():
            self._looking.again(place)
        if self._is_settled():
            self._may_offer |= self._looking.settled()
        if not self._may_offer or not len(self._peers):
            return
        self._may_offer = False
        room = {
            peer.address: peer.description.window - self.store.count_with(peer.description.session)
            for peer in self._peers
        }
        free = [address for address, left in room.items() if left > 0]
        page = self.store.waiting(LOOKED_AT, self._looking.behind(free)) if free else []
        for entry in page:
            free = [address for address, left in room.items() if left > 0]
            if not free:
                return
            self._offer_one(entry, room)
            self._looking.seen(entry.place, free)
        self._may_offer |= len(page) == LOOKED_AT

    def _is_settled(self) -> bool:
        return self._clock() - self._changed >= SETTLED_S

    def _offer_one(self, entry: Entry, room: dict[bytes, int]) -> None:
        """Offer a batch to who takes most of it, if there is room; what nobody takes is refused."""
        record = self._record(entry)
        unsettled = set(entry.open)
        boxes = [
            box for box in choose_order(entry, record, self._order).tolist() if box in unsettled
        ]
        refused = {
            peer.address: refused_by(peer.description, record, boxes) for peer in self._peers
        }
        fewest = min(map(len, refused.values()))
        fit = [peer for peer in self._peers if len(refused[peer.address]) == fewest]
        peer = max(fit, key=lambda one: room[one.address])
        theirs = [box for box in boxes if box not in refused[peer.address]]
        if room[peer.address] < 1 and (theirs or not boxes):
            return
        if not self._refuse(entry, list(refused.values())):
            return
        if theirs or not boxes:
            self._batches.offer(entry, peer.description, theirs[: peer.description.most_boxes])
            room[peer.address] -= 1
            self._say_batch(peer, entry, record)

    def _refuse(self, entry: Entry, by_each: Sequence[Mapping[int, str]]) -> bool:
        """Refuse the boxes that nobody here takes; False if it is too early to say that."""
        if entry.was_begun:
            return True  # somebody has taken it before: what is left waits for one who takes it
        first, *others = by_each
        nobodys = [box for box in first if all(box in theirs for theirs in others)]
        if not nobodys:
            return True
        if not self._is_settled():
            self._looking.undecided(entry.place)
            return False
        nearest = min(by_each, key=len)
        self._batches.refuse(entry, {box: nearest[box] for box in nobodys})
        about = {"run": entry.run, "seq": entry.seq, "boxes": len(nobodys)}
        self._log.warning("boxes.refused", **about, why=nearest[nobodys[0]])
        return True

    def _say_batch(self, peer: Peer, entry: Entry, record: Record) -> None:
        batch = batch_of(entry, record)
        self._to_say.append((peer, batch))
        self._to_copy.append(batch)

    def _speak(self) -> None:
        for peer, message in self._to_say:
            if not self._end.send(peer.address, encode(message)):
                self._lost.append(peer)
        if self._copies is not None:
            for copied in self._to_copy:
                self._copies.send(encode(copied))

    def _probe(self) -> None:
        if self._clock() - self._probed < PROBE_EVERY_S:
            return
        self._probed = self._clock()
        self._lost += [p for p in self._peers if not self._end.send(p.address, encode(Probe()))]

    def _figures(self) -> dict[str, Any]:
        sums = self.store.sums()
        figures: dict[str, Any] = {
            "controllers": len(self._peers),
            **{state: counts.batches for state, counts in sums.items()},
            "boxes": sum(counts.boxes for counts in sums.values()),
            "acquired": sum(counts.acquired for counts in sums.values()),
            "refused": sum(counts.rejected for counts in sums.values()),
            "box_failed": sum(counts.failed for counts in sums.values()),
            "late": self.store.late(),
            **self._bad.figures(),
            "waits_for_disk": int(self._waits_for_disk),
        }
        return figures


def run(topology: Topology, places: Places) -> None:
    """Run until told to stop.

    Raises
    ------
    ChainBusy, AddressError, KeysError, FeedError
        It cannot start.
    """
    stop = Stop()
    with sole_feed(places):
        feed = Feed(topology, places)
        while not stop:
            feed.step()
        feed.close()


def _is_busy(error: StoreError) -> bool:
    """Say whether the sink is just making the store."""
    code = getattr(error.__cause__, "sqlite_errorcode", None)
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN)
