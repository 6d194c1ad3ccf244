"""What a worker of multiprocessing, Dask or Ray does with an image."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from benchmarks.peers.journal import note
from pipeline import Result, process, warm_up
from services.runtime.process import hold_to_one_thread

N_ELEMENTS = 3
"""As the chain's benchmark says of these images."""


def locate(number: int, image: NDArray[Any], journal: str | None) -> Result:
    """Locate the particle, as the chain does in four stages.

    Parameters
    ----------
    number : int
        The image's, for the journal.
    image : ndarray, (height, width)
    journal : str or None
        Where to note that it was begun and finished; None where time is measured.
    """
    _prepare()
    if journal is None:
        return process(image, n_elements=N_ELEMENTS)
    note(Path(journal), number, "begun")
    result = process(image, n_elements=N_ELEMENTS)
    note(Path(journal), number, "finished")
    return result


@cache
def _prepare() -> None:
    """Do once in a process what the chain's workers do before they ask for work."""
    hold_to_one_thread()
    warm_up(("u1",))
