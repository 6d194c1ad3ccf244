"""summary.json: what a run amounts to, on one page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from pipeline.time_model import GRID_POINTS, total_time

from .rows import known_reduction
from .statistics import Statistics
from .store import Counts
from .tally import Spread, TimeSpread

SCHEMA = "haadflow.summary/1"

FULL_SCANS_S = (8, 16, 32, 64)
"""s_b of the paper's Table 1: seconds that a scan of all grid points takes."""


class Reduction(Struct, frozen=True, kw_only=True):
    """How many times fewer points than the full grid's."""

    grid_points: int = GRID_POINTS
    mean: float | None
    """Of the mean number of boxes, as in the paper; not the mean of each image's reduction."""
    worst: float | None
    best: float | None


class TotalTime(Struct, frozen=True, kw_only=True):
    """Eq. (2), added up over all located images: a row of the paper's Table 1."""

    full_scan_s: int
    """s_b, for one image."""
    with_boxes_s: float
    """Segmentation and boxes, all images."""
    full_grid_s: float
    """The full grid, all images."""
    ratio: float
    """How many times less."""


class Summary(Struct, frozen=True, kw_only=True):
    """The file, field by field; None where no image was located."""

    schema: str = SCHEMA
    account: Mapping[str, Any] | None
    frames: Counts
    n_boxes: int
    boxes_per_image: Spread | None
    reduction: Reduction
    total_time: list[TotalTime]
    process_ms: TimeSpread | None
    """Compute time of a located image, all stages together."""
    stage_ms: dict[str, TimeSpread | None]
    rejected: dict[str, int]
    """By the code of the reason, the most frequent first."""
    failed: dict[str, int]
    """By stage and code of the reason, the most frequent first."""

    def json(self) -> bytes:
        """Encode for people and programs."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def summarise(statistics: Statistics, account: Mapping[str, Any] | None = None) -> Summary:
    """Sum up a run.

    Parameters
    ----------
    statistics
        Gathered from its frames.
    account
        accepted, located, rejected, failed, in_flight and what else the caller knows, as is.
    """
    boxes = statistics.boxes.spread()
    return Summary(
        account=account,
        frames=statistics.counts,
        n_boxes=statistics.boxes.total(),
        boxes_per_image=boxes,
        reduction=Reduction(
            mean=known_reduction(boxes.mean) if boxes else None,
            worst=known_reduction(boxes.max) if boxes else None,
            best=known_reduction(boxes.min) if boxes else None,
        ),
        total_time=_total_times(statistics),
        process_ms=statistics.process.spread(),
        stage_ms={stage: tally.spread() for stage, tally in statistics.stages.items()},
        rejected=_ranked(statistics.rejections),
        failed=_ranked(statistics.failures),
    )


def _total_times(statistics: Statistics) -> list[TotalTime]:
    images = statistics.counts.located
    if not images:
        return []
    rows = []
    for full_scan_s in FULL_SCANS_S:
        # Eq. (2) is linear, so that the sums stand for the sum over all images.
        with_boxes = total_time(
            statistics.boxes.total(), full_scan_s, statistics.process.total_ms / 1000
        )
        full_grid = images * full_scan_s
        rows.append(
            TotalTime(
                full_scan_s=full_scan_s,
                with_boxes_s=round(with_boxes, 3),
                full_grid_s=full_grid,
                ratio=round(full_grid / with_boxes, 3) if with_boxes else 0.0,
            )
        )
    return rows


def _ranked(reasons: Counter[str]) -> dict[str, int]:
    return dict(sorted(reasons.items(), key=lambda reason: (-reason[1], reason[0])))
