"""What a replaying detector sends, and when."""

from __future__ import annotations

import pytest

from services.detectors.replay import LATEST, Replay, turns

N = 2000


def test_without_wishes_every_image_comes_once_in_order_on_time() -> None:
    plain = list(turns(5, Replay(rate_hz=20.0)))
    assert [turn.image for turn in plain] == [0, 1, 2, 3, 4]
    assert [turn.due_s for turn in plain] == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2])
    assert not any(turn.twice or turn.late for turn in plain)


def test_gaps_are_left_out_and_their_time_stays_empty() -> None:
    sent = list(turns(N, Replay(rate_hz=10.0, gaps=0.2)))
    assert 0.75 * N < len(sent) < 0.85 * N
    assert all(turn.due_s == pytest.approx(turn.image / 10.0) for turn in sent)


def test_late_images_come_after_later_ones_and_none_is_lost() -> None:
    sent = list(turns(N, Replay(rate_hz=10.0, late=0.1)))
    assert sorted(turn.image for turn in sent) == list(range(N))
    late = [turn for turn in sent if turn.late]
    assert 0.07 * N < len(late) < 0.13 * N
    behind = [10 * turn.due_s - turn.image for turn in late]
    assert min(behind) == pytest.approx(1)
    assert max(behind) == pytest.approx(LATEST)
    assert [turn.due_s for turn in sent] == sorted(turn.due_s for turn in sent)


def test_duplicates_are_marked_and_the_same_seed_draws_the_same() -> None:
    wishes = Replay(gaps=0.1, duplicates=0.3, late=0.1, seed=7)
    sent = list(turns(N, wishes))
    assert sent == list(turns(N, wishes))
    assert 0.25 < sum(turn.twice for turn in sent) / len(sent) < 0.35
    assert {turn.due_s for turn in sent} == {0.0}
