"""Clustering: divides the particle into regions of similar intensity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pipeline import ClusterParams, cluster, warm_up
from protocols.messages import FilteredCrop, Regions

from .runtime.stage import Handled, parameters_from


class Clustering:
    """FilteredCrop -> Regions."""

    name = "clustering"
    accepts = FilteredCrop
    gives = Regions

    def __init__(self, params: ClusterParams) -> None:
        self._params = params
        self.parameters = asdict(params)

    def handle(self, frame: FilteredCrop) -> Handled:
        """Choose k by Procedure 1 and cluster."""
        n_elements = frame.envelope.metadata.n_elements
        found = cluster(frame.filtered, n_elements, self._params)
        message = Regions(
            envelope=frame.envelope,
            grid=frame.grid,
            bounding_box=frame.bounding_box,
            n_peaks=found.n_peaks,
            k=found.k,
            labels=found.labels,
        )
        findings = {"k_from": found.k_from, "centers": [float(c) for c in found.centers]}
        return Handled(message, findings)

    def warm_up(self) -> None:
        """Compile the kernels."""
        warm_up()


def build(settings: Mapping[str, Any]) -> Clustering:
    """Build the stage from its parameters in the topology."""
    return Clustering(parameters_from("clustering", settings, ClusterParams))
