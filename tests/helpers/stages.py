"""A stage for tests: small, with every kind of outcome."""

from __future__ import annotations

from typing import Any

import msgspec

from protocols.messages import Rejected, SurveyImage
from services.runtime.stage import Handled

UNLUCKY = 13


class Halves:
    """Halves an image filled with its sequence number; odd ones are rejected, 13 raises."""

    name = "quality_gate"
    accepts = SurveyImage
    gives = SurveyImage

    def __init__(self, findings: dict[str, Any] | None = None) -> None:
        self.parameters: dict[str, Any] = {"by": 2}
        self._findings = {"halved": True} if findings is None else findings

    def handle(self, frame: SurveyImage) -> Handled:
        """Halve."""
        value = int(frame.image[0, 0])
        if value == UNLUCKY:
            raise RuntimeError("unlucky")
        if value % 2:
            reason = f"odd: {value} has no half"
            rejected = Rejected(envelope=frame.envelope, stage=self.name, reason=reason)
            return Handled(rejected, {})
        return Handled(msgspec.structs.replace(frame, image=frame.image // 2), self._findings)

    def warm_up(self) -> dict[str, Any]:
        """Nothing to do."""
        return {}
