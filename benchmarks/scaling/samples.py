"""The messages that an image becomes on its way, made by the real stages."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from benchmarks.scaling.found import Wire
from protocols import Buffer, encode
from protocols.messages import Envelope, Located, Metadata, Offer, StageRecord, SurveyImage
from services.runtime.topology import STAGES, StageTable
from services.stages import build_stages

METADATA = Metadata(parent_id="scaling-0123456789abcdef-000001", source="scaling", n_elements=3)
TABLE = StageTable(
    name="sample", stages=STAGES, frames="ipc:///unused.in", work="ipc:///unused.work"
)
MILLISECONDS = 0.25
"""In the records: any number takes as many bytes."""


def located(image: NDArray[Any]) -> Located:
    """Take an image through all stages.

    Raises
    ------
    ValueError
        If nothing is located on it.
    """
    envelope = Envelope(run="scaling", seq=1, metadata=METADATA)
    message: Any = SurveyImage(envelope=envelope, image=image)
    records: tuple[StageRecord, ...] = ()
    for stage in build_stages(TABLE):
        message, findings = stage.handle(message)
        records += (
            StageRecord(
                stage=stage.name,
                milliseconds=MILLISECONDS,
                parameters=stage.parameters,
                findings=findings,
            ),
        )
    if not isinstance(message, Located):
        raise ValueError(f"image: expected one with a particle, came {type(message).__name__}")
    envelope = Envelope(run="scaling", seq=1, metadata=METADATA, stages=records)
    return Located(
        envelope=envelope,
        grid=message.grid,
        bounding_box=message.bounding_box,
        n_peaks=message.n_peaks,
        k=message.k,
        boxes=message.boxes,
        regions=message.regions,
    )


def wire(image: NDArray[Any]) -> Wire:
    """Return the bytes of the messages of an image on which something is located."""
    envelope = Envelope(run="scaling", seq=1, metadata=METADATA)
    offer = Offer(session="0123456789abcdef", offer=1, metadata=METADATA, image=image)
    return Wire(
        side=image.shape[0],
        offer=size(encode(offer)),
        image=size(encode(SurveyImage(envelope=envelope, image=image))),
        outcome=size(encode(located(image))),
    )


def size(parts: list[Buffer]) -> int:
    """Return the bytes of a message."""
    return sum(memoryview(part).nbytes for part in parts)
