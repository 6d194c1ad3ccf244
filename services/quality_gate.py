"""The quality gate: brings the parent image onto the method's grid and says whether to go on.

The picture it judged is what travels on: the parent image itself crosses no further socket
(docs/decisions/0006-the-gate-hands-on-the-grid.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pipeline import Grid as PipelineGrid
from pipeline import (
    QualityParams,
    as_image,
    assess,
    downsize,
    find_scaling,
    too_small,
    warm_up,
)
from protocols.messages import Grid, GridImage, Rejected, SurveyImage

from .runtime.stage import Handled, parameters_from


class QualityGate:
    """SurveyImage -> GridImage, or Rejected with the gate's reason."""

    name = "quality_gate"
    accepts = SurveyImage
    gives = GridImage

    def __init__(self, params: QualityParams) -> None:
        self._params = params
        self.parameters = asdict(params)

    def handle(self, frame: SurveyImage) -> Handled:
        """Scale, downsize and assess one parent image."""
        image = as_image(frame.image)
        height, width = image.shape
        refusal = too_small(height, width, self._params)
        if refusal is not None:
            return self._reject(frame, refusal, {})
        grid = PipelineGrid.for_parent(height, width)
        scaling = find_scaling(image)
        grid_image = downsize(image, scaling, grid)
        quality = assess(grid_image, grid, scaling, self._params)
        findings = {"scaling": asdict(scaling), "quality": quality.measures}
        if not quality.passed:
            return self._reject(frame, quality.reason or "refused", findings)
        message = GridImage(envelope=frame.envelope, grid=Grid(**asdict(grid)), image=grid_image)
        return Handled(message, findings)

    def warm_up(self) -> dict[str, Any]:
        """Compile the kernels for every dtype a detector may send."""
        return asdict(warm_up())

    def _reject(self, frame: SurveyImage, reason: str, findings: dict[str, Any]) -> Handled:
        height, width = frame.image.shape
        rejected = Rejected(
            envelope=frame.envelope,
            stage=self.name,
            reason=reason,
            parent_height=height,
            parent_width=width,
        )
        return Handled(rejected, findings)


def build(settings: Mapping[str, Any]) -> QualityGate:
    """Build the stage from its parameters in the topology."""
    return QualityGate(parameters_from("quality_gate", settings, QualityParams))
