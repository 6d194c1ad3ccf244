"""Where detectors offer images: accepted means written into the ledger, and the image is kept.

With a spool the image is on disk before the offer is answered. Without one it is in memory only, so
the answer waits until the frame has ended: until then the detector has the image too, and offers it
again when this process was started anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from numpy.typing import NDArray

from protocols import DEFAULT_LIMITS, DecodeError, EncodeError, decode, encode, fit, offer_number
from protocols.bounds import REASON_CHARS
from protocols.messages import Accepted, Metadata, Offer, Refused, SurveyImage

from .detectors.formats.image import DEFAULT_READ_LIMITS, ReadLimits, UnreadableImage
from .detectors.metadata import MetadataError, checked_from_sender
from .image_checksum import checksum_of
from .intake import Intake, Prepared, first_envelope
from .runtime.bad_input import BadInput
from .runtime.disk import is_full
from .runtime.durable import Flusher
from .runtime.endpoints import LARGEST_PART, Curve, Dispatcher
from .runtime.ledger import LONGEST_NAME, Ledger, LedgerFrame, NewFrame
from .runtime.spool import Spool

OFFERS = "source.offers"
OFFERS_A_TURN = 16
"""Taken in and accepted together, in one transaction; as many of a detector wait in memory."""


class _Heard(NamedTuple):
    peer: bytes
    offer: Offer
    frame: NewFrame


class Reception:
    """One source's end for detectors.

    Parameters
    ----------
    address
        To listen on.
    ledger, intake
        Where frames are written down, and where their images go from here.
    spool
        Where images are kept; None keeps them in memory.
    flusher
        Sees to it that both are on the disk soon; None leaves that to them.
    bad
        Counts what is no offer.
    limits
        The largest image that is taken.
    curve
        Keys of the end, if there are any.
    """

    def __init__(
        self,
        address: str,
        ledger: Ledger,
        intake: Intake,
        spool: Spool | None,
        flusher: Flusher | None = None,
        *,
        bad: BadInput,
        limits: ReadLimits = DEFAULT_READ_LIMITS,
        curve: Curve | None = None,
    ) -> None:
        self._flusher = flusher
        self.accepted = 0
        self.refused = 0
        # A little too large is refused by name; what is far too large is not received.
        largest = min(DEFAULT_LIMITS.array_bytes, max(LARGEST_PART, 2 * limits.image_bytes))
        self.end = Dispatcher(address, waiting=OFFERS_A_TURN, largest_part=largest, curve=curve)
        self._bad = bad
        bad.watch(OFFERS, self.end)
        self._limits = limits
        self._ledger = ledger
        self._intake = intake
        self._spool = spool
        self._unanswered: dict[int, tuple[bytes, int]] = {}

    def hear(self, at_most: int) -> int:
        """Accept or refuse what has come; return how many frames are new."""
        heard = self._heard(at_most)
        if not heard:
            return 0
        before = self.accepted
        try:
            self._accept(heard)
        except (OSError, sqlite3.Error, EncodeError):
            # Whichever it was, none was accepted: find out one by one.
            for each in heard:
                self._accept_or_refuse(each)
        return self.accepted - before

    def frame_closed(self, seq: int) -> None:
        """Tell the detector that waits for it, if one does."""
        waiting = self._unanswered.pop(seq, None)
        if waiting is not None:
            peer, number = waiting
            self._say(peer, Accepted(offer=number, run=self._ledger.run, seq=seq))

    def close(self) -> None:
        """Leave."""
        self.end.close()

    def _heard(self, at_most: int) -> list[_Heard]:
        heard: list[_Heard] = []
        for _ in range(at_most):
            came = self.end.receive()
            if came is None:
                break
            peer, parts = came
            try:
                offer = decode(parts, expect=(Offer,))
                metadata = checked_from_sender(offer.metadata)
                height, width = offer.image.shape
                self._limits.check(height, width, offer.image.itemsize)
            except DecodeError as error:
                self._bad.count()
                self._refuse(peer, offer_number(parts), error)
            except (MetadataError, UnreadableImage) as error:
                self._refuse(peer, offer.offer, error)
            else:
                key = f"{offer.session} {offer.offer}"
                frame = NewFrame(key, metadata, None, image_checksum=checksum_of(offer.image))
                heard.append(_Heard(peer, offer, frame))
        return heard

    def _accept(self, heard: Sequence[_Heard]) -> None:
        """Accept all of them, or raise and accept none."""
        # Of two with the same number the first is accepted, and its image.
        images = {each.frame.key: each.offer.image for each in reversed(heard)}
        prepared: dict[int, Prepared] = {}

        def keep(key: str, fresh: LedgerFrame) -> None:
            prepared[fresh.seq] = self._prepare(fresh, images[key])

        accepted = self._ledger.accept(
            [each.frame for each in heard],
            keep_image=keep,
            kept_images=lambda: None if self._spool is None else self._spool.flush_names(),
        )
        if self._flusher is not None and prepared:
            images_at = [] if self._spool is None else map(self._spool.path, prepared)
            self._flusher.wrote(images_at, len(prepared))
        # Not before: until it is committed, a number may become another frame's.
        for seq, image in prepared.items():
            self._intake.remember(seq, image)
        self.accepted += len(prepared)
        for each, (seq, new) in zip(heard, accepted, strict=True):
            other = None if new else self._other_frame(each, seq)
            if other is None:
                self._answer(each, seq, new=new)
            else:
                self._refuse(each.peer, each.offer.offer, other)

    def _other_frame(self, heard: _Heard, seq: int) -> str | None:
        """Say why an offer whose number is known is no repeat; None if it is one.

        Else a detector that started again in the session it had before would be told that its new
        images are accepted, and they would be nowhere.
        """
        before, now = self._ledger.metadata(seq), heard.frame.metadata
        if before is None:
            return None
        if _as_offered(before, now.parent_id) != now:
            other = "other metadata"
        elif self._ledger.image_checksum(seq) not in (None, heard.frame.image_checksum):
            other = "another image"
        else:
            return None
        return (
            f"offer {heard.offer.offer} of session {heard.offer.session} was accepted before, as "
            f"{before.parent_id}, with {other}; "
            "a detector that starts again draws a new session"
        )

    def _accept_or_refuse(self, heard: _Heard) -> None:
        try:
            self._accept([heard])
        except (OSError, sqlite3.Error, EncodeError) as error:
            room = "; the source's disk is full: offer it again later" if is_full(error) else ""
            self._refuse(heard.peer, heard.offer.offer, f"the image cannot be kept: {error}{room}")

    def _prepare(self, fresh: LedgerFrame, image: NDArray[Any]) -> Prepared:
        envelope = first_envelope(self._ledger.run, fresh)
        parts = encode(SurveyImage(envelope=envelope, image=image))
        if self._spool is not None:
            self._spool.write(fresh.seq, parts)
        return Prepared(parts, image.nbytes, failed=False)

    def _answer(self, heard: _Heard, seq: int, *, new: bool) -> None:
        if self._spool is None and (new or self._ledger.outcome(seq) is None):
            self._unanswered[seq] = (heard.peer, heard.offer.offer)
            if not new and self._intake.awaits(seq):
                self._bring_back(heard, seq)
        else:
            number = heard.offer.offer
            self._say(heard.peer, Accepted(offer=number, run=self._ledger.run, seq=seq))

    def _bring_back(self, heard: _Heard, seq: int) -> None:
        """Take the image of a frame that an earlier source had in memory."""
        ((frame),) = self._ledger.open_frames(seq - 1, 1)
        self._intake.remember(seq, self._prepare(frame, heard.offer.image))

    def _refuse(self, peer: bytes, number: int, why: object) -> None:
        self.refused += 1
        self._bad.note("offer.refused", why, where=OFFERS)
        self._say(peer, Refused(offer=number, reason=fit(str(why), REASON_CHARS)))

    def _say(self, peer: bytes, answer: Accepted | Refused) -> None:
        # A detector that is gone, or reads no answers, offers again and is answered then.
        self.end.send(peer, encode(answer))


def _as_offered(accepted: Metadata, name: str) -> Metadata:
    """Return a frame's metadata as they were before its name was told apart from others'."""
    known_as = accepted.parent_id
    if known_as != name and known_as.startswith(f"{name[: LONGEST_NAME - 12]}#"):
        return msgspec.structs.replace(accepted, parent_id=name)
    return accepted
