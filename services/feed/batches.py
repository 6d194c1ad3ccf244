"""What may become of a batch: the only place that changes one (entry.py draws the states).

Every method is to be called inside a transaction of the store, which the caller ends before it
tells anybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from protocols.messages import Begin, Description, Receipt, Receipts
from protocols.scanning import FEED, OPERATOR
from services.results import Record, kind_of
from services.results.rows import n_boxes

from .entry import Entry, Known, State
from .store import FeedStore


class NotNow(Exception):
    """An operator's wish that does not fit the batch's state: which, and what would."""


class Heard(NamedTuple):
    """What receipts have changed."""

    wrong: str | None = None
    """Why they cannot be right, as a whole or in part; None if they can."""
    late: int = 0
    """How many boxes had another receipt already."""
    state: State | None = None
    """In which the batch is now; None if it is unknown."""


class Batches:
    """The batches of one feed."""

    def __init__(self, store: FeedStore) -> None:
        self.store = store
        self._came_back: list[int] = []

    def take_in(self, records: Iterable[tuple[int, Record]]) -> None:
        """Let outcomes wait, with their places in the result store."""
        for place, record in records:
            envelope = record.outcome.envelope
            self.store.put(
                Entry(
                    place=place,
                    run=envelope.run,
                    seq=envelope.seq,
                    parent_id=envelope.metadata.parent_id,
                    outcome=kind_of(record.outcome),
                    n_boxes=n_boxes(record.outcome),
                    since_unix=self.store.wall_clock(),
                )
            )

    def begin_again(self, why: str) -> None:
        """Take back what a feed before this moment had with controllers; who is there says so."""
        for state in ("offered", "started"):
            for entry in list(self.store.in_state(state)):
                self._let_go(entry, why)

    def refuse(self, entry: Entry, refused: Mapping[int, str]) -> None:
        """Give boxes a receipt before any controller has them."""
        for box_id, reason in refused.items():
            self._receive(entry, Receipt(box_id=box_id, status="rejected", reason=reason), FEED)
        if not entry.open and entry.n_boxes:
            self._into(entry, "done")
        self.store.put(entry)

    def offer(self, entry: Entry, to: Description, boxes: Sequence[int]) -> int:
        """Write down that a controller is offered these boxes; return the number of the offer."""
        number = self.store.new_grant(entry.place, to.controller, to.session, to.journal)
        entry.grant = number
        entry.controller, entry.session, entry.journal = to.controller, to.session, to.journal
        entry.offered, entry.untouched, entry.ended = list(boxes), [], False
        self._into(entry, "offered")
        self.store.put(entry)
        return number

    def begin(self, asked: Begin, session: str) -> str | None:
        """Write down that a batch is begun; else return why it may not be."""
        entry = self.store.of_frame(asked.run, asked.seq)
        if entry is None:
            return "no such batch was ever offered here"
        if entry.grant != asked.grant or entry.session != session:
            return f"this offer is over; the batch is {entry.state}"
        if entry.state in ("offered", "held"):
            # Of a held one: the answer was lost, and who asks again has not begun.
            self._into(entry, "started")
            self.store.put(entry)
        return None if entry.state == "started" else f"the batch is {entry.state}"

    def hear(self, said: Receipts, speaker: Description) -> Heard:
        """Keep receipts; those that cannot be of an offer to this speaker are not."""
        entry = self.store.of_frame(said.run, said.seq)
        granted = self.store.granted(said.grant)
        if entry is None or granted is None or granted.place != entry.place:
            return Heard(f"no offer {said.grant} of batch {said.run}/{said.seq} was made")
        mine = granted.session == speaker.session
        by_journal = granted.journal is not None and granted.journal == speaker.journal
        if not mine and not by_journal:
            return Heard(f"offer {said.grant} was made to {granted.controller}, another session")
        is_current = said.grant == entry.grant and entry.state in ("offered", "started", "held")
        wrong, late = self._keep(entry, said, granted.controller, is_current=is_current)
        if is_current:
            self._go_on(entry, said, mine=mine)
        elif entry.state == "offered":
            self._let_go(entry, "a receipt of an earlier offer came")
        elif entry.n_boxes and not entry.open:
            self._into(entry, "done")
        elif entry.state == "held" and not entry.doubtful:
            self._settle(entry, ended=False)
        elif entry.state == "waiting":
            self._came_back.append(entry.place)  # with fewer boxes it may be for another
        self.store.put(entry)
        return Heard(wrong, late, entry.state)

    def _keep(
        self, entry: Entry, said: Receipts, by: str, *, is_current: bool
    ) -> tuple[str | None, int]:
        """Keep the receipts of boxes that were offered; return what is wrong, and how many late."""
        wrong = None
        late = 0
        offered = set(entry.offered) | entry.receipts.keys() if is_current else None
        for receipt in said.receipts:
            if (why := _no_box_of(said, receipt.box_id, entry.n_boxes, offered)) is not None:
                wrong = why
            elif not self._receive(entry, receipt, by, said.grant):
                late += self._comes_late(entry, receipt, by, said.grant)
        return wrong, late

    def gone(self, session: str, controller: str) -> None:
        """Take back what a session has that has no connection any more."""
        for entry in self.store.with_session(session):
            if entry.state != "held":
                self._let_go(entry, f"{controller} is gone")

    def back(self, who: Description) -> list[Entry]:
        """Give a session that is there again what it had; return what to ask its journal about."""
        if who.journal is not None:
            for entry in self.store.with_journal(who.journal):
                # Its journal is locked by its process: an earlier session is over.
                if entry.session != who.session and entry.state != "held":
                    self._let_go(entry, f"{entry.controller} was started again")
        for entry in self.store.with_session(who.session):
            if entry.state == "held" and entry.doubtful and entry.why.startswith(_AWAY):
                self._into(entry, "started")
                self.store.put(entry)
        if who.journal is None:
            return []
        asked = self.store.with_journal(who.journal)
        return [e for e in asked if e.state == "held" and e.session != who.session]

    def came_back(self) -> list[int]:
        """Return the places of the batches that wait again since this was asked last."""
        found, self._came_back = self._came_back, []
        return found

    def release(self, entry: Entry, *, repeat: bool) -> None:
        """Let a held batch be offered again; of what is in doubt, only with `repeat`.

        Raises
        ------
        NotNow
            It is neither held nor done with boxes that the feed has rejected. Those of a held
            batch stay rejected: its boxes in doubt are another question.
        """
        refused = _refused_here(entry)
        if entry.state == "done" and refused:
            for box in refused:
                del entry.receipts[box]
        elif entry.state != "held":
            raise NotNow(
                f"is {entry.state}; what is held can be released, and what is done and has boxes "
                "that the feed has rejected"
            )
        doubtful = entry.doubtful
        if repeat:
            entry.may_repeat = sorted({*entry.may_repeat, *doubtful})
        else:
            self._drop(entry, doubtful, "in doubt, and not to be repeated")
        self._settle(entry, ended=True, doubtful=())
        self.store.note(
            entry.place, f"released by the operator, {'' if repeat else 'not '}repeating"
        )
        self.store.put(entry)

    def drop(self, entry: Entry) -> None:
        """Give every open box of a batch that is not under a beam the receipt `failed`.

        Raises
        ------
        NotNow
            It is done, or a controller has begun it.
        """
        if entry.state == "started":
            raise NotNow(f"is under the beam of {entry.controller}; stop that controller first")
        if entry.state == "done":
            raise NotNow("is done")
        self._drop(entry, entry.open, "dropped")
        self._into(entry, "done")
        self.store.put(entry)

    def _drop(self, entry: Entry, boxes: Iterable[int], why: str) -> None:
        for box in boxes:
            reason = f"operator: {why}"
            self._receive(entry, Receipt(box_id=box, status="failed", reason=reason), OPERATOR)

    def _go_on(self, entry: Entry, said: Receipts, *, mine: bool) -> None:
        """Take in what is said of the current offer beside the receipts."""
        if entry.state == "offered" or (entry.state == "held" and mine and not entry.ended):
            self._into(entry, "started")
        known = {*entry.untouched, *entry.receipts}
        offered = set(entry.offered)
        entry.untouched += [b for b in said.untouched if b in offered and b not in known]
        entry.ended |= said.final
        if entry.ended:
            self._settle(entry, ended=True)

    def _settle(self, entry: Entry, *, ended: bool, doubtful: Sequence[int] | None = None) -> None:
        """Decide what becomes of a batch whose offer is over.

        `ended`: its controller has said so; else it is gone.
        """
        left = entry.doubtful if doubtful is None else list(doubtful)
        if left:
            entry.offered = left
            entry.untouched = []
            who = entry.controller
            entry.why = (
                f"{who} does not know what became of {_counted(left)}" if ended else entry.why
            )
            self._into(entry, "held")
            return
        done = not entry.open if entry.n_boxes else ended
        self._into(entry, "done" if done else "waiting")

    def _let_go(self, entry: Entry, why: str) -> None:
        """Take a batch from a controller that has not ended it."""
        if entry.state == "started":
            entry.why = f"{_AWAY}{why}, and {_counted(entry.doubtful)} may have been under the beam"
            self._settle(entry, ended=False)
        else:
            self._into(entry, "waiting" if entry.open or not entry.n_boxes else "done")
        self.store.put(entry)

    def _into(self, entry: Entry, state: State) -> None:
        if state in ("waiting", "done"):
            entry.offered, entry.untouched = [], []
        if state == "waiting":
            self._came_back.append(entry.place)
        if state != "held":
            entry.why = ""
        entry.begun |= state == "started"
        if state == "done":
            entry.may_repeat = []
        entry.state = state
        entry.since_unix = self.store.wall_clock()
        offer = f", offer {entry.grant} to {entry.controller}" if entry.grant is not None else ""
        self.store.note(entry.place, f"{state}{offer}{f': {entry.why}' if entry.why else ''}")

    def _receive(self, entry: Entry, receipt: Receipt, by: str, grant: int | None = None) -> bool:
        """Keep a receipt; False if the box has another one."""
        before = entry.receipts.get(receipt.box_id)
        if before is not None:
            return (before.status, before.grant) == (receipt.status, grant)
        entry.receipts[receipt.box_id] = Known(
            box_id=receipt.box_id,
            status=receipt.status,
            reason=receipt.reason,
            seconds=receipt.seconds,
            by=by,
            grant=grant,
            unix=self.store.wall_clock(),
        )
        return True

    def _comes_late(self, entry: Entry, receipt: Receipt, by: str, grant: int) -> bool:
        said = (receipt.status, receipt.reason, by)
        new = self.store.came_late(entry.place, receipt.box_id, grant, said)
        if new:
            before = entry.receipts[receipt.box_id]
            self.store.note(
                entry.place,
                f"late: {by} says {receipt.status} of box {receipt.box_id}, offer {grant}; "
                f"it has {before.status} from {before.by}",
            )
        return new


_AWAY = "away: "


def _no_box_of(said: Receipts, box: int, count: int, offered: set[int] | None) -> str | None:
    """Say why a box is none of an offer; None if it is, or the offer is over."""
    batch = f"{said.run}/{said.seq}"
    if box >= count:
        return f"box {box}: batch {batch} has {count}"
    if offered is not None and box not in offered:
        return f"box {box} is not in offer {said.grant} of {batch}"
    return None


def _refused_here(entry: Entry) -> list[int]:
    """Return the boxes that have their receipt from the feed, and no controller ever had."""
    return [
        box
        for box, known in entry.receipts.items()
        if known.by == FEED and known.grant is None and known.status == "rejected"
    ]


def _counted(boxes: Sequence[int]) -> str:
    return f"{len(boxes)} box" if len(boxes) == 1 else f"{len(boxes)} boxes"
