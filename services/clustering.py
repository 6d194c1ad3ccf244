"""Clustering: divides the particle into regions of similar intensity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pipeline import ClusterParams, cluster, warm_up
from protocols.messages import FilteredCrop, Regions, Rejected

from .runtime.stage import Handled, parameters_from


class Clustering:
    """FilteredCrop -> Regions, or Rejected when all of the crop is background."""

    name = "clustering"
    accepts = FilteredCrop
    gives = Regions

    def __init__(self, params: ClusterParams) -> None:
        self._params = params
        self.parameters = asdict(params)

    def handle(self, frame: FilteredCrop) -> Handled:
        """Choose k by Procedure 1 and cluster."""
        metadata = frame.envelope.metadata
        found = cluster(frame.filtered, metadata.n_elements, self._params)
        findings = {
            "k_from": "composition" if metadata.composition else found.k_from,
            "k_wanted": found.k_wanted,
            "centers": list(found.centers),
        }
        if found.reason is not None:
            rejected = Rejected(
                envelope=frame.envelope,
                stage=self.name,
                reason=found.reason,
                parent_height=frame.grid.parent_height,
                parent_width=frame.grid.parent_width,
            )
            return Handled(rejected, findings)
        message = Regions(
            envelope=frame.envelope,
            grid=frame.grid,
            bounding_box=frame.bounding_box,
            n_peaks=found.n_peaks,
            k=found.k,
            labels=found.labels,
        )
        return Handled(message, findings)

    def warm_up(self) -> dict[str, Any]:
        """Compile the kernels; behind the gate everything is 8 bit."""
        return asdict(warm_up(["u1"]))


def build(settings: Mapping[str, Any]) -> Clustering:
    """Build the stage from its parameters in the topology."""
    return Clustering(parameters_from("clustering", settings, ClusterParams))
