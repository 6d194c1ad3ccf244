"""One or more examples of every message, with values that a wrong reader would get wrong.

Uneven shapes show swapped axes, values above 255 show swapped bytes, text outside ASCII shows a
wrong encoding, defaults left out show a reader that needs them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.messages import (
    Accepted,
    Answer,
    Batch,
    Beat,
    Begin,
    BoundingBox,
    Closed,
    Command,
    Credit,
    Description,
    Envelope,
    Failed,
    FilteredCrop,
    Go,
    Grid,
    GridImage,
    Located,
    Message,
    Metadata,
    Noted,
    Offer,
    Probe,
    Recall,
    Receipt,
    Receipts,
    Refused,
    Regions,
    Rejected,
    Setback,
    StageRecord,
    Started,
    SurveyImage,
    Withdrawn,
)

METADATA = Metadata(
    parent_id="grid3/particle_07_Au40Cu60",
    source="survey/grid3/particle_07_Au40Cu60.tif",
    composition="Au40Cu60",
    composition_from="file name",
    n_elements=2,
    pixel_size_nm=0.0625,
    extra={"operator": "Zoë Ångström", "holder": "β-tilt"},
)
BARE = Metadata(parent_id="frame-000000", source="HAADF detector 1")
GATE = StageRecord(
    stage="quality_gate",
    milliseconds=1.25,
    parameters={"saturated": True, "smallest_particle": 0.01},
    findings={"black": -3.5, "white": 19023, "hot_pixels": 0, "note": None},
)
PREPROCESSING = StageRecord(
    stage="preprocessing",
    milliseconds=2.5,
    parameters={"sharpen": {"sigma": 5.0, "amount": 5}},
    findings={"cutoff": 41, "diagonal": [12, 250]},
)
ENVELOPE = Envelope(
    run="20261122T204900-7f3a",
    seq=7,
    metadata=METADATA,
    attempt=2,
    accepted_unix=1795380540.125,
    stages=(GATE, PREPROCESSING),
)
FIRST = Envelope(run="r", seq=0, metadata=BARE)
GRID = Grid(rows=3, columns=4, parent_height=96, parent_width=128)
CROP = BoundingBox(x0=1, y0=0, x1=4, y1=2)


def _ramp(dtype: str, *shape: int) -> NDArray[Any]:
    """Values that differ pixel by pixel and byte by byte."""
    count = int(np.prod(shape))
    return (np.arange(count) * 259 + 1).astype(dtype).reshape(shape)


EXAMPLES: dict[str, Message] = {
    "survey_image": SurveyImage(envelope=ENVELOPE, image=_ramp("<u2", 3, 4)),
    "survey_image_defaults": SurveyImage(envelope=FIRST, image=_ramp("|u1", 2, 5)),
    "survey_image_int8": SurveyImage(envelope=FIRST, image=_ramp("|i1", 2, 3)),
    "survey_image_int16": SurveyImage(envelope=FIRST, image=-_ramp("<i2", 2, 3)),
    "survey_image_uint32": SurveyImage(envelope=FIRST, image=_ramp("<u4", 2, 3)),
    "survey_image_int32": SurveyImage(envelope=FIRST, image=-_ramp("<i4", 2, 3)),
    "survey_image_uint64": SurveyImage(envelope=FIRST, image=_ramp("<u8", 2, 3)),
    "survey_image_int64": SurveyImage(envelope=FIRST, image=-_ramp("<i8", 2, 3)),
    "survey_image_float16": SurveyImage(envelope=FIRST, image=_ramp("<f2", 2, 3)),
    "survey_image_float32": SurveyImage(envelope=FIRST, image=-_ramp("<f4", 2, 3)),
    "survey_image_float64": SurveyImage(envelope=FIRST, image=-_ramp("<f8", 2, 3)),
    "grid_image": GridImage(envelope=ENVELOPE, grid=GRID, image=_ramp("|u1", 3, 4)),
    "filtered_crop": FilteredCrop(
        envelope=ENVELOPE, grid=GRID, bounding_box=CROP, filtered=_ramp("|u1", 2, 3)
    ),
    "regions": Regions(
        envelope=ENVELOPE,
        grid=GRID,
        bounding_box=CROP,
        n_peaks=2,
        k=3,
        labels=np.array([[0, 1, 2], [2, 1, 0]], np.uint8),
    ),
    "located": Located(
        envelope=ENVELOPE,
        grid=GRID,
        bounding_box=BoundingBox(x0=32, y0=0, x1=128, y1=64),
        n_peaks=2,
        k=3,
        boxes=np.array([[64, 0, 32], [96, 32, 16]], np.int32),
        regions=np.array([1, 2], np.uint8),
    ),
    "located_without_boxes": Located(
        envelope=FIRST,
        grid=GRID,
        bounding_box=BoundingBox(x0=0, y0=0, x1=1, y1=1),
        n_peaks=0,
        k=1,
        boxes=np.empty((0, 3), np.int32),
        regions=np.empty(0, np.uint8),
    ),
    "rejected": Rejected(
        envelope=ENVELOPE,
        stage="quality_gate",
        reason="no particle: contrast 0.01, expected at least 0.05",
        parent_height=96,
        parent_width=128,
    ),
    "rejected_defaults": Rejected(envelope=FIRST, stage="source", reason=""),
    "failed": Failed(
        envelope=ENVELOPE,
        stage="clustering",
        reason="ZeroDivisionError: division by zero",
        traceback='Traceback (most recent call last):\n  File "clustering.py", line 1\n',
        parent_height=96,
        parent_width=128,
    ),
    "failed_after_setbacks": Failed(
        envelope=Envelope(
            run="r",
            seq=9,
            metadata=BARE,
            attempt=3,
            setbacks=(
                Setback(stage="source", how="sent again: boxing.queue started again"),
                Setback(
                    stage="boxing",
                    how="died",
                    worker="boxing.worker 4242 on höst",
                    begun_unix=1795380540.125,
                    ended_unix=1795380541.5,
                ),
            ),
            replay_of="frame-000000",
        ),
        stage="boxing",
        reason="ValueError: no",
    ),
    "failed_defaults": Failed(envelope=FIRST, stage="source", reason="cannot be read"),
    "offer": Offer(session="9c1b02d4", offer=41, metadata=METADATA, image=_ramp("<u2", 2, 3)),
    "offer_scanned_at_an_angle": Offer(
        session="s",
        offer=1,
        metadata=Metadata(parent_id="p", source="d", scan_rotation_deg=-12.5),
        image=_ramp("<u2", 2, 3),
    ),
    "offer_bare": Offer(session="s", offer=1, metadata=BARE, image=_ramp("<u2", 2, 3)),
    "accepted": Accepted(offer=41, run="20261122T204900-7f3a", seq=7),
    "refused": Refused(offer=42, reason="image: 1-D, expected two axes"),
    "closed": Closed(run="r", seqs=(7, 300, 70000), outcomes=("located", "rejected", "failed")),
    "closed_nothing": Closed(run="r", seqs=(), outcomes=()),
    "started": Started(service="clustering.queue", epoch="b1946ac9"),
    "credit": Credit(frames=2, done=(("r", 7), ("r", 2**53 + 1)), leaving=True),
    "credit_defaults": Credit(frames=1),
    "credit_by_name": Credit(frames=2, outstanding=2, worker="boxing.worker 4242 on höst"),
    "credit_outstanding": Credit(frames=0, outstanding=2),
    "probe": Probe(),
    "beat": Beat(
        service="clustering.worker.1",
        pid=4242,
        epoch="b1946ac9",
        unix=1795380540.125,
        figures={"frames": 17, "busy": 0.75, "stage": "clustering"},
    ),
    "command": Command(verb="scale", stage="preprocessing", workers=3),
    "command_defaults": Command(verb="status"),
    "answer": Answer(ok=False, text="no stage is called 'x'", figures={"stages": ["clustering"]}),
    "answer_defaults": Answer(ok=True),
    "description": Description(
        controller="direct-electron@höst",
        session="5f0c",
        family="point list",
        grid_height=96,
        grid_width=128,
        field_height_nm=12.5,
        smallest_px=4,
        largest_px=64,
        most_boxes=4096,
        points_per_edge=8,
        window=2,
        journal="a1b2c3",
        software="deapi 5.3.1",
        settings={"frames_per_second": 1000, "hardware": {"camera": "Celeritas"}},
    ),
    "description_defaults": Description(controller="c", session="s", family="sub-scan"),
    "batch": Batch(
        run="20261122T204900-7f3a",
        seq=7,
        grant=300,
        parent_id="grid3/particle_07_Au40Cu60",
        source="survey/grid3/particle_07_Au40Cu60.tif",
        outcome="located",
        created_unix=1795380541.5,
        parent_height=96,
        parent_width=128,
        pixel_size_nm=0.0625,
        scan_rotation_deg=-12.5,
        order="nearest",
        n_boxes=4,
        travel_boxed_px=141.5,
        travel_px=87.25,
        box_id=np.array([2, 0, 1], np.int32),
        x_px=np.array([64, 96, 0], np.int32),
        y_px=np.array([0, 32, 80], np.int32),
        size_px=np.array([32, 16, 16], np.int32),
        region=np.array([1, 2, 2], np.uint8),
        may_repeat=np.array([0, 1, 0], np.uint8),
    ),
    "batch_without_boxes": Batch(
        run="r",
        seq=0,
        grant=0,
        parent_id="frame-000000",
        source="HAADF detector 1",
        outcome="rejected",
        reason="no particle: contrast 0.01, expected at least 0.05",
        created_unix=0.0,
        parent_height=None,
        parent_width=None,
        order="raster",
        n_boxes=0,
        travel_boxed_px=0.0,
        travel_px=0.0,
        box_id=np.empty(0, np.int32),
        x_px=np.empty(0, np.int32),
        y_px=np.empty(0, np.int32),
        size_px=np.empty(0, np.int32),
        region=np.empty(0, np.uint8),
        may_repeat=np.empty(0, np.uint8),
    ),
    "begin": Begin(run="20261122T204900-7f3a", seq=7, grant=300),
    "go": Go(run="20261122T204900-7f3a", seq=7, grant=300),
    "withdrawn": Withdrawn(run="r", seq=7, grant=300, reason="it was offered to another: Zoë"),
    "receipts": Receipts(
        number=70000,
        run="20261122T204900-7f3a",
        seq=7,
        grant=300,
        receipts=(
            Receipt(box_id=2, status="acquired", seconds=0.625),
            Receipt(box_id=0, status="failed", reason="TimeoutError: no frame for 20 s"),
        ),
        untouched=(1,),
        final=True,
    ),
    "receipts_defaults": Receipts(number=0, run="r", seq=0, grant=0),
    "noted": Noted(number=70000),
    "recall": Recall(run="20261122T204900-7f3a", seq=7, grant=300),
}
