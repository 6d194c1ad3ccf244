"""The boxes of a run in the words of an instrument: a file a parent image, and an index."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from protocols.messages import Located

from .controllers.dialects import DIALECTS, Parent, Request, Unrepresentable, in_dialect
from .controllers.order import acquisition_order
from .results import ResultStore
from .results.pictures import file_stem
from .results.whole_files import write_whole
from .runtime.durable import flush
from .runtime.places import Places

INDEX = "batches.json"


class InstrumentFile(Struct, frozen=True, kw_only=True):
    """What became of one parent image's boxes."""

    parent_id: str
    parent_height: int
    parent_width: int
    n_boxes: int
    file: str | None
    """Beside the index; None if the boxes could not be said in this dialect."""
    refused: str | None
    """Why not."""
    box_ids: tuple[int, ...]
    """In the order of the file; each stands for its n x n points, if it is points."""


class InstrumentFiles(Struct, frozen=True, kw_only=True):
    """The index: what was asked for, and each located parent image."""

    request: Request
    origin: str = "top-left; x right, y down"
    batches: tuple[InstrumentFile, ...]


def write_instrument_files(places: Places, request: Request) -> InstrumentFiles:
    """Write `instrument/DIALECT/` in the output folder; each file appears whole or not at all.

    The index is there only when all others are: an older one would say of new files what is in old
    ones. Parent images without boxes have no file: `frames.csv` says what became of them.
    """
    folder = places.out / "instrument" / request.dialect
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    flush(folder)
    batches = []
    with ResultStore(places.results) as store:
        for result in store.results():
            if not isinstance(result, Located):
                continue
            parent = Parent(result.grid.parent_height, result.grid.parent_width)
            file, refused = file_stem(result) + DIALECTS[request.dialect].suffix, None
            try:
                write_whole(folder / file, in_dialect(parent, result.boxes, request))
            except Unrepresentable as error:
                refused = str(error)
                (folder / file).unlink(missing_ok=True)  # of an earlier export
            order = acquisition_order(result.boxes, request.order)
            batches.append(
                InstrumentFile(
                    parent_id=result.envelope.metadata.parent_id,
                    parent_height=parent.height,
                    parent_width=parent.width,
                    n_boxes=len(result.boxes),
                    file=file if refused is None else None,
                    refused=refused,
                    box_ids=tuple(order.tolist()) if refused is None else (),
                )
            )
    written = InstrumentFiles(request=request, batches=tuple(batches))
    index = msgspec.json.format(msgspec.json.encode(written), indent=1) + b"\n"
    write_whole(folder / INDEX, index)
    return written
