"""`make chaos`: many frames under random kills of every kind of process, and the account.

    python -m tests.system.chaos [--seeds 1,2] [--frames N] [--faults N] [--chain NAME]

Prints a table; ends with status 1 when a frame was lost, doubled or changed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from services.megalibrary import write_megalibrary
from tests.helpers.chaos.plan import FAULTS
from tests.helpers.chaos.run import Chaos, Report, run, wrong
from tests.helpers.up import FEW_CORES, SHIPPED

KINDS = ("kill", "stop", "term", "hang")
VICTIMS = ("worker", "queue", "source", "sink", "supervisor", "sender")
IMAGES = 60


def chaos_of(name: str, seed: int, frames: int, faults: int) -> Chaos:
    """Return what is done to a chain called `apart`, `together` or `memory`."""
    if name == "apart":
        return Chaos(SHIPPED, {}, seed, faults, frames, clocks_jump=True)
    # There is no queue of its own: it lives and dies with the source.
    among = tuple((kind, victim) for kind, victim in FAULTS if victim != "queue")
    if name == "together":
        return Chaos(FEW_CORES, {}, seed, faults, frames, among)
    # Without a spool a sender that does not come back leaves its open frames open.
    staying = tuple((k, v) for k, v in among if v != "sender" or k == "stop")
    return Chaos(FEW_CORES, {"# spool = false": "spool = false"}, seed, faults, frames, staying)


def show(console: Console, title: str, report: Report) -> None:
    """Print the faults by kind, and the account."""
    table = Table(title=title)
    table.add_column("")
    for victim in VICTIMS:
        table.add_column(victim, justify="right")
    for kind in KINDS:
        table.add_row(kind, *(str(report.done.get(f"{kind} {v}", "")) for v in VICTIMS))
    console.print(table)
    found, account = report.reckoning, report.reckoning.account
    console.print(
        f"accepted {account.accepted} = located {account.located} + rejected {account.rejected}"
        f" + failed {account.failed} + in flight {account.in_flight}\n"
        f"unaccounted {account.lost + account.unknown}, doubled {found.doubled},"
        f" different {len(found.different)}\n"
        f"workers lost {found.workers_lost}, sent again by the source {found.sent_again},"
        f" ended in a later attempt {found.again}\n"
        f"{report.senders} senders were told that all was accepted; {report.seconds:.0f} s",
        soft_wrap=True,
    )


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.chaos")
    parser.add_argument("--seeds", default="1,2")
    parser.add_argument("--frames", type=int, default=2_500, help="for each seed and chain")
    parser.add_argument("--faults", type=int, default=40, help="for each seed and chain")
    parser.add_argument("--chain", action="append", choices=("apart", "together", "memory"))
    parser.add_argument("--keep", type=Path, help="leave ledgers and logs here")
    asked = parser.parse_args()
    console = Console()
    faults: list[str] = []
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="haadflow-chaos-") as scratch:
        library = Path(scratch) / "images"
        write_megalibrary(library, IMAGES, seed=4, sizes=(96,))
        for name in asked.chain or ("apart", "together", "memory"):
            for seed in map(int, asked.seeds.split(",")):
                folder = (asked.keep or Path(scratch)) / f"{name}-{seed}"
                folder.mkdir(parents=True)
                report = run(chaos_of(name, seed, asked.frames, asked.faults), library, folder)
                show(console, f"chain {name}, seed {seed}", report)
                faults += [f"chain {name}, seed {seed}: {what}" for what in wrong(report)]
                total["frames"] += report.reckoning.account.accepted
                total["faults"] += sum(report.done.values())
    console.print(f"\nin all {total['frames']} frames, {total['faults']} faults")
    for fault in faults:
        console.print(f"WRONG: {fault}", soft_wrap=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
