"""Who listens where, and who may connect there: the table behind docs/security.md."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Role: TypeAlias = Literal[
    "operator",
    "supervisor",
    "source",
    "queue",
    "worker",
    "sink",
    "detector",
    "feed",
    "controller",
]
"""What a key is for. The operator is the command line: status, scale, down."""
ROLES: tuple[Role, ...] = get_args(Role)

End: TypeAlias = Literal[
    "chain.control",
    "chain.beats",
    "source.offers",
    "source.closed",
    "first_stage.frames",
    "stage.frames",
    "stage.work",
    "sink.results",
    "feed.batches",
    "feed.copies",
]
"""The ends that listen, as the topology calls them; the first stage's frames come from the source,
those of the others from workers."""

LISTENS: dict[End, Role] = {
    "chain.control": "supervisor",
    "chain.beats": "supervisor",
    "source.offers": "source",
    "source.closed": "source",
    "first_stage.frames": "queue",
    "stage.frames": "queue",
    "stage.work": "queue",
    "sink.results": "sink",
    "feed.batches": "feed",
    "feed.copies": "feed",
}

MAY_CONNECT: dict[End, frozenset[Role]] = {
    "chain.control": frozenset({"operator"}),
    "chain.beats": frozenset({"source", "queue", "worker", "sink", "feed"}),
    "source.offers": frozenset({"detector"}),
    "source.closed": frozenset({"sink", "queue"}),
    "first_stage.frames": frozenset({"source"}),
    "stage.frames": frozenset({"worker"}),
    "stage.work": frozenset({"worker"}),
    "sink.results": frozenset({"source", "queue", "worker"}),
    "feed.batches": frozenset({"controller"}),
    "feed.copies": frozenset({"controller"}),
}

LISTENING: frozenset[Role] = frozenset(LISTENS.values())
"""Roles that others know by one key: there is one of each in a chain, however many hosts it has."""
