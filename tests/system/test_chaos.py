"""Every kind of process is killed, stopped, ended and started again while images stream.

`make chaos` is the same with more frames, faults and chains.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from services.megalibrary import write_megalibrary
from tests.helpers.chaos.plan import FAULTS, plan
from tests.helpers.chaos.run import Chaos, run, wrong
from tests.helpers.clocks import YEAR_S
from tests.helpers.up import PAIRS

SEED = 11
FRAMES = 600


def test_a_plan_is_repeated_by_its_seed_and_leaves_no_kind_of_fault_out() -> None:
    first, again, other = (plan(seed, len(FAULTS), apart=5) for seed in (1, 1, 2))
    assert first == again != other
    assert {(fault.kind, fault.victim) for fault in first} == set(FAULTS)


@pytest.mark.system
def test_whatever_is_killed_every_frame_ends_once_and_as_if_nothing_had_been(
    tmp_path: Path,
) -> None:
    """Wall clocks jump meanwhile, at every look at one: nothing hangs on them."""
    library = tmp_path / "images"
    write_megalibrary(library, 40, seed=4, sizes=(96,))
    # The end of a supervisor ends all the others too: once, for it costs a start of the chain.
    among = tuple(fault for fault in FAULTS if fault != ("term", "supervisor"))
    chaos = Chaos(PAIRS, {}, SEED, len(among), FRAMES, among, clocks_jump=True)
    report = run(chaos, library, tmp_path)
    assert wrong(report) == []
    assert len(report.done) == len(among)
    assert report.reckoning.clocks_span_s > YEAR_S
