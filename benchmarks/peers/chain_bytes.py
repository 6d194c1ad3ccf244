"""How many bytes of messages the chain sends for an image: each is made here, and measured."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from numpy.typing import NDArray

from benchmarks.peers.work import N_ELEMENTS
from protocols import Buffer, encode
from protocols.messages import Envelope, Metadata, Offer, SurveyImage
from services.runtime.topology import Topology
from services.runtime.worker import Worker
from services.stages import build_stages


class _Inbox:
    """Gives a worker one message, and keeps the credit it sends."""

    def __init__(self, parts: Sequence[Any]) -> None:
        self.sent: list[Sequence[Any]] = []
        self._parts: Sequence[Any] | None = parts

    def receive(self, timeout_ms: int = 0) -> Sequence[Any] | None:  # noqa: ARG002 - as a socket
        parts, self._parts = self._parts, None
        return parts

    def send(self, parts: Sequence[Any]) -> None:
        self.sent.append(parts)


class _Outbox:
    """Keeps what a worker hands on."""

    def __init__(self) -> None:
        self.sent: list[Sequence[Any]] = []

    def send(self, parts: Sequence[Any], *, timeout_ms: int = 0) -> bool:  # noqa: ARG002 - as a socket
        self.sent.append(parts)
        return True


def mean_encoded_bytes(images: Sequence[NDArray[Any]], topology: Topology) -> float:
    """Return the bytes of an image's messages, times the hops each takes; mean over images.

    An image goes from the detector to the source, from there to the first queue (unless the source
    holds it), and from the queue to its worker; what a stage makes of it to the next queue and to
    its worker, the last to the sink. Each worker's credit goes to its queue.
    """
    return fmean(_encoded_bytes(image, topology) for image in images)


def _encoded_bytes(image: NDArray[Any], topology: Topology) -> int:
    metadata = Metadata(parent_id="0", source="peers", n_elements=N_ELEMENTS)
    offer = encode(Offer(session="peers", offer=1, metadata=metadata, image=image))
    envelope = Envelope(run="peers", seq=0, metadata=metadata)
    parts: Sequence[Buffer] = encode(SurveyImage(envelope=envelope, image=image))
    total = _size(offer)
    for table in topology.stage:
        here = topology.source.holds_first_queue and table is topology.stage[0]
        total += _size(parts) * (1 if here else 2)
        inbox, onward, sink = _Inbox(parts), _Outbox(), _Outbox()
        Worker(build_stages(table), inbox, onward, sink).step(0)
        total += sum(_size(credit) for credit in inbox.sent)
        if sink.sent:
            return total + _size(sink.sent[0])
        parts = onward.sent[0]
    return total + _size(parts)


def _size(parts: Sequence[Buffer]) -> int:
    return sum(memoryview(part).nbytes for part in parts)
