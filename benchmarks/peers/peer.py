"""What every way of running the kernels looks like from here."""

from __future__ import annotations

from collections.abc import Collection
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from numpy.typing import NDArray

PATIENCE_S = 30.0
"""Nothing heard for so long, where nobody was killed: the peer has failed."""


class PeerFailed(Exception):
    """A peer did not do what it should within the time allowed; says which, and what."""


class Finished(NamedTuple):
    """What the caller has learnt about one image."""

    number: int
    at: float
    """Seconds, monotonic: when the caller had it in hand."""
    boxes: int | None = None
    """How many were found; None where that is only read afterwards, or on an error."""
    error: str | None = None
    """The exception the caller got instead of a result."""


class Again(NamedTuple):
    """Work that was done more than once."""

    begun: int | None
    """Images that were begun again; None where that is not knowable."""
    finished: int | None
    """Images that were computed to the end more than once; None where that is not knowable."""


class Peer(Protocol):
    """One way of running `pipeline.process` in several processes.

    Entering starts it, leaving ends it. Images are numbered by the caller, each number once.
    """

    name: str
    version: str
    workers: str
    """How many processes compute, and which."""
    counted: str
    """How `moved` counts."""
    victim: str
    """Which process `at_work` names."""

    def __enter__(self) -> Self:
        """Start."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End."""

    def submit(self, number: int, image: NDArray[Any]) -> None:
        """Hand an image in; does not wait for its result."""

    def finished(self, timeout_s: float) -> list[Finished]:
        """Return what has come since the last call; wait for a first one for so long."""

    def moved(self) -> float:
        """Return the bytes moved since the start; the difference of two calls is meant."""

    def keep_journal(self) -> None:
        """From now on, note who works on what; costs time, so not where time is measured."""

    def at_work(self) -> int | None:
        """Return the process id of a worker that is at work now; None if none is."""

    def in_hand(self, pid: int) -> bool | None:
        """Say whether a worker, stopped or dead, has begun an image and not finished it.

        None where that is not knowable.
        """

    def again(self) -> Again:
        """Say how much was done more than once, since the journal is kept."""

    def boxes(self, numbers: Collection[int]) -> dict[int, int] | None:
        """Read how many boxes each image got; None where `finished` has said so."""
