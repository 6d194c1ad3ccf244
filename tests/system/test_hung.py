"""A worker that is stopped is not dead: it wakes, and answers for frames that others have done."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from services.megalibrary import write_megalibrary
from services.results import ResultStore
from services.runtime.places import Places
from tests.helpers.command import haadflow, start
from tests.helpers.gate import Gate
from tests.helpers.up import Up
from tests.helpers.wait import until

pytestmark = pytest.mark.system

N = 12


def test_a_stopped_workers_frames_go_elsewhere_and_its_late_answers_change_nothing(
    tmp_path: Path,
) -> None:
    """Of a worker that no supervisor replaces, as one on another machine."""
    library = tmp_path / "images"
    write_megalibrary(library, N, seed=6, sizes=(96,))
    impatient = {'name = "clustering"': 'name = "clustering"\ndeadline_s = 1.0'}
    gate = Gate(tmp_path / "gate", "clustering")
    with Up(tmp_path, impatient) as chain:
        gate.set_up()
        other = start("worker", "clustering", "--topology", chain.topology, env=gate.environment)
        chain.until(lambda figures: figures["stages"][2]["workers"] == 2)
        assert haadflow("send", library, "--topology", chain.topology).returncode == 0
        until(gate.holder, [psutil.Process(other.pid)])
        os.kill(other.pid, signal.SIGSTOP)
        figures = chain.until_ended(N)
        assert (figures["failed"], figures["restarts"]) == (0, 0)
        kept, blamed = committed(chain.out)
        ((how, pid),) = blamed
        # It answers no heartbeat either: whichever is noticed first.
        assert how in {"overran its deadline of 1 s", "died"}
        assert pid == other.pid

        os.kill(other.pid, signal.SIGCONT)
        gate.open()
        # What it was given when it was stopped comes through the rest of the chain once more.
        figures = chain.until(lambda figures: figures["stages"][3]["done"] > N)
        figures = chain.until(lambda figures: figures["stages"][2]["workers"] == 2)
        assert (figures["accepted"], figures["open"]) == (N, 0)
        other.terminate()
        other.communicate(timeout=60)
        down = haadflow("down", "--pictures", "0", "--topology", chain.topology)
        assert down.returncode == 0, down.stderr
    assert committed(chain.out) == (kept, blamed)
    assert f"accepted {N} = " in haadflow("verify", chain.out).stdout


def committed(out: Path) -> tuple[dict[int, tuple[float, str]], list[tuple[str, int]]]:
    """Return what is kept of each frame, and of each setback how it came and in which process."""
    with ResultStore(Places(out).results) as store:
        records = list(store.records())
    kept = {
        record.outcome.envelope.seq: (record.created_unix, repr(record.outcome))
        for record in records
    }
    setbacks = [setback for record in records for setback in record.outcome.envelope.past]
    return kept, [(one.how, int((one.worker or "").split()[1])) for one in setbacks]
