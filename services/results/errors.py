"""The one error of the result store."""

from __future__ import annotations

from pathlib import Path


class StoreError(Exception):
    """The store cannot be read or written; the message names the file and what is wrong.

    Parameters
    ----------
    path
        The store's file.
    problem
        What is wrong, and where there is one, what to do about it.
    """

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class EmptyStore(StoreError):
    """Nothing was ever stored there: the sink is about to make it."""
