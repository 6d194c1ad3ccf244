"""Hypothesis strategies: any valid message of each type."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from protocols import messages as m
from protocols.arrays import REAL_DTYPES
from protocols.bounds import LARGEST_COUNT, LARGEST_EXTENT
from protocols.scanning import ORDERS

_CHARACTERS = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])
_NAME = st.text(_CHARACTERS, min_size=1, max_size=20)
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_COUNT = st.integers(0, LARGEST_COUNT)
_EXTENT = st.integers(1, LARGEST_EXTENT)
_SECONDS = st.floats(0, 1e12)
_FREE_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=5,
)
_FREE = st.dictionaries(_TEXT, _FREE_VALUE, max_size=3)
_SIDES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8)
_IMAGE = st.sampled_from(REAL_DTYPES).flatmap(lambda dtype: hnp.arrays(np.dtype(dtype), _SIDES))

_METADATA = st.builds(
    m.Metadata,
    parent_id=st.text(_CHARACTERS, min_size=1, max_size=512),
    source=_NAME,
    composition=st.none() | _NAME,
    composition_from=st.sampled_from([None, "option", "table", "file name", "sender"]),
    n_elements=st.none() | st.integers(1, 118),
    pixel_size_nm=st.none() | st.floats(0, 1e9, exclude_min=True),
    scan_rotation_deg=st.none() | st.floats(-360, 360),
    extra=st.dictionaries(_NAME, _TEXT, max_size=3),
)
_RECORD = st.builds(
    m.StageRecord, stage=_NAME, milliseconds=_SECONDS, parameters=_FREE, findings=_FREE
)
_UNSET = st.just(msgspec.UNSET)
_SETBACK = st.builds(
    m.Setback,
    stage=_NAME,
    how=_NAME,
    worker=st.none() | _NAME,
    begun_unix=st.none() | _SECONDS,
    ended_unix=st.none() | _SECONDS,
)
_ENVELOPE = st.builds(
    m.Envelope,
    run=_NAME,
    seq=_COUNT,
    metadata=_METADATA,
    attempt=st.integers(1, LARGEST_COUNT),
    accepted_unix=_SECONDS,
    stages=st.lists(_RECORD, max_size=2).map(tuple),
    setbacks=_UNSET | st.lists(_SETBACK, max_size=2).map(tuple),
    replay_of=_UNSET | _NAME,
)
_PARENT = {
    "parent_height": st.none() | _EXTENT,
    "parent_width": st.none() | _EXTENT,
}


@st.composite
def _grids(draw: st.DrawFn) -> m.Grid:
    rows, columns = draw(st.integers(1, 128)), draw(st.integers(1, 128))
    return m.Grid(
        rows=rows,
        columns=columns,
        parent_height=rows * draw(st.integers(1, 16)),
        parent_width=columns * draw(st.integers(1, 16)),
    )


@st.composite
def _rectangles(draw: st.DrawFn, height: int, width: int) -> m.BoundingBox:
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    x1, y1 = draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))
    return m.BoundingBox(x0=x0, y0=y0, x1=x1, y1=y1)


@st.composite
def _grid_images(draw: st.DrawFn) -> m.GridImage:
    grid = draw(_grids())
    image = draw(hnp.arrays(np.uint8, (grid.rows, grid.columns), fill=st.just(7)))
    return m.GridImage(envelope=draw(_ENVELOPE), grid=grid, image=image)


@st.composite
def _crops(draw: st.DrawFn) -> dict[str, Any]:
    grid = draw(_grids())
    box = draw(_rectangles(grid.rows, grid.columns))
    shape = (box.y1 - box.y0, box.x1 - box.x0)
    crop = draw(hnp.arrays(np.uint8, shape, fill=st.just(0)))
    return {"envelope": draw(_ENVELOPE), "grid": grid, "bounding_box": box, "crop": crop}


@st.composite
def _regions(draw: st.DrawFn) -> m.Regions:
    fields = draw(_crops())
    labels = fields.pop("crop")
    k = draw(st.integers(1, 255))
    return m.Regions(**fields, n_peaks=draw(_COUNT), k=k, labels=labels)


@st.composite
def _located(draw: st.DrawFn) -> m.Located:
    grid = draw(_grids())
    rectangles = draw(
        st.lists(_rectangles(grid.parent_height, grid.parent_width), min_size=1, max_size=9)
    )
    squares = [[r.x0, r.y0, min(r.x1 - r.x0, r.y1 - r.y0)] for r in rectangles[1:]]
    return m.Located(
        envelope=draw(_ENVELOPE),
        grid=grid,
        bounding_box=rectangles[0],
        n_peaks=draw(_COUNT),
        k=draw(st.integers(1, 255)),
        boxes=np.array(squares, np.int32).reshape(-1, 3),
        regions=draw(hnp.arrays(np.uint8, len(squares), elements=st.integers(1, 255))),
    )


@st.composite
def _closed(draw: st.DrawFn) -> m.Closed:
    seqs = tuple(draw(st.lists(_COUNT, max_size=5)))
    every: tuple[Literal["located", "rejected", "failed"], ...] = ("located", "rejected", "failed")
    outcome = st.sampled_from(every)
    outcomes = draw(st.lists(outcome, min_size=len(seqs), max_size=len(seqs)))
    return m.Closed(run=draw(_NAME), seqs=seqs, outcomes=tuple(outcomes))


@st.composite
def _batches(draw: st.DrawFn) -> m.Batch:
    located = draw(_located())
    n = len(located.boxes)
    x, y, size = (np.ascontiguousarray(column) for column in located.boxes.T)
    return m.Batch(
        run=draw(_NAME),
        seq=draw(_COUNT),
        grant=draw(_COUNT),
        parent_id=draw(_NAME),
        source=draw(_NAME),
        outcome="located",
        reason=draw(_TEXT),
        created_unix=draw(_SECONDS),
        parent_height=located.grid.parent_height,
        parent_width=located.grid.parent_width,
        pixel_size_nm=draw(st.none() | st.floats(0, 1e9, exclude_min=True)),
        scan_rotation_deg=draw(st.none() | st.floats(-360, 360)),
        order=draw(st.sampled_from(ORDERS)),
        n_boxes=n + draw(st.integers(0, 9)),
        travel_boxed_px=draw(_SECONDS),
        travel_px=draw(_SECONDS),
        box_id=np.array(draw(st.permutations(range(n))), np.int32),
        x_px=x,
        y_px=y,
        size_px=size,
        region=located.regions,
        may_repeat=draw(hnp.arrays(np.uint8, n, elements=st.integers(0, 1))),
    )


@st.composite
def _descriptions(draw: st.DrawFn) -> m.Description:
    grid = draw(st.none() | st.tuples(_EXTENT, _EXTENT))
    smallest = draw(_EXTENT)
    points = draw(st.none() | _EXTENT)
    return m.Description(
        controller=draw(_NAME),
        session=draw(_NAME),
        family="sub-scan" if points is None else "point list",
        grid_height=grid and grid[0],
        grid_width=grid and grid[1],
        field_height_nm=draw(st.none() | st.floats(0, 1e9, exclude_min=True)),
        smallest_px=smallest,
        largest_px=draw(st.none() | st.integers(smallest, LARGEST_EXTENT)),
        most_boxes=draw(st.none() | _EXTENT),
        points_per_edge=points,
        window=draw(st.integers(1, 64)),
        journal=draw(st.none() | _NAME),
        software=draw(_NAME),
        settings=draw(_FREE),
    )


@st.composite
def _receipts(draw: st.DrawFn) -> m.Receipts:
    boxes = draw(st.lists(_COUNT, max_size=6, unique=True))
    given = draw(st.integers(0, len(boxes)))
    statuses: tuple[m.Receipt, ...] = tuple(
        m.Receipt(
            box_id=box,
            status=draw(st.sampled_from(["acquired", "rejected", "failed"])),
            reason=draw(_TEXT),
            seconds=draw(st.none() | _SECONDS),
        )
        for box in boxes[:given]
    )
    return m.Receipts(
        run=draw(_NAME),
        seq=draw(_COUNT),
        grant=draw(_COUNT),
        number=draw(_COUNT),
        receipts=statuses,
        untouched=tuple(boxes[given:]),
        final=draw(st.booleans()),
    )


MESSAGES: dict[str, st.SearchStrategy[m.Message]] = {
    "SurveyImage": st.builds(m.SurveyImage, envelope=_ENVELOPE, image=_IMAGE),
    "GridImage": _grid_images(),
    "FilteredCrop": _crops().map(lambda f: m.FilteredCrop(filtered=f.pop("crop"), **f)),
    "Regions": _regions(),
    "Located": _located(),
    "Rejected": st.builds(m.Rejected, envelope=_ENVELOPE, stage=_NAME, reason=_TEXT, **_PARENT),
    "Failed": st.builds(
        m.Failed, envelope=_ENVELOPE, stage=_NAME, reason=_TEXT, traceback=_TEXT, **_PARENT
    ),
    "Offer": st.builds(m.Offer, session=_NAME, offer=_COUNT, metadata=_METADATA, image=_IMAGE),
    "Accepted": st.builds(m.Accepted, offer=_COUNT, run=_NAME, seq=_COUNT),
    "Refused": st.builds(m.Refused, offer=_COUNT, reason=_TEXT),
    "Closed": _closed(),
    "Started": st.builds(m.Started, service=_NAME, epoch=_NAME),
    "Credit": st.builds(
        m.Credit,
        outstanding=_COUNT,
        frames=_COUNT,
        done=st.lists(st.tuples(_NAME, _COUNT), max_size=4).map(tuple),
        leaving=st.booleans(),
        worker=_UNSET | _NAME,
    ),
    "Probe": st.just(m.Probe()),
    "Beat": st.builds(m.Beat, service=_NAME, pid=_COUNT, epoch=_NAME, unix=_SECONDS, figures=_FREE),
    "Command": st.builds(
        m.Command,
        verb=st.sampled_from(["status", "scale", "down"]),
        stage=st.none() | _NAME,
        workers=st.none() | _COUNT,
    ),
    "Answer": st.builds(m.Answer, ok=st.booleans(), text=_TEXT, figures=_FREE),
    "Description": _descriptions(),
    "Batch": _batches(),
    "Begin": st.builds(m.Begin, run=_NAME, seq=_COUNT, grant=_COUNT),
    "Go": st.builds(m.Go, run=_NAME, seq=_COUNT, grant=_COUNT),
    "Withdrawn": st.builds(m.Withdrawn, run=_NAME, seq=_COUNT, grant=_COUNT, reason=_TEXT),
    "Receipts": _receipts(),
    "Noted": st.builds(m.Noted, number=_COUNT),
    "Recall": st.builds(m.Recall, run=_NAME, seq=_COUNT, grant=_COUNT),
}
ANY_MESSAGE = st.one_of(list(MESSAGES.values()))
