"""What drives an adapter: batches from the feed, one group of boxes after the other, and receipts.

Before the beam goes to a box, the journal says so; after it, what became of it. So whenever this
process is killed, the next one with the same journal can tell of every box whether the beam was
there, but of the group it was just at; and of that, if the controller can look it up (`Recalls`).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from protocols import REASON_CHARS, fit
from protocols.messages import Batch, Description, Go, Recall, Receipt, Withdrawn

from .bounds import refusals
from .controller import Box, Controller, ControllerGone, Limits, Recalls
from .journal import Before, Journal, Offer, offer_of
from .link import Link

IDLE_MS = 50
SAY_EVERY_S = 0.25
"""Receipts leave so often, not one by one."""
LEAVE_S = 3.0
"""So long a process that ends waits for the feed to note what it has said."""


@dataclass(slots=True)
class _Work:
    """The offer that is asked for, or under the beam."""

    offer: Offer
    begun: bool = False
    todo: deque[Box] = field(default_factory=deque)
    unwritten: list[Receipt] = field(default_factory=list)
    """Not in the journal yet."""
    unsaid: list[Receipt] = field(default_factory=list)
    back: list[int] = field(default_factory=list)
    """Boxes that came back without a receipt, and surely without the beam."""
    said: float = 0.0


def describe(name: str, session: str, limits: Limits, journal: str, window: int) -> Description:
    """Return what a controller says of itself to the feed."""
    return Description(
        controller=name,
        session=session,
        family=limits.family,
        grid_height=limits.grid_height,
        grid_width=limits.grid_width,
        field_height_nm=limits.field_height_nm,
        smallest_px=limits.smallest_px,
        largest_px=limits.largest_px,
        most_boxes=limits.most_boxes,
        points_per_edge=limits.points_per_edge,
        window=window,
        journal=journal,
        software=limits.software,
        settings=limits.settings,
    )


class Runner:
    """One controller at a feed; `step` turns its loop once.

    Parameters
    ----------
    stopped
        Asked between two groups of boxes: the process is to end.
    most
        Begin no more than so many batches; None for all that come.
    """

    def __init__(
        self,
        controller: Controller,
        limits: Limits,
        journal: Journal,
        link: Link,
        *,
        stopped: Callable[[], bool],
        most: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.batches = 0
        """Ended, and noted by the feed."""
        self.acquired = 0
        self._controller = controller
        self._limits = limits
        self._journal = journal
        self._link = link
        self._stopped = stopped
        self._left = most
        self._clock = clock
        self._log = structlog.get_logger()
        self._offers: dict[int, Offer] = {}
        self._work: _Work | None = None
        self._ending: list[Offer] = []

    def step(self, timeout_ms: int = IDLE_MS) -> None:
        """Hear the feed, then acquire a group, or ask for the next batch.

        Raises
        ------
        ControllerGone
            The instrument is not there; what is known of the boxes in hand has been said.
        """
        busy = self._work is not None and self._work.begun
        for said in self._link.hear(0 if busy else timeout_ms):
            if isinstance(said, Batch):
                self._offered(said)
            elif isinstance(said, Go):
                self._go(said.grant)
            elif isinstance(said, Withdrawn):
                self._withdrawn(said)
            else:
                self._recalled(said)
        self._forget_what_is_noted()
        work = self._work
        if work is None:
            self._ask()
        elif work.begun:
            if not work.todo or self._stopped():
                self._end(work)
            else:
                self._acquire(work)

    def leave(self) -> None:
        """Give back what is not begun, and wait a little until everything said is noted."""
        deadline = self._clock() + LEAVE_S
        if self._work is not None and self._work.begun:
            self._end(self._work)
        # Who has asked waits for the answer: `Go` may be written down by now.
        while (self._work or not self._link.all_noted()) and self._clock() < deadline:
            for said in self._link.hear(IDLE_MS):
                if isinstance(said, Recall):
                    self._recalled(said)
                elif isinstance(said, Withdrawn):
                    self._withdrawn(said)
                elif isinstance(said, Go):
                    self._go(said.grant)
                    if self._work is not None and self._work.begun:
                        self._end(self._work)
        self._forget_what_is_noted()

    def _offered(self, batch: Batch) -> None:
        offer = offer_of(batch)
        if offer.grant in self._offers or (self._work and self._work.offer.grant == offer.grant):
            return
        self._journal.offered(offer)
        self._offers[offer.grant] = offer

    def _ask(self) -> None:
        if self._offers and not self._stopped() and self._left != 0:
            offer = self._offers.pop(next(iter(self._offers)))
            self._work = _Work(offer)
            self._link.begin(offer)

    def _go(self, grant: int) -> None:
        work = self._work
        if work is None or work.begun or work.offer.grant != grant:
            return
        self._link.answered()
        self._journal.begun(grant)
        work.begun = True
        if self._left is not None:
            self._left -= 1
        work.said = self._clock()
        work.unsaid, work.todo = self._sort_out(work.offer)
        about = {"parent_id": work.offer.parent.parent_id, "boxes": len(work.todo)}
        self._log.info("batch.begun", seq=work.offer.parent.seq, grant=grant, **about)

    def _sort_out(self, offer: Offer) -> tuple[list[Receipt], deque[Box]]:
        """Return receipts that can be given without the beam, and the boxes it is to go to.

        A box that is neither is in doubt, and nothing is said of it.
        """
        parent = offer.parent
        refused = refusals(offer.boxes, parent, self._limits)
        receipts = [
            Receipt(box_id=box_id, status="rejected", reason=why) for box_id, why in refused.items()
        ]
        before = self._journal.before(parent)
        known, safe = self._look_up(
            offer,
            [b for b in offer.boxes if b.box_id in before and b.box_id not in refused],
            before,
        )
        receipts += known
        settled = {receipt.box_id for receipt in receipts}
        todo = deque(
            box
            for box in offer.boxes
            if box.box_id not in settled
            and (box.box_id not in before or box.box_id in safe or box.may_repeat)
        )
        return receipts, todo

    def _look_up(
        self, offer: Offer, boxes: Sequence[Box], before: dict[int, Before]
    ) -> tuple[list[Receipt], set[int]]:
        """Return of boxes that the journal knows their receipts, and those surely untouched."""
        receipts, unknown = [], []
        for box in boxes:
            receipt = before[box.box_id].receipt
            if receipt is None:
                unknown.append(box)
            else:
                receipts.append(receipt)
        safe: set[int] = set()
        if unknown and isinstance(self._controller, Recalls):
            for box_id, found in self._controller.recall(offer.parent, unknown).items():
                if found is None:
                    safe.add(box_id)
                else:
                    receipts.append(found)
        with self._journal.at_once():
            self._journal.settle(offer, receipts)
            self._journal.untouched(offer, safe)
        return receipts, safe

    def _acquire(self, work: _Work) -> None:
        at_once = self._limits.at_once or len(work.todo)
        group = [work.todo.popleft() for _ in range(min(at_once, len(work.todo)))]
        with self._journal.at_once():
            self._journal.settle(work.offer, work.unwritten)
            self._journal.aim(work.offer, group)
        work.unsaid += work.unwritten
        work.unwritten = []
        try:
            given = self._controller.acquire(work.offer.parent, group)
        except ControllerGone:
            self._end(work)
            raise
        except Exception as error:  # noqa: BLE001 - whatever an instrument's library raises
            self._log.exception("acquire.failed", boxes=[box.box_id for box in group])
            reason = fit(f"{type(error).__name__}: {error}", REASON_CHARS)
            given = [Receipt(box_id=b.box_id, status="failed", reason=reason) for b in group]
        asked = {box.box_id for box in group}
        work.unwritten = [receipt for receipt in given if receipt.box_id in asked]
        told = {receipt.box_id for receipt in work.unwritten}
        if len(told) < len(asked) or len(given) > len(asked):
            self._log.error("acquire.receipts", asked=len(asked), given=len(given))
            self._ask_after(work, [box for box in group if box.box_id not in told])
        self.acquired += sum(receipt.status == "acquired" for receipt in work.unwritten)
        if self._clock() - work.said >= SAY_EVERY_S:
            self._say(work)

    def _ask_after(self, work: _Work, boxes: Sequence[Box]) -> None:
        """Look up boxes that came back without a receipt; the untouched ones are given back."""
        aimed = {box.box_id: Before(work.offer.grant, None) for box in boxes}
        receipts, safe = self._look_up(work.offer, boxes, aimed)
        work.unsaid += receipts
        work.back += sorted(safe)

    def _say(self, work: _Work) -> None:
        """Say what is known so far; first write it down."""
        self._write(work)
        if work.unsaid:
            self._link.say(work.offer, work.unsaid)
        work.unsaid, work.said = [], self._clock()

    def _write(self, work: _Work) -> None:
        if work.unwritten:
            with self._journal.at_once():
                self._journal.settle(work.offer, work.unwritten)
            work.unsaid += work.unwritten
            work.unwritten = []

    def _end(self, work: _Work) -> None:
        """Say the last of an offer; what the beam has not reached is given back."""
        self._write(work)
        left = work.back + [box.box_id for box in work.todo]
        self._link.say(work.offer, work.unsaid, untouched=left, final=True)
        about = {"untouched": len(left)} if left else {}
        self._log.info("batch.ended", seq=work.offer.parent.seq, grant=work.offer.grant, **about)
        self._ending.append(work.offer)
        self._work = None

    def _withdrawn(self, said: Withdrawn) -> None:
        self._log.info("batch.withdrawn", seq=said.seq, grant=said.grant, why=said.reason)
        work = self._work
        if work is not None and work.offer.grant == said.grant:
            if work.begun:
                self._end(work)
                return
            self._link.answered()
            self._work = None
        self._offers.pop(said.grant, None)
        self._journal.over(said.grant)

    def _recalled(self, asked: Recall) -> None:
        """Tell what the journal knows of an offer to an earlier process."""
        found = self._journal.find(asked.grant)
        if found is None:
            self._log.error("recall.unknown", seq=asked.seq, grant=asked.grant)
            self._link.say_of((asked.run, asked.seq, asked.grant), [], final=True)
            return
        offer, begun = found
        before = self._journal.before(offer.parent) if begun else {}
        receipts, safe = self._look_up(
            offer, [b for b in offer.boxes if b.box_id in before], before
        )
        safe |= {box.box_id for box in offer.boxes} - before.keys()
        self._link.say(offer, receipts, untouched=sorted(safe), final=True)
        about = {"known": len(receipts), "untouched": len(safe), "of": len(offer.boxes)}
        self._log.info("recall.answered", seq=asked.seq, grant=asked.grant, **about)
        self._ending.append(offer)

    def _forget_what_is_noted(self) -> None:
        for offer in list(self._ending):
            if self._link.all_noted(offer.grant):
                self._journal.over(offer.grant)
                self._ending.remove(offer)
                self.batches += 1


class Aborter:
    """Tells a controller to stop the beam when the process is to end and an `acquire` is long."""

    LOOK_S = 0.1
    AGAIN_S = 1.0
    """A stop that has failed is tried again: the beam may still be on."""

    def __init__(self, controller: Controller, stopped: Callable[[], bool], grace_s: float) -> None:
        self._controller = controller
        self._stopped = stopped
        self._grace_s = grace_s
        self._done = threading.Event()
        self._log = structlog.get_logger()
        self._thread = threading.Thread(target=self._watch, name="aborter", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no more: the process is past its last `acquire`."""
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(self.LOOK_S):
            if self._stopped():
                ended = self._done.wait(self._grace_s)
                while not (ended or self._has_aborted()):
                    ended = self._done.wait(self.AGAIN_S)
                return

    def _has_aborted(self) -> bool:
        try:
            self._controller.abort()
        except Exception:  # noqa: BLE001 - whatever an instrument's library raises
            self._log.exception("abort.failed")
            return False
        return True
