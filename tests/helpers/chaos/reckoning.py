"""What came of it all: read from ledger, results and tables, when the chain is down."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from protocols.messages import Located, Outcome
from services.account import Account, read_account
from services.results import ResultStore
from services.runtime.places import Places


class Reckoning(NamedTuple):
    """The account, and what else has to be so."""

    account: Account
    rows: int
    """Rows of frames.csv, one a frame."""
    doubled: int
    """Frames that are there twice: in the table, or as two frames of one offer."""
    whole_sessions: int
    """Of senders of which every image was accepted."""
    different: list[str]
    """Frames that did not end as the same image did before the first fault."""
    again: int
    """Frames that ended in a later attempt than their first."""
    sent_again: int
    """Frames that a source sent again."""
    clocks_span_s: float
    """Between the earliest and the latest commit, by the wall clock."""
    workers_lost: int
    """Workers that a queue found dead or overdue."""


def reckon(out: Path, *, undisturbed: int, offers: int) -> Reckoning:
    """Read the account of a folder.

    Parameters
    ----------
    undisturbed
        So many frames ended before the first fault; the others must end as they did.
    offers
        Of one sender.
    """
    places = Places(out)
    with (out / "frames.csv").open(newline="") as file:
        rows = [row["parent_id"] for row in csv.DictReader(file)]
    sessions = _offers_by_session(places)
    with ResultStore(places.results) as store:
        known: dict[str, tuple[object, ...]] = {}
        different: list[str] = []
        again = 0
        times: list[float] = []
        for record in store.records():
            outcome = record.outcome
            times.append(record.created_unix)
            envelope = outcome.envelope
            again += envelope.attempt > 1
            if envelope.seq < undisturbed:
                known[envelope.metadata.source] = _ending(outcome)
            elif _ending(outcome) != known[envelope.metadata.source]:
                different.append(f"{envelope.metadata.parent_id}: {_ending(outcome)!s:.200}")
    events = Counter[str]()
    for log in places.logs.glob("*.log"):
        for line in _lines(log):
            events[line["event"]] += int(line.get("count", 1))
    return Reckoning(
        account=read_account(places),
        rows=len(rows),
        doubled=len(rows) - len(set(rows)) + sum(max(0, n - offers) for n in sessions.values()),
        whole_sessions=sum(n == offers for n in sessions.values()),
        different=different,
        again=again,
        sent_again=events["frames.sent_again"],
        clocks_span_s=max(times) - min(times),
        workers_lost=events["worker.lost"] + events["worker.gone"] + events["worker.overdue"],
    )


def _ending(outcome: Outcome) -> tuple[object, ...]:
    if isinstance(outcome, Located):
        boxes, regions = outcome.boxes.tobytes(), outcome.regions.tobytes()
        return ("located", outcome.bounding_box, outcome.k, boxes, regions)
    return (type(outcome).__name__, outcome.stage, outcome.reason)


def _offers_by_session(places: Places) -> Counter[str]:
    """Count the frames of each sender, whose session begins its offers' keys."""
    with closing(sqlite3.connect(places.ledger)) as ledger:
        keys = ledger.execute("SELECT key FROM frames")
        return Counter(str(key).partition(" ")[0] for (key,) in keys)


def _lines(log: Path) -> Iterable[dict[str, str]]:
    for line in log.read_text(errors="replace").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # cut short by a kill, or a warning of the interpreter's
        if isinstance(entry, dict) and "event" in entry:
            yield entry
