"""The refined method as one stage: what it finds of a particle needs the parent image all along.

A chain of it is source, queue, workers of this stage, sink
(docs/decisions/0018-the-refined-method-is-one-stage.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from pipeline import Result, process, warm_up
from protocols.messages import BoundingBox, Envelope, Grid, Located, Rejected, SurveyImage

from .runtime.stage import Handled, parameters_from
from .wishes import Wishes


class Refined:
    """SurveyImage -> Located, or Rejected with what decided it."""

    name = "refined"
    accepts = SurveyImage
    gives = Located

    def __init__(self, wishes: Wishes) -> None:
        self._wishes = wishes
        self.parameters = asdict(wishes)

    def handle(self, frame: SurveyImage) -> Handled:
        """Find the particles of one parent image, and box each.

        Boxes come particle by particle, of each the best first. The findings say of each particle
        its `bounding_box` (x0, y0, x1, y1 in parent pixels, half-open), `k`, its `first_box` and
        how many `boxes`, `area_px`, `pitch_px` and `explained`.
        """
        metadata = frame.envelope.metadata
        controls = self._wishes.of(metadata.pixel_size_nm)
        if isinstance(controls, str):
            return self._reject(frame, controls, {})
        result = process(
            frame.image,
            n_elements=metadata.n_elements,
            method="refined",
            controls=controls,
        )
        findings = findings_of(result)
        message = as_located(result, frame.envelope)
        if message is None:
            return self._reject(frame, result.reason or "refused", findings)
        return Handled(message, findings)

    def warm_up(self) -> dict[str, Any]:
        """Compile the kernels for every dtype a detector may send."""
        return asdict(warm_up(refined=True))

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


def as_located(result: Result, envelope: Envelope) -> Located | None:
    """Return what the method found as a message; None if it found nothing."""
    if result.bounding_box is None or result.grid is None or result.owners is None:
        return None
    x0, y0, x1, y1 = result.bounding_box
    by_particle = np.argsort(result.owners, kind="stable")
    return Located(
        envelope=envelope,
        grid=Grid(**asdict(result.grid)),
        bounding_box=BoundingBox(x0=x0, y0=y0, x1=x1, y1=y1),
        n_peaks=0,
        k=result.k or 0,
        boxes=result.boxes[by_particle],
        regions=result.regions[by_particle],
    )


def findings_of(result: Result) -> dict[str, Any]:
    """Return what goes into the record: how the frame was scaled and judged, and its particles."""
    found: dict[str, Any] = {}
    if result.scaling is not None:
        found["scaling"] = asdict(result.scaling)
    if result.quality is not None:
        found["quality"] = result.quality.measures
    first = 0
    particles = []
    for particle in result.particles:
        particles.append(
            {
                "bounding_box": list(particle.bounding_box),
                "k": particle.k,
                "first_box": first,
                "boxes": len(particle.boxes),
                "area_px": particle.area_px,
                "pitch_px": particle.pitch_px,
                "explained": particle.explained,
            }
        )
        first += len(particle.boxes)
    if particles:
        found["particles"] = particles
    return found


def build(settings: Mapping[str, Any]) -> Refined:
    """Build the stage from its parameters in the topology."""
    return Refined(parameters_from("refined", settings, Wishes))
