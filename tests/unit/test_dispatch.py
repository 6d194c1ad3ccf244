"""The stage queue's state: no frame is forgotten, none is with two workers at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.dispatch import Dispatch

ANN, BEN = b"ann", b"ben"


def key(seq: int) -> tuple[str, int]:
    return ("run", seq)


def filled(*seqs: int) -> Dispatch:
    dispatch = Dispatch(max_deaths=3, deadline_s=30)
    for seq in seqs:
        dispatch.add(key(seq), [b"frame"], now=0.0)
    return dispatch


def ask(dispatch: Dispatch, peer: bytes, frames: int = 1, *done: int, now: float = 0.0) -> None:
    dispatch.credit(peer, frames, [key(seq) for seq in done], now, outstanding=frames)


def assigned(dispatch: Dispatch, now: float = 0.0) -> list[tuple[bytes, int]]:
    given_out = []
    while (leased := dispatch.assign(now)) is not None:
        given_out.append((leased[0], leased[1].key[1]))
    return given_out


def test_frames_wait_until_a_worker_asks() -> None:
    dispatch = filled(0, 1)
    assert assigned(dispatch) == []
    ask(dispatch, ANN)
    assert assigned(dispatch) == [(ANN, 0)]
    assert (dispatch.waiting, dispatch.leased) == (1, 1)


def test_the_worker_with_the_fewest_frames_is_served_first() -> None:
    dispatch = filled(0, 1, 2)
    ask(dispatch, ANN, 2)
    ask(dispatch, BEN, 2)
    assert sorted(peer for peer, _ in assigned(dispatch)[:2]) == [ANN, BEN]


def test_a_frame_that_is_here_is_not_taken_in_again() -> None:
    dispatch = filled(0)
    assert not dispatch.add(key(0), [b"again"], now=1.0)
    ask(dispatch, ANN, 2)
    assert assigned(dispatch) == [(ANN, 0)]
    assert not dispatch.add(key(0), [b"again"], now=1.0)
    ask(dispatch, ANN, 1, 0)
    assert dispatch.add(key(0), [b"new"], now=2.0)


def test_a_lost_workers_frames_go_to_another_in_order() -> None:
    dispatch = filled(0, 1, 2)
    ask(dispatch, ANN, 2)
    assigned(dispatch)
    assert dispatch.lost(ANN) == []
    ask(dispatch, BEN, 3)
    assert [seq for _, seq in assigned(dispatch)] == [0, 1, 2]
    assert dispatch.figures.redelivered == 2


def test_only_the_frame_in_hand_is_blamed_for_a_death() -> None:
    dispatch = filled(0, 1)
    for death in range(3):
        ask(dispatch, b"%d" % death, 2)
        assert [seq for _, seq in assigned(dispatch)] == [0, 1]
        dead = dispatch.lost(b"%d" % death)
    assert [entry.key for entry in dead] == [key(0)]
    ask(dispatch, BEN)
    assert assigned(dispatch) == [(BEN, 1)]


def test_a_leaving_worker_gives_back_without_blame() -> None:
    dispatch = filled(0, 1)
    for _ in range(5):
        ask(dispatch, ANN, 2)
        assigned(dispatch)
        dispatch.credit(ANN, 0, [], 0.0, outstanding=0, leaving=True)
    assert dispatch.waiting == 2
    assert dispatch.figures.redelivered == 0


def test_of_an_unknown_worker_all_that_is_outstanding_counts() -> None:
    dispatch = filled(0, 1, 2, 3)
    dispatch.credit(ANN, 0, [], 0.0, outstanding=2)
    dispatch.credit(ANN, 0, [], 0.0, outstanding=2)
    assert len(assigned(dispatch)) == 2


def test_a_late_answer_changes_nothing() -> None:
    dispatch = filled(0)
    ask(dispatch, ANN)
    assigned(dispatch)
    dispatch.lost(ANN)
    ask(dispatch, BEN)
    assert assigned(dispatch) == [(BEN, 0)]
    ask(dispatch, ANN, 1, 0)
    assert dispatch.leased == 1
    ask(dispatch, BEN, 1, 0)
    assert dispatch.leased == 0


def test_the_deadline_runs_from_when_a_frame_came_to_hand() -> None:
    dispatch = filled(0, 1)
    ask(dispatch, ANN, 2, now=0.0)
    assigned(dispatch, now=0.0)
    ask(dispatch, ANN, 1, 0, now=29.0)
    assert dispatch.overdue(now=31.0) == []
    assert dispatch.overdue(now=59.5) == [ANN]


def test_a_late_worker_gets_nothing_until_it_has_answered_for_what_it_has() -> None:
    dispatch = filled(0, 1, 2)
    ask(dispatch, ANN, 2)
    assigned(dispatch)
    assert dispatch.suspend(ANN) == []
    assert (dispatch.waiting, dispatch.leased) == (3, 0)
    assert dispatch.workers == ()
    assert dispatch.peers == (ANN,)
    dispatch.credit(ANN, 1, [key(0)], 1.0, outstanding=2)
    assert assigned(dispatch) == [], "frame 1 is still in its hands"
    dispatch.credit(ANN, 1, [key(1)], 2.0, outstanding=2)
    assert assigned(dispatch) == [(ANN, 0), (ANN, 1)]


def test_one_late_frame_makes_no_other_a_dead_letter() -> None:
    """One worker; every frame takes 1.3 s, the first 2.6 s once; the deadline is 2 s."""
    dispatch = Dispatch(max_deaths=3, deadline_s=2.0)
    for seq in range(30):
        dispatch.add(key(seq), [b""], 0.0)
    inbox: list[int] = []
    done: set[int] = set()
    now, outstanding, slow = 0.0, 2, True
    dispatch.credit(ANN, 2, [], now, outstanding=outstanding)
    while len(done) < 30:
        inbox += [seq for _, seq in assigned(dispatch, now)]
        seq = inbox.pop(0)
        outstanding -= 1
        for _ in range(26 if slow else 13):
            now += 0.1
            for peer in dispatch.overdue(now):
                assert dispatch.suspend(peer) == []
        slow = False
        done.add(seq)
        outstanding += 1
        dispatch.credit(ANN, 1, [key(seq)], now, outstanding=outstanding)
        assert len(inbox) <= 2
        assert now < 120
    assert dispatch.figures.dead_letters == 0
    assert dispatch.figures.overdue == 1


def test_a_late_worker_that_dies_or_leaves_is_forgotten() -> None:
    for leaving in (True, False):
        dispatch = filled(0)
        ask(dispatch, ANN)
        assigned(dispatch)
        dispatch.suspend(ANN)
        if leaving:
            dispatch.credit(ANN, 0, [], 1.0, outstanding=0, leaving=True)
        else:
            dispatch.lost(ANN)
        assert dispatch.peers == ()
        assert dispatch.waiting == 1


def test_a_worker_gone_before_its_frame_left_has_not_been_killed_by_it() -> None:
    dispatch = filled(0)
    for _ in range(5):
        ask(dispatch, ANN)
        leased = dispatch.assign(0.0)
        assert leased is not None
        assert dispatch.undelivered(*leased) == []
    assert dispatch.waiting == 1


def test_a_worker_that_was_gone_when_a_frame_was_for_it_may_have_left_in_peace() -> None:
    dispatch = filled(0)
    ask(dispatch, ANN)
    leased = dispatch.assign(0.0)
    assert leased is not None
    dispatch.credit(ANN, 0, [], 0.0, outstanding=1, leaving=True)
    ask(dispatch, ANN)  # nonsense, but it can be sent
    assert dispatch.undelivered(*leased) == []
    assert (dispatch.waiting, dispatch.leased, dispatch.workers) == (1, 0, ())


@pytest.mark.parametrize("max_deaths", [1, 3])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["add", "ask", "done", "lost", "leave"]),
            st.integers(0, 3),
            st.integers(0, 12),
        ),
        max_size=60,
    )
)
def test_whatever_happens_every_frame_is_in_exactly_one_place(
    max_deaths: int, steps: list[tuple[str, int, int]]
) -> None:
    dispatch = Dispatch(max_deaths=max_deaths, deadline_s=30)
    added: set[int] = set()
    ended: set[int] = set()
    with_worker: dict[bytes, list[int]] = {}
    credit: dict[bytes, int] = {}
    for what, who, seq in steps:
        peer = b"%d" % who
        if what == "add" and seq not in added:
            dispatch.add(key(seq), [b""], 0.0)
            added.add(seq)
        elif what == "ask":
            ask(dispatch, peer)
            credit[peer] = credit.get(peer, 0) + 1
        elif what == "done" and with_worker.get(peer):
            finished = with_worker[peer].pop(0)
            ask(dispatch, peer, 1, finished)
            credit[peer] += 1
            ended.add(finished)
        elif what == "lost":
            ended |= {entry.key[1] for entry in dispatch.lost(peer)}
            with_worker.pop(peer, None)
            credit.pop(peer, None)
        elif what == "leave":
            dispatch.credit(peer, 0, [], 0.0, outstanding=0, leaving=True)
            with_worker.pop(peer, None)
            credit.pop(peer, None)
        for holder, given_seq in assigned(dispatch):
            assert given_seq not in ended
            assert all(given_seq not in held for held in with_worker.values())
            leases = {peer: len(with_worker.get(peer, ())) for peer, n in credit.items() if n}
            assert leases[holder] == min(leases.values())
            credit[holder] -= 1
            with_worker.setdefault(holder, []).append(given_seq)
        assert not dispatch.waiting or not any(credit.values())
        assert dispatch.leased == sum(map(len, with_worker.values()))
        assert dispatch.waiting + dispatch.leased == len(added - ended)


def test_a_worker_that_waits_for_its_next_stage_is_not_late() -> None:
    """It says so once a second: nothing done, and one frame fewer outstanding than it was given."""
    dispatch = filled(0, 1)
    ask(dispatch, ANN, 2)
    assigned(dispatch)
    for now in (25.0, 50.0, 75.0):
        dispatch.credit(ANN, 0, [], now, outstanding=1)
        assert dispatch.overdue(now) == []
    assert dispatch.overdue(106.0) == [ANN]


def test_a_worker_that_never_got_its_frame_is_late() -> None:
    """It says that it waits for all it was given: the frame was lost on its way."""
    dispatch = filled(0)
    ask(dispatch, ANN, 1)
    assigned(dispatch)
    dispatch.credit(ANN, 0, [], 25.0, outstanding=1)
    assert dispatch.overdue(31.0) == [ANN]
