"""The particles of a parent image, where the method tells them apart: which boxes each has.

They are findings of the stage `refined`. Findings come from any worker that has reached the sink,
so that what does not fit the frame counts as not there.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from protocols.messages import Envelope, Grid, Located

from .store import ResultStore

FINDING = "particles"
"""Its name in the stage's record."""

_Count = Annotated[int, Meta(ge=0, le=1 << 31)]


class Particle(Struct, frozen=True, kw_only=True):
    """One particle of a parent image."""

    bounding_box: tuple[_Count, _Count, _Count, _Count]
    """x0, y0, x1, y1 in parent pixels, half-open."""
    first_box: _Count
    boxes: _Count
    """How many, from `first_box` on."""


def particles_of(located: Located) -> tuple[Particle, ...]:
    """Return the particles in the order of the record; none where they are not told apart."""
    found = _found(located.envelope)
    first = 0
    for particle in found:
        if particle.first_box != first or not _lies_in(located.grid, particle):
            return ()
        first += particle.boxes
    return found if first == len(located.boxes) else ()


def owners_of(located: Located) -> NDArray[np.int32] | None:
    """Return the particle of each box, (N,), from 0; None where they are not told apart."""
    counts = [particle.boxes for particle in particles_of(located)]
    return np.repeat(np.arange(len(counts), dtype=np.int32), counts) if counts else None


def has_particles(store: ResultStore) -> bool:
    """Say whether particles are told apart in any frame of a store; reads no boxes."""
    return any(_found(envelope) for envelope in store.envelopes_naming(FINDING))


def _found(envelope: Envelope) -> tuple[Particle, ...]:
    for stage in envelope.stages:
        if FINDING in stage.findings:
            try:
                return msgspec.convert(stage.findings[FINDING], tuple[Particle, ...])
            except msgspec.ValidationError:
                return ()
    return ()


def _lies_in(grid: Grid, particle: Particle) -> bool:
    x0, y0, x1, y1 = particle.bounding_box
    return x0 < x1 <= grid.parent_width and y0 < y1 <= grid.parent_height
