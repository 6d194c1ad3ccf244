"""The source's window: what is in flight, and when it is taken for lost."""

from __future__ import annotations

from protocols.messages import Metadata
from services.runtime.ledger import LedgerFrame
from services.runtime.window import OVERTAKEN, Window


def frame(seq: int) -> LedgerFrame:
    return LedgerFrame(seq, Metadata(parent_id=str(seq), source="test"), None, 0.0, 1)


def test_the_window_is_full_by_frames_or_by_bytes() -> None:
    window = Window(max_frames=2, max_bytes=100, quiet_s=10)
    room = [window.has_room]
    for seq in range(2):
        window.sent(frame(seq), 10, now=0)
        room.append(window.has_room)
    assert room == [True, True, False]
    window.close(0, now=1)
    window.sent(frame(2), 95, now=1)
    window.close(1, now=1)
    assert window.bytes == 95
    assert window.has_room
    window.close(2, now=1)
    window.sent(frame(3), 100, now=1)
    assert (window.frames, window.has_room) == (1, False)


def test_closing_what_is_not_in_flight_changes_nothing() -> None:
    window = Window(max_frames=2, max_bytes=100, quiet_s=10)
    window.sent(frame(0), 10, now=0)
    window.close(0, now=1)
    window.close(0, now=1)
    assert (window.frames, window.bytes) == (0, 0)


def test_all_is_lost_when_nothing_moves() -> None:
    window = Window(max_frames=4, max_bytes=100, quiet_s=10)
    window.sent(frame(0), 1, now=0)
    window.sent(frame(1), 1, now=5)
    assert window.lost(now=14) == []
    assert window.lost(now=15.1) == [0, 1]
    assert window.lost(now=15.2) == []


def test_a_slow_chain_that_moves_loses_nothing() -> None:
    window = Window(max_frames=4, max_bytes=100, quiet_s=10)
    for seq in range(4):
        window.sent(frame(seq), 1, now=0)
    for seq in range(4):
        assert window.lost(now=9.0 * (seq + 1)) == []
        window.close(seq, now=9.0 * (seq + 1))


def test_a_frame_that_many_have_overtaken_is_lost() -> None:
    window = Window(max_frames=4, max_bytes=100, quiet_s=10)
    window.sent(frame(0), 1, now=0)
    for seq in range(1, 4 * OVERTAKEN + 2):
        window.sent(frame(seq), 1, now=seq)
        window.close(seq, now=seq)
    now = float(4 * OVERTAKEN + 2)
    assert window.lost(now) == [0]
    (again,) = window.reopen([0])
    assert again.attempt == 2
    assert window.frames == 0


def test_who_says_that_it_waits_has_lost_nothing() -> None:
    window = Window(4, 1000, quiet_s=10)
    window.sent(frame(0), 1, 0.0)
    for now in (9.0, 18.0, 27.0):
        window.waits(now)
        assert window.lost(now + 1) == []
    assert window.lost(38.0) == [0]
