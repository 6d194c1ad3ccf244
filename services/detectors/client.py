"""What a detector program uses to send images into a running chain.

>>> with Detector("tcp://127.0.0.1:5750") as detector:      # doctest: +SKIP
...     detector.send(image, composition="Au40Ag60", pixel_size_nm=0.12)

An image is the chain's when its acceptance has come back; until then it is kept here, and offered
again when the source was restarted. At most `window` images are unanswered: a detector faster than
the source's disk waits in `send`.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from numpy.typing import NDArray

from protocols import Buffer, DecodeError, decode, encode
from protocols.messages import Accepted, Metadata, Offer, Refused
from services.runtime.endpoints import Requester
from services.runtime.keyring import Keyring

WINDOW = 8
OFFER_AGAIN_S = 5.0
OFFER_AGAIN_AT_MOST_S = 20.0
"""Until an offer that is not answered is made again: twice as long each time, since a source that
is far behind leaves all of them lying."""
SLICE_MS = 50


class NotAccepted(Exception):
    """Images were not taken within the time allowed: how many, and where they were sent."""


class Refusal(NamedTuple):
    """An image the source would not take."""

    parent_id: str
    reason: str


@dataclass(slots=True)
class _Pending:
    parent_id: str
    parts: list[Buffer]
    offered: float
    patience_s: float = OFFER_AGAIN_S


class Detector:
    """Sends survey images to a chain's source.

    Parameters
    ----------
    address
        The source's address for offers (`source.offers` in the topology).
    name
        Goes into `source` of each frame, and begins its `parent_id` when none is given.
    window
        Images sent and not yet answered, at most.
    patience_s
        Seconds that `send` and `close` wait for the source before they raise `NotAccepted`.
    keys
        Folder with this detector's key and the source's (docs/security.md), if the chain has keys.

    Raises
    ------
    KeysError
        The keys cannot be used as they are; says which file, and what to do.
    """

    def __init__(
        self,
        address: str = "tcp://127.0.0.1:5750",
        *,
        name: str = "detector",
        window: int = WINDOW,
        patience_s: float = 60.0,
        keys: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.accepted = 0
        self.refusals: list[Refusal] = []
        self._address = address
        self._name = name
        self._session = uuid.uuid4().hex[:16]
        self._window = window
        self._patience_s = patience_s
        self._clock = clock
        self._next = 1  # 0 is the number in the answer to an offer that cannot be read
        self._pending: dict[int, _Pending] = {}
        self._keys = keys
        curve = Keyring(keys).connect("detector", "source.offers")
        self._socket = Requester(address, curve=curve)

    def send(
        self,
        image: NDArray[Any],
        *,
        parent_id: str | None = None,
        composition: str | None = None,
        n_elements: int | None = None,
        pixel_size_nm: float | None = None,
        scan_rotation_deg: float | None = None,
        extra: Mapping[str, str] | None = None,
    ) -> str:
        """Offer an image, shape (height, width), any real dtype; return its parent_id.

        Waits while the window is full. The array must not change until it is accepted: it is not
        copied.
        """
        metadata = Metadata(
            parent_id=parent_id or f"{self._name}-{self._session}-{self._next:06d}",
            source=self._name,
            composition=composition,
            n_elements=n_elements,
            pixel_size_nm=pixel_size_nm,
            scan_rotation_deg=scan_rotation_deg,
            extra=dict(extra or {}),
        )
        return self.send_with(metadata, image)

    def send_with(self, metadata: Metadata, image: NDArray[Any], *, twice: bool = False) -> str:
        """Offer an image with ready-made metadata, as `haadflow send` does for files.

        With `twice`, the same offer is sent again at once, as after an answer that was lost; it is
        accepted once.
        """
        self._wait_until(lambda: len(self._pending) < self._window)
        offer = Offer(session=self._session, offer=self._next, metadata=metadata, image=image)
        pending = _Pending(metadata.parent_id, encode(offer), self._clock())
        self._next += 1
        self._pending[offer.offer] = pending
        for _ in range(1 + twice):
            self._socket.send(pending.parts)
        self._hear(0)
        self._offer_again(self._clock())
        return metadata.parent_id

    def wait(self, seconds: float) -> None:
        """Hear answers for so long, until the next image is there."""
        until = self._clock() + seconds
        while (left := until - self._clock()) > 0:
            self._hear(max(1, min(SLICE_MS, int(1000 * left))))
            self._offer_again(self._clock())

    def flush(self) -> None:
        """Wait until everything sent is answered."""
        self._wait_until(lambda: not self._pending)

    def close(self) -> None:
        """Flush and disconnect."""
        try:
            self.flush()
        finally:
            self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._socket.close(0)

    def _wait_until(self, done: Callable[[], bool]) -> None:
        deadline = self._clock() + self._patience_s
        while not done():
            answered = self._hear(SLICE_MS)
            now = self._clock()
            if answered:
                deadline = now + self._patience_s
            elif now > deadline:
                raise NotAccepted(
                    f"no answer from {self._address} for {self._patience_s:g} s; "
                    f"{len(self._pending)} images are not accepted{self._about_keys()}"
                )
            self._offer_again(now)

    def _about_keys(self) -> str:
        if self._keys is None:
            return "; if that chain has keys, this detector needs one"
        return f"; see whether the source allows the detector's key of {self._keys}"

    def _hear(self, timeout_ms: int) -> bool:
        heard = False
        while (parts := self._socket.receive(0 if heard else timeout_ms)) is not None:
            heard = True
            try:
                answer = decode(parts, expect=(Accepted, Refused))
            except DecodeError:
                continue  # not from a source; the offer stays pending
            pending = self._pending.pop(answer.offer, None)
            if pending is None:
                continue
            if isinstance(answer, Refused):
                self.refusals.append(Refusal(pending.parent_id, answer.reason))
            else:
                self.accepted += 1
        return heard

    def _offer_again(self, now: float) -> None:
        for pending in self._pending.values():
            if now - pending.offered > pending.patience_s:
                pending.offered = now
                pending.patience_s = min(2 * pending.patience_s, OFFER_AGAIN_AT_MOST_S)
                self._socket.send(pending.parts)
