"""When a replaying detector sends which image: at a rate, with what goes wrong at real ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

LATEST = 10
"""A late image comes 1 to so many places after its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """How images are replayed.

    Attributes
    ----------
    rate_hz : float or None
        Images a second; None for as fast as the chain takes them.
    gaps, duplicates, late : float
        Shares of the images, 0 to 1, that are never sent, that are offered twice (as after an
        answer that was lost), and that come after later ones.
    seed : int
        The same seed draws the same ones.
    """

    rate_hz: float | None = None
    gaps: float = 0.0
    duplicates: float = 0.0
    late: float = 0.0
    seed: int = 0


class Turn(NamedTuple):
    """One image's turn."""

    due_s: float
    """Seconds from the start; 0 without a rate."""
    image: int
    twice: bool
    late: bool


def turns(count: int, replay: Replay) -> Iterator[Turn]:
    """Yield the turns of so many images, in order of time.

    A gap leaves its time empty; whatever is late takes a place of a later image as well.
    """
    drawn = random.Random(replay.seed)  # noqa: S311 - which images, no secret
    period = 0.0 if replay.rate_hz is None else 1.0 / replay.rate_hz
    waiting: list[tuple[int, Turn]] = []
    for image in range(count):
        gap, twice, late = (
            drawn.random() < share for share in (replay.gaps, replay.duplicates, replay.late)
        )
        place = image + drawn.randint(1, LATEST) if late else image
        if not gap:
            waiting.append((place, Turn(place * period, image, twice, late)))
        waiting.sort(key=lambda each: (each[0], each[1].image))
        while waiting and waiting[0][0] <= image:
            yield waiting.pop(0)[1]
    yield from (turn for _, turn in waiting)
