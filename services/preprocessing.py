"""Preprocessing: finds the particle's bounding box and takes its background away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pipeline import NothingFound, PreprocessParams, preprocess, warm_up
from protocols.messages import BoundingBox, FilteredCrop, GridImage, Rejected

from .runtime.stage import Handled, parameters_from


class Preprocessing:
    """GridImage -> FilteredCrop, or Rejected when there is no particle."""

    name = "preprocessing"
    accepts = GridImage
    gives = FilteredCrop

    def __init__(self, params: PreprocessParams) -> None:
        self._params = params
        self.parameters = asdict(params)

    def handle(self, frame: GridImage) -> Handled:
        """Find the bounding box, crop, cut off the background, filter."""
        found = preprocess(frame.image, self._params)
        if isinstance(found, NothingFound):
            rejected = Rejected(
                envelope=frame.envelope,
                stage=self.name,
                reason=found.reason,
                parent_height=frame.grid.parent_height,
                parent_width=frame.grid.parent_width,
            )
            return Handled(rejected, {})
        x0, y0, x1, y1 = found.bounding_box
        message = FilteredCrop(
            envelope=frame.envelope,
            grid=frame.grid,
            bounding_box=BoundingBox(x0=x0, y0=y0, x1=x1, y1=y1),
            filtered=found.filtered,
        )
        findings = {"bounding_box_cells": list(found.bounding_box), "cutoff": found.cutoff}
        return Handled(message, findings)

    def warm_up(self) -> dict[str, Any]:
        """Compile the kernels; behind the gate everything is 8 bit."""
        return asdict(warm_up(["u1"]))


def build(settings: Mapping[str, Any]) -> Preprocessing:
    """Build the stage from its parameters in the topology."""
    return Preprocessing(parameters_from("preprocessing", settings, PreprocessParams))
