"""What is written when a run is over: tables, summary, pictures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from protocols import DecodeError, decode, split_parts
from protocols.messages import Located, Outcome, SurveyImage

from .account import read_account
from .detectors.files import DEFAULT_READ_LIMITS, ReadLimits, UnreadableImage, read_reference
from .feed.reading import acquisitions
from .intake import limits_of
from .results import ResultStore
from .results.export import Export, export_tables
from .results.hero import draw_hero
from .results.pictures import write_pictures
from .runtime.ledger import Ledger
from .runtime.places import Places
from .runtime.spool import name_of
from .runtime.topology import Topology, TopologyError


def _untold(what: str, done: int) -> None:
    """Nobody wants to know how far it is."""


def write_report(
    places: Places, *, pictures: int, progress: Callable[[str, int], None] = _untold
) -> Export:
    """Write everything into the output folder; each file appears whole or not at all.

    Parameters
    ----------
    pictures
        Overlays of the first so many frames, and one contact sheet of them; 0 for none.
    progress
        Called with what is done and the number of frames for which it is.
    """
    account = read_account(places)
    figures = msgspec.to_builtins(account) | {"closes": account.closes}
    with (
        ResultStore(places.results) as store,
        Ledger(places.ledger, read_only=True) as ledger,
        acquisitions(places.feed) as acquired,
    ):
        export = export_tables(
            store,
            places.out,
            account=figures,
            acquisitions=acquired,
            progress=partial(progress, "writing tables"),
        )
        if pictures:
            write_pictures(
                store,
                places.out,
                Images(ledger, places).of,
                first=pictures,
                statistics=export.statistics,
                progress=partial(progress, "drawing pictures"),
            )
    return export


def write_hero(places: Places) -> Path | None:
    """Draw one result that shows the method well as one wide picture: image, regions, boxes.

    That is a particle of two regions, or nearly so, that fills a third of its picture or more,
    with few boxes. None when nothing was located.
    """
    with ResultStore(places.results) as store, Ledger(places.ledger, read_only=True) as ledger:
        images = Images(ledger, places)
        located = (result for result in store.results() if isinstance(result, Located))
        result = max(located, key=_worth_showing, default=None)
        image = None if result is None else images.of(result)
    if result is None or image is None:
        return None
    path = places.out / "hero.png"
    draw_hero(image, result, path)
    return path


def _worth_showing(result: Located) -> tuple[bool, bool, int, int]:
    box = result.bounding_box
    parent = result.grid.parent_height * result.grid.parent_width
    large = (box.x1 - box.x0) * (box.y1 - box.y0) > 0.33 * parent
    areas = np.bincount(result.regions, weights=result.boxes[:, 2].astype(np.float64) ** 2)[1:]
    balanced = bool(areas.min(initial=np.inf) > 0.25 * areas.sum())
    return large, balanced, -abs(result.k - 3), -len(result.boxes)


def _limits_of(places: Places) -> ReadLimits:
    """Return the limits the chain read its images with."""
    try:
        return limits_of(Topology.load(places.topology).source)
    except TopologyError:
        return DEFAULT_READ_LIMITS


class Images:
    """The parent images of frames, as far as they can still be read."""

    def __init__(self, ledger: Ledger, places: Places) -> None:
        self._ledger = ledger
        self._places = places
        self._limits = _limits_of(places)

    def of(self, outcome: Outcome) -> NDArray[Any] | None:
        """Return a frame's parent image; None when it is gone or was never readable."""
        seq = outcome.envelope.seq
        reference = self._ledger.reference(seq)
        try:
            if reference is not None:
                return read_reference(reference, limits=self._limits).image
            for folder in (self._places.keepsakes, self._places.dead_letters):
                path = folder / name_of(seq)
                if path.exists():
                    return decode(split_parts(path.read_bytes()), expect=(SurveyImage,)).image
        except (UnreadableImage, DecodeError, OSError):
            return None
        return None
