"""What every table writer asks of one stored outcome, each answered once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from protocols.messages import Located

from .acquisition import Acquisition
from .cells import column_texts
from .record import Record
from .rows import BoxColumns, FrameRow, box_columns, frame_row


class View:
    """One stored outcome, as the tables see it.

    Parameters
    ----------
    record
        The outcome as the store keeps it.
    acquisition
        What became of its boxes, where there was a feed.
    """

    def __init__(self, record: Record, acquisition: Acquisition | None = None) -> None:
        self.record = record
        self.acquisition = acquisition

    @cached_property
    def row(self) -> FrameRow:
        """The row of frames.csv."""
        return frame_row(self.record.outcome)

    @cached_property
    def columns(self) -> BoxColumns | None:
        """The columns of boxes.csv; None where there is no box."""
        outcome = self.record.outcome
        if not isinstance(outcome, Located) or not len(outcome.boxes):
            return None
        return box_columns(outcome, self.acquisition.places if self.acquisition else None)

    def box_texts(self, names: Sequence[str], unknown: str) -> list[list[str]]:
        """Write columns as text, in the order of `names`, what is not known as `unknown`.

        Returns
        -------
        list
            One list of N texts a column; no list where there is no box.
        """
        if not self.columns:
            return []
        blank = [unknown] * len(self.columns.box_id)
        return [self._texts.get(name, blank) for name in names]

    @cached_property
    def _texts(self) -> dict[str, list[str]]:
        columns = {name: getattr(self.columns, name) for name in BoxColumns.__struct_fields__}
        return {n: column_texts(column) for n, column in columns.items() if column is not None}
