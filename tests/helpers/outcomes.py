"""Outcomes as the stages make them, for what the sink keeps and writes."""

from __future__ import annotations

from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from protocols.messages import (
    BoundingBox,
    CompositionSource,
    Envelope,
    Failed,
    Grid,
    Located,
    Metadata,
    Rejected,
    StageRecord,
)

STAGES = (
    StageRecord(
        stage="quality_gate",
        milliseconds=1.5,
        parameters={"saturation": 0.2, "polarity": True},
        findings={"scaling": {"black": 15131.0, "white": 19023.0}, "quality": {"contrast": 0.41}},
    ),
    StageRecord(
        stage="preprocessing",
        milliseconds=2.25,
        parameters={"sharpen_sigma": 5.0},
        findings={"cutoff": 57, "bounding_box_cells": [7, 8, 108, 121]},
    ),
    StageRecord(
        stage="clustering",
        milliseconds=0.5,
        parameters={"bins": 20},
        findings={"k_from": "composition", "centers": [0.0, 81.2, 131.1]},
    ),
    StageRecord(stage="boxing", milliseconds=0.75, parameters={"algorithm": 2}, findings={}),
)


class About(TypedDict, total=False):
    """What a test may say of a frame."""

    run: str
    parent_id: str
    source: str
    composition: str
    composition_from: CompositionSource
    n_elements: int
    pixel_size_nm: float
    scan_rotation_deg: float
    extra: dict[str, str]


def envelope(seq: int, stages: int = len(STAGES), **about: Unpack[About]) -> Envelope:
    """Make the identity of a frame that went through the first `stages` stages."""
    return Envelope(
        run=about.get("run", "run-1"),
        seq=seq,
        metadata=Metadata(
            parent_id=about.get("parent_id", f"particle-{seq:04d}"),
            source=about.get("source", f"survey/particle-{seq:04d}.tif"),
            composition=about.get("composition"),
            composition_from=about.get("composition_from"),
            n_elements=about.get("n_elements"),
            pixel_size_nm=about.get("pixel_size_nm"),
            scan_rotation_deg=about.get("scan_rotation_deg"),
            extra=about.get("extra", {}),
        ),
        accepted_unix=1.7e9,
        stages=STAGES[:stages],
    )


def located(
    seq: int,
    boxes: list[list[int]] | NDArray[np.int32] | None = None,
    *,
    height: int = 512,
    width: int = 1024,
    **about: Unpack[About],
) -> Located:
    """Make a located frame; without boxes given it has two, in two regions."""
    squares = np.array([[64, 32, 16], [80, 32, 8]] if boxes is None else boxes, np.int32).reshape(
        -1, 3
    )
    return Located(
        envelope=envelope(seq, **about),
        grid=Grid(rows=64, columns=128, parent_height=height, parent_width=width),
        bounding_box=BoundingBox(x0=8, y0=16, x1=900, y1=500),
        n_peaks=3,
        k=4,
        boxes=squares,
        regions=np.arange(len(squares), dtype=np.int64).astype(np.uint8) % 3 + 1,
    )


def rejected(
    seq: int, reason: str = "no particle: contrast 0.01", **about: Unpack[About]
) -> Rejected:
    """Make a frame that the gate rejected."""
    return Rejected(
        envelope=envelope(seq, stages=1, **about),
        stage="quality_gate",
        reason=reason,
        parent_height=512,
        parent_width=1024,
    )


def failed(seq: int, reason: str = "ValueError: no such axis", **about: Unpack[About]) -> Failed:
    """Make a dead letter."""
    return Failed(
        envelope=envelope(seq, stages=2, **about),
        stage="clustering",
        reason=reason,
        traceback="Traceback (most recent call last):\n  ...",
    )


def walked(seed: int, count: int, *, factor: int = 8) -> NDArray[np.int32]:
    """Make `count` disjoint boxes in the order of a walk down the columns, (count, 3)."""
    rng = np.random.default_rng(seed)
    cells = rng.choice(128 * 128 // 4, count, replace=False)
    cells.sort()
    x, y = np.divmod(cells, 64)
    size = rng.integers(1, 3, count)
    return (np.stack([2 * x, 2 * y, size], axis=1) * factor).astype(np.int32)
