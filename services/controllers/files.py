"""The reference controller: a file stands for the specimen. For tests, and without a microscope.

Each box becomes one line of `acquired.jsonl`, written at once and flushed: the line *is* the
acquisition. So what became of a box can always be looked up, and a box that was acquired twice
would be there twice.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from protocols.messages import Receipt

from .controller import Box, Limits, Parent, settings_from
from .line_file import append_line, whole_lines
from .points import expand

NAME = "acquired.jsonl"
PixelCount = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class FileSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `--set` may say."""

    out: Annotated[str, Meta(min_length=1)]
    """Folder for `acquired.jsonl`; made if it is not there."""
    dwell_us: Annotated[float, Meta(ge=0, le=1e9)] = 0.0
    """So long each pixel, or point, takes, in microseconds of real time."""
    points_per_edge: PixelCount | None = None
    """As a point list, n x n points a box; else each box is a sub-scan."""
    grid_height: PixelCount | None = None
    grid_width: PixelCount | None = None
    """Only parents of this size; any without."""
    smallest_px: PixelCount = 1
    largest_px: PixelCount | None = None
    most_boxes: PixelCount | None = None
    at_once: PixelCount = 1


class FileController:
    """Acquires into a file."""

    def __init__(self, settings: FileSettings) -> None:
        self._settings = settings
        self._aborted = threading.Event()
        self.path = Path(settings.out) / NAME
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def describe(self) -> Limits:
        """Say what it takes: what the settings say."""
        settings = self._settings
        points = settings.points_per_edge
        return Limits(
            family="sub-scan" if points is None else "point list",
            grid_height=settings.grid_height,
            grid_width=settings.grid_width,
            smallest_px=settings.smallest_px,
            largest_px=settings.largest_px,
            most_boxes=settings.most_boxes,
            points_per_edge=points,
            at_once=settings.at_once,
            software="haadflow files",
            settings={"dwell_us": settings.dwell_us},
        )

    def acquire(self, parent: Parent, boxes: Sequence[Box]) -> list[Receipt]:
        """Take as long as the dwell says, and write a line for each box.

        No receipt for those that were not reached when `abort` was called.
        """
        receipts = [self._acquire(parent, box) for box in boxes]
        return [receipt for receipt in receipts if receipt is not None]

    def abort(self) -> None:
        """Let no more lines be written."""
        self._aborted.set()

    def close(self) -> None:
        """Nothing is open between boxes."""

    def recall(self, parent: Parent, boxes: Sequence[Box]) -> Mapping[int, Receipt | None]:
        """Look the boxes up: a line that is there was acquired, and nothing else was."""
        wanted = {box.box_id for box in boxes}
        known: dict[int, Receipt | None] = dict.fromkeys(wanted)
        for line in lines_of(self.path):
            if (line["run"], line["seq"]) == (parent.run, parent.seq) and line["box_id"] in wanted:
                known[line["box_id"]] = Receipt(box_id=line["box_id"], status="acquired")
        return known

    def _acquire(self, parent: Parent, box: Box) -> Receipt | None:
        started = time.monotonic()
        per_edge = self._settings.points_per_edge or box.size_px
        seconds = self._settings.dwell_us * 1e-6 * per_edge**2
        if self._aborted.wait(seconds) if seconds else self._aborted.is_set():
            return None
        line: dict[str, Any] = parent._asdict() | box._asdict()
        if self._settings.points_per_edge is not None:
            points = expand([box], per_edge)
            line |= {"x_points_px": points.x_px.tolist(), "y_points_px": points.y_px.tolist()}
        append_line(self.path, json.dumps(line).encode())
        took = time.monotonic() - started
        return Receipt(box_id=box.box_id, status="acquired", seconds=took)


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Read what was acquired; the end of a file that a power failure has cut short is left out."""
    return [json.loads(line) for line in whole_lines(path)]


def build(settings: Mapping[str, Any]) -> FileController:
    """Make the controller that `haadflow controller files` runs."""
    return FileController(settings_from("files", settings, FileSettings))
