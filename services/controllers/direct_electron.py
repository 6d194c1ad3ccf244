"""Direct Electron's FreeScan: the points of many boxes in one scan.

Runs in an environment of its own, with the vendor's client, and de-twin, a camera to try it on
(deploy/controllers/direct-electron).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct

from protocols.messages import Receipt

from .acquired_files import folder_of, keep, sweep
from .controller import Box, ControllerGone, Limits, Parent, ScanStopped, settings_from
from .free_scan import FreeScan
from .points import expand

PixelCount = Annotated[int, Meta(ge=1, le=8192)]


class FreeScanSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `--set` may say."""

    out: Annotated[str, Meta(min_length=1)]
    """Folder for what is acquired, a file a scan; made if it is not there."""
    port: Annotated[int, Meta(ge=1, le=65535)]
    host: str = "127.0.0.1"
    points_per_edge: PixelCount = 1
    """n x n points a box."""
    at_once: PixelCount | None = None
    """Boxes in one scan; else all of a batch. If the process dies, they are in doubt together."""
    patience_s: Annotated[float, Meta(gt=0, le=1e6)] = 600.0
    """For one scan."""


class DirectElectron:
    """A point list a scan."""

    def __init__(self, settings: FreeScanSettings) -> None:
        self._settings = settings
        self._out = Path(settings.out)
        self._out.mkdir(parents=True, exist_ok=True)
        sweep(self._out)
        self._scan = FreeScan(settings.host, settings.port, patience_s=settings.patience_s)

    def describe(self) -> Limits:
        """Points on the camera's scan grid, which is the parent's."""
        rows, columns = self._scan.grid
        return Limits(
            family="point list",
            grid_height=rows,
            grid_width=columns,
            points_per_edge=self._settings.points_per_edge,
            at_once=self._settings.at_once,
            software=f"deapi {version('deapi')}",
        )

    def acquire(self, parent: Parent, boxes: Sequence[Box]) -> list[Receipt]:
        """Scan the points of these boxes, and write what the first virtual detector saw.

        `RUN/SEQ/FIRST_BOX_ID.npz`: `positions` (M, 2) int32, x, y on the grid, and their `box_id`
        (M,) and `seen` (M,); `image`, rows and columns of the grid.
        """
        started = perf_counter()
        points = expand(boxes, self._settings.points_per_edge)
        positions = np.stack([points.columns, points.rows], axis=1)
        try:
            image = self._scan.scan(positions)
        except OSError as error:
            raise ControllerGone(f"the camera's server does not answer: {error}") from error
        except ScanStopped as error:
            raise ControllerGone(f"{error}, because the adapter was told to end") from error
        ids = np.array([box.box_id for box in boxes], np.int32)[points.place]
        path = folder_of(self._out, parent.run, parent.seq) / f"{boxes[0].box_id:06d}.npz"
        seen = image[positions[:, 1], positions[:, 0]]
        keep(path, {"positions": positions, "box_id": ids, "seen": seen, "image": image})
        seconds = (perf_counter() - started) / len(boxes)
        return [Receipt(box_id=box.box_id, status="acquired", seconds=seconds) for box in boxes]

    def abort(self) -> None:
        """Stop the scan."""
        self._scan.abort()

    def close(self) -> None:
        """Disconnect."""
        self._scan.close()


def build(settings: Mapping[str, Any]) -> DirectElectron:
    """Make the controller that `haadflow controller direct-electron` runs."""
    return DirectElectron(settings_from("direct-electron", settings, FreeScanSettings))
