"""What a run amounts to, gathered frame by frame in constant memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Self

from protocols.messages import Located, Outcome

from .record import Kind, kind_of
from .rows import process_ms
from .store import Counts
from .tally import TimeTally, WholeTally

_REASONS = 1000
"""Different reasons told apart; a reason is text from outside and could be new each time."""

_OTHER = "other"


class Statistics:
    """Box counts, times and reasons of the frames that were added."""

    def __init__(self) -> None:
        self.boxes = WholeTally()
        """Boxes per located image."""
        self.process = TimeTally()
        """Compute time per located image, all stages together."""
        self.stages: dict[str, TimeTally] = {}
        """Compute time per stage, of every frame that went through it."""
        self.rejections: Counter[str] = Counter()
        """By the code of the reason."""
        self.failures: Counter[str] = Counter()
        """By stage and code of the reason."""
        self._kinds: Counter[Kind] = Counter()

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Self:
        """Gather from all of these."""
        statistics = cls()
        for outcome in outcomes:
            statistics.add(outcome)
        return statistics

    @property
    def counts(self) -> Counts:
        """How many frames ended how."""
        return Counts(
            located=self._kinds["located"],
            rejected=self._kinds["rejected"],
            failed=self._kinds["failed"],
        )

    def add(self, outcome: Outcome) -> None:
        """Count one frame."""
        self._kinds[kind_of(outcome)] += 1
        for record in outcome.envelope.stages:
            self.stages.setdefault(record.stage, TimeTally()).add(record.milliseconds)
        if isinstance(outcome, Located):
            self.boxes.add(len(outcome.boxes))
            self.process.add(process_ms(outcome))
            return
        code = outcome.reason.partition(":")[0].strip()[:80] or _OTHER
        if kind_of(outcome) == "rejected":
            _count(self.rejections, code)
        else:
            _count(self.failures, f"{outcome.stage}: {code}")


def _count(reasons: Counter[str], reason: str) -> None:
    reasons[reason if reason in reasons or len(reasons) < _REASONS else _OTHER] += 1
