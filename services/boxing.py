"""Boxing: covers the regions with square acquisition boxes, in parent pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from msgspec.structs import asdict as struct_asdict

from pipeline import BoxParams, box, warm_up
from pipeline import Grid as PipelineGrid
from protocols.messages import BoundingBox, Located, Regions

from .runtime.stage import Handled, parameters_from


class Boxing:
    """Regions -> Located."""

    name = "boxing"
    accepts = Regions
    gives = Located

    def __init__(self, params: BoxParams) -> None:
        self._params = params
        self.parameters = asdict(params)

    def handle(self, frame: Regions) -> Handled:
        """Box every region and bring the boxes back to the parent image."""
        cells, regions = box(frame.labels, self._params)
        grid = PipelineGrid(**struct_asdict(frame.grid))
        around = frame.bounding_box
        on_grid = cells + np.array([around.x0, around.y0, 0], dtype=np.int32)
        x0, y0, x1, y1 = grid.rectangle_to_parent((around.x0, around.y0, around.x1, around.y1))
        message = Located(
            envelope=frame.envelope,
            grid=frame.grid,
            bounding_box=BoundingBox(x0=x0, y0=y0, x1=x1, y1=y1),
            n_peaks=frame.n_peaks,
            k=frame.k,
            boxes=grid.to_parent(on_grid),
            regions=regions,
        )
        return Handled(message, {"algorithm": self._params.algorithm})

    def warm_up(self) -> dict[str, Any]:
        """Compile the kernels; behind the gate everything is 8 bit."""
        return asdict(warm_up(["u1"]))


def build(settings: Mapping[str, Any]) -> Boxing:
    """Build the stage from its parameters in the topology."""
    return Boxing(parameters_from("boxing", settings, BoxParams))
