"""The codec's invariant: a message or a `DecodeError`, and both ways of reading say the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from protocols import (
    Buffer,
    ProtocolError,
    codec,
    decode,
    encode,
    envelope_of,
    identity,
    peek,
    with_attempt,
)
from protocols.messages import Message
from tests.helpers.same import same

_QUICK = ((codec, "read_typed"), (identity, "read_typed"), (codec, "write_typed"))


@contextmanager
def slowly() -> Iterator[None]:
    """Read and write headers the slow way only."""
    kept = [(module, name, getattr(module, name)) for module, name in _QUICK]
    for module, name in _QUICK:
        setattr(module, name, lambda *_: None)
    try:
        yield
    finally:
        for module, name, function in kept:
            setattr(module, name, function)


def outcome(function: Callable[..., object], *arguments: object) -> object:
    """Return what a call gives, or the words with which it refuses."""
    try:
        return function(*arguments)
    except ProtocolError as error:
        return f"{type(error).__name__}: {error}"


def assert_alike(parts: Sequence[Buffer]) -> None:
    """Read parts both ways; any exception but a `ProtocolError` comes through."""
    quick, quick_peek = outcome(decode, parts), outcome(peek, parts)
    with slowly():
        slow, slow_peek = outcome(decode, parts), outcome(peek, parts)
    assert quick_peek == slow_peek
    if isinstance(slow, str):
        assert quick == slow
    else:
        assert same(quick, slow)


def assert_handled(parts: Sequence[Buffer]) -> None:
    """Do to parts whatever a service does: nothing but a `ProtocolError` may come of it.

    What was read can be sent on, and comes back the same.
    """
    assert_alike(parts)
    outcome(envelope_of, parts)
    outcome(with_attempt, parts, 2)
    message = outcome(decode, parts)
    if not isinstance(message, str):
        assert isinstance(message, Message)
        again = [bytes(part) for part in encode(message)]
        assert same(decode(again), message)
