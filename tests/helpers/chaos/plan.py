"""Which faults, in which order, after how many frames: from a seed, so that it can be repeated."""

from __future__ import annotations

import random
from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["kill", "stop", "term", "hang"]
Victim: TypeAlias = Literal["worker", "queue", "source", "sink", "supervisor", "sender"]

SERVICES: tuple[Victim, ...] = ("worker", "queue", "source", "sink")
FAULTS: tuple[tuple[Kind, Victim], ...] = (
    *((kind, victim) for kind in ("kill", "stop", "term") for victim in SERVICES),
    ("kill", "supervisor"),
    ("stop", "supervisor"),
    ("term", "supervisor"),
    ("kill", "sender"),
    ("stop", "sender"),
    ("term", "sender"),
    ("hang", "worker"),
)
"""`stop` is SIGSTOP and, some frames later, SIGCONT; after `hang` nobody sends SIGCONT."""
LASTING = 3
"""A process stays stopped for so many faults' time at most, so that others die meanwhile."""


class Fault(NamedTuple):
    """One thing to do."""

    kind: Kind
    victim: Victim
    which: int
    """Chooses among the processes of this kind, modulo their number."""
    after: int
    """Frames accepted or ended since the fault before it."""
    lasting: int
    """The same until a stopped process goes on."""


def plan(
    seed: int, count: int, *, apart: int, among: tuple[tuple[Kind, Victim], ...] = FAULTS
) -> list[Fault]:
    """Return `count` faults: each of `among` once, in random order, before any comes again.

    `apart` is the mean number of frames between two of them.
    """
    dice = random.Random(seed)  # noqa: S311 - to be repeatable is the point
    faults: list[Fault] = []
    while len(faults) < count:
        for kind, victim in dice.sample(among, len(among)):
            after, lasting = dice.randint(1, 2 * apart), dice.randint(1, LASTING * apart)
            faults.append(Fault(kind, victim, dice.randrange(1_000), after, lasting))
    return faults[:count]
