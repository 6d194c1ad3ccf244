"""One chain under faults, from `up` to `down`, and whether all is well."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.helpers.clocks import jumping_clocks
from tests.helpers.command import environment

from .chain import Victims
from .plan import FAULTS, Kind, Victim, plan
from .reckoning import Reckoning, reckon

DEADLINE = 2.0
"""Seconds for a frame at a stage: a hung worker does not hold the test up."""
QUIET = 6.0
"""Seconds: a result in a dead worker's network buffer comes back by this alone."""


class Chaos(NamedTuple):
    """What is to be done to which chain."""

    shipped: Path
    changes: Mapping[str, str]
    seed: int
    faults: int
    frames: int
    """Accepted, at least."""
    among: tuple[tuple[Kind, Victim], ...] = FAULTS
    workers: int = 2
    """Of each stage."""
    rounds: int = 5
    """In which a sender sends the whole library."""
    senders: int = 2
    clocks_jump: bool = False
    """Wall clocks, by years, at every look."""


class Report(NamedTuple):
    """What was done, and what came of it."""

    done: Mapping[str, int]
    reckoning: Reckoning
    senders: int
    """Of which all images were accepted, by their own word."""
    seconds: float


def settings(workers: int) -> dict[str, str]:
    """Return changes to a shipped topology: deadlines that suit a test, and workers.

    The faults are not the frames' doing, so that none becomes a dead letter for being hit thrice.
    """
    stage = f"workers = {workers}\ndeadline_s = {DEADLINE}\nmax_deaths = 1000"
    return {"workers = 1": stage, "[source]": f"[source]\nquiet_s = {QUIET}"}


def run(chaos: Chaos, library: Path, folder: Path) -> Report:
    """Carry out the plan; `Stuck` when frames no longer move."""
    started = time.monotonic()
    images = len(list(library.glob("*.png")))
    env = jumping_clocks(folder / "clocks") if chaos.clocks_jump else environment()
    changes = {**settings(chaos.workers), **chaos.changes}
    with Victims(
        folder,
        chaos.shipped,
        changes,
        library=library,
        rounds=chaos.rounds,
        senders=chaos.senders,
        env=env,
    ) as chain:
        chain.send_once()
        # A frame moves twice: it is accepted, and it ends.
        apart = max(1, 2 * chaos.frames // chaos.faults)
        for fault in plan(chaos.seed, chaos.faults, apart=apart, among=chaos.among):
            chain.until_moved(fault.after)
            chain.suffer(fault)
        chain.until_accepted(chaos.frames)
        chain.finish()
    return Report(
        done=dict(chain.done),
        reckoning=reckon(chain.out, undisturbed=images, offers=images * chaos.rounds),
        senders=chain.whole_senders,
        seconds=time.monotonic() - started,
    )


def wrong(report: Report) -> list[str]:
    """Say what should not be; nothing, if no frame was lost, doubled or changed."""
    found = report.reckoning
    account = found.account
    faults = [
        (account.closes, f"the account does not close: {account}"),
        (account.in_flight == 0, f"{account.in_flight} frames are open"),
        (account.failed == 0, f"{account.failed} frames failed"),
        (found.rows == account.accepted, f"{found.rows} rows for {account.accepted} frames"),
        (found.doubled == 0, f"{found.doubled} frames are there twice"),
        (found.whole_sessions >= report.senders, "an accepted image is not in the ledger"),
        (not found.different, f"{len(found.different)} frames differ: {found.different[:3]}"),
    ]
    return [what for right, what in faults if not right]
