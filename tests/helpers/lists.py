"""A worker's ends as plain lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class ListInbox:
    """Gives the messages of a list, and keeps what is sent back."""

    def __init__(self, messages: Sequence[Sequence[Any]]) -> None:
        self.waiting = list(messages)
        self.sent: list[Sequence[Any]] = []

    def receive(self, timeout_ms: int = 0) -> Sequence[Any] | None:  # noqa: ARG002 - never waits
        """Return the next message."""
        return self.waiting.pop(0) if self.waiting else None

    def send(self, parts: Sequence[Any]) -> None:
        """Keep a message."""
        self.sent.append(parts)


class ListOutbox:
    """Keeps what is handed on; refuses the first `refusals` times."""

    def __init__(self, *, refusals: int = 0) -> None:
        self.messages: list[Sequence[Any]] = []
        self.refusals = refusals

    def send(self, parts: Sequence[Any], *, timeout_ms: int = 0) -> bool:  # noqa: ARG002 - never waits
        """Keep a message, or refuse it."""
        if self.refusals:
            self.refusals -= 1
            return False
        self.messages.append(parts)
        return True
