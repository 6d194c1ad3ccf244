"""How much of the particles the boxes cover, where the truth is known: of emulated images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from protocols.messages import Located

from .detectors.files import UnreadableImage, read_image
from .megalibrary import TRUTH
from .results import ResultStore
from .runtime.places import Places


def covered_shares(places: Places, library: Path) -> Iterator[float]:
    """Go through the located images, and yield which share of its particle each one's boxes cover.

    Parameters
    ----------
    places
        Where the results are.
    library
        The folder that `haadflow emulate` wrote; what has no truth mask there is left out.
    """
    with ResultStore(places.results) as store:
        for outcome in store.results():
            if not isinstance(outcome, Located):
                continue
            name = Path(outcome.envelope.metadata.source).name
            try:
                particle = read_image(library / TRUTH / name).image > 0
            except (UnreadableImage, OSError):
                continue
            boxed = np.zeros_like(particle)
            for x, y, size in outcome.boxes.tolist():
                boxed[y : y + size, x : x + size] = True
            yield float((boxed & particle).sum()) / max(1.0, float(particle.sum()))
