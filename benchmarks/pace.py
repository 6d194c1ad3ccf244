"""A detector that offers at a fixed rate, and notes when each answer came."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from benchmarks.chain import ChainFailed
from protocols import decode, encode
from protocols.messages import Accepted, Metadata, Offer, Refused
from services.runtime.endpoints import Requester

PATIENCE_S = 30.0


def answer_times(
    address: str, images: Sequence[NDArray[Any]], *, frames: int, rate: float
) -> list[float]:
    """Offer `frames` images, `rate` a second, and return the seconds from each offer to its answer.

    A source without a spool answers when the frame's coordinates are committed: the time holds the
    way in, the acceptance, the chain, the commit and the way back.

    Raises
    ------
    ChainFailed
        If an offer is refused, or no answer comes for `PATIENCE_S` seconds.
    """
    session = uuid.uuid4().hex[:16]
    offered: dict[int, float] = {}
    took: list[float] = []
    socket = Requester(address)
    started = last = time.monotonic()
    try:
        while len(took) < frames:
            number = len(took) + len(offered) + 1
            due = started + (number - 1) / rate
            now = time.monotonic()
            if number <= frames and now >= due:
                image = images[number % len(images)]
                metadata = Metadata(parent_id=f"{session}-{number}", source="pace", n_elements=3)
                parts = encode(Offer(session=session, offer=number, metadata=metadata, image=image))
                # From when it was due: a sender that lags does not hide what the chain makes wait.
                offered[number] = due
                socket.send(parts)
                continue
            wait_s = due - now if number <= frames else 0.1
            answer = socket.receive(max(1, int(1e3 * wait_s)))
            if answer is not None:
                heard = decode(answer, expect=(Accepted, Refused))
                if isinstance(heard, Refused):
                    raise ChainFailed(f"an offer was refused: {heard.reason}")
                last = time.monotonic()
                took.append(last - offered.pop(heard.offer))
            elif time.monotonic() - last > PATIENCE_S:
                raise ChainFailed(f"no answer for {PATIENCE_S:g} s")
    finally:
        socket.close(0)
    return took
