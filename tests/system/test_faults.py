"""Workers that hang, frames that kill, services that never live: each has an end that says why."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from services.megalibrary import write_megalibrary
from tests.helpers.command import COMMAND, environment, haadflow, start
from tests.helpers.up import Up

pytestmark = pytest.mark.system

N = 40
POISON = """
import os, sys
if "worker" in sys.orig_argv and "clustering" in sys.orig_argv:
    from services import clustering
    handle = clustering.Clustering.handle

    def deadly(self, frame):
        if any(name in frame.envelope.metadata.parent_id for name in {names!r}):
            os._exit(9)
        return handle(self, frame)

    clustering.Clustering.handle = deadly
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library") / "images"
    write_megalibrary(folder, N, seed=8, sizes=(96,))
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can be mounted by root only, and not everywhere")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> None:
    """Write until the disk takes no byte more."""
    for size in (65536, 4096, 1):
        with contextlib.suppress(OSError), path.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(size))


def poisoned(tmp_path: Path, names: list[str]) -> Mapping[str, str]:
    """Return an environment in which clustering dies on frames with these names."""
    folder = tmp_path / "poison"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(POISON.format(names=names))
    return {**environment(), "PYTHONPATH": str(folder)}


def run_with(env: Mapping[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=dict(env),
    )


def outcomes(out: Path) -> dict[str, tuple[str, str]]:
    with (out / "frames.csv").open(newline="") as file:
        return {
            Path(row["parent_id"]).name: (row["outcome"], row["reason"])
            for row in csv.DictReader(file)
        }


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A chain that gives preprocessing two seconds for a frame."""
    slow = {'name = "preprocessing"': 'name = "preprocessing"\ndeadline_s = 2.0'}
    with Up(tmp_path_factory.mktemp("impatient"), slow) as chain:
        yield chain


def test_a_worker_that_hangs_is_replaced_and_its_frames_are_not_lost(
    impatient: Up, library: Path
) -> None:
    """SIGSTOP the only worker of a stage: alive, connected, and never going on by itself."""
    before = impatient.status()
    (worker,) = impatient.processes("preprocessing.worker")
    worker.send_signal(signal.SIGSTOP)
    sending = start("send", library, "--topology", impatient.topology)
    output, _ = sending.communicate(timeout=120)
    assert sending.returncode == 0, output
    figures = impatient.until_ended(before["accepted"] + N)
    assert figures["failed"] == 0
    assert figures["restarts"] == before["restarts"] + 1


def test_a_hung_worker_that_is_scaled_away_ends(impatient: Up) -> None:
    (worker,) = impatient.processes("preprocessing.worker")
    worker.send_signal(signal.SIGSTOP)
    impatient.scale("preprocessing=0")
    worker.wait(30)
    impatient.scale("preprocessing=1")


def test_a_full_disk_is_waited_out(small_disk: Path, tmp_path: Path, library: Path) -> None:
    """Ten frames are on their way when the disk fills up; a detector is refused by name."""
    out = json.dumps(str(small_disk / "out"))
    with Up(tmp_path, {'"haadflow-out"': out}) as chain:
        (worker,) = chain.processes("boxing.worker")
        worker.send_signal(signal.SIGSTOP)
        few = sorted(library.glob("*.png"))[:10]
        assert haadflow("send", *few, "--topology", chain.topology).returncode == 0
        filler = small_disk / "filler"
        fill(filler)
        worker.send_signal(signal.SIGCONT)
        chain.until(lambda figures: figures["waits_for_disk"] and figures["open"] == 10)
        fill(filler)
        refused = haadflow("send", few[0], "--topology", chain.topology)
        assert refused.returncode == 3
        assert "No space left on device" in refused.stderr
        assert "the chain waits for room" in haadflow("status", "--topology", chain.topology).stderr
        filler.unlink()
        chain.until_ended(10)
        figures = chain.until(lambda figures: not figures["waits_for_disk"])
        assert figures["accepted"] == figures["located"] + figures["rejected"] == 10
        assert figures["open"] == figures["restarts"] == 0
        assert haadflow("send", few[0], "--topology", chain.topology).returncode == 0
        down = haadflow("down", "--pictures", "0", "--topology", chain.topology)
        assert down.returncode == 0, down.stderr


def test_a_full_disk_with_a_worker_killed_meanwhile_is_waited_out(
    small_disk: Path, tmp_path: Path, library: Path
) -> None:
    """While nothing can be committed, nothing is taken for lost, and nobody dies of it."""
    changes = {
        '"haadflow-out"': json.dumps(str(small_disk / "out")),
        "window_frames = 64": "window_frames = 64\nquiet_s = 1.0",
    }
    with Up(tmp_path, changes) as chain:
        chain.scale("boxing=0")
        chain.until(lambda figures: figures["stages"][3]["workers"] == 0)
        assert haadflow("send", library, "--topology", chain.topology).returncode == 0
        filler = small_disk / "filler"
        fill(filler)
        chain.scale("boxing=1")
        chain.until(lambda figures: figures["waits_for_disk"])
        figures = chain.until(lambda figures: figures["stages"][3]["done"] >= N)
        done = figures["stages"][3]["done"]
        (worker,) = chain.processes("boxing.worker")
        worker.kill()
        chain.until(lambda figures: figures["restarts"] == 1)
        (worker,) = chain.processes("boxing.worker")
        figures = chain.until(lambda f: f"boxing.worker ({worker.pid})" in f["memory_mib"])
        assert figures["stages"][3]["done"] < done + N, "everything was sent again"
        filler.unlink()
        figures = chain.until_ended(N)
        assert figures["failed"] == 0
        assert figures["restarts"] == 1


def test_a_next_stage_that_hangs_is_not_blamed_on_the_frame(tmp_path: Path, library: Path) -> None:
    slow = {
        'name = "quality_gate"                 # services/quality_gate.py': (
            'name = "quality_gate"\ndeadline_s = 1.0\nmax_deaths = 1'
        ),
        # What was on its way to the queue when its connection ended comes again by silence alone.
        "window_frames = 64": "window_frames = 64\nquiet_s = 8.0",
    }
    with Up(tmp_path, slow) as chain:
        (queue,) = chain.processes("preprocessing.queue")
        queue.send_signal(signal.SIGSTOP)
        images = sorted(library.glob("*.png"))[:40]
        assert haadflow("send", *images, "--topology", chain.topology).returncode == 0
        chain.until(lambda figures: figures["stages"][0]["oldest_s"] > 4)
        queue.send_signal(signal.SIGCONT)
        figures = chain.until_ended(len(images))
        assert figures["failed"] == 0


def test_three_frames_in_a_row_that_kill_are_dead_letters_and_the_rest_is_located(
    tmp_path: Path, library: Path
) -> None:
    names = sorted(path.name for path in library.glob("*.png"))[10:13]
    out = tmp_path / "out"
    done = run_with(poisoned(tmp_path, names), "run", library, "--out", out, "--pictures", "0")
    assert done.returncode == 3, done.stderr
    found = outcomes(out)
    assert len(found) == N
    for name in names:
        assert found.pop(name) == (
            "failed",
            "3 workers of clustering died or overran their deadline on it",
        )
    assert {outcome for outcome, _ in found.values()} <= {"located", "rejected"}
    assert haadflow("verify", out).returncode == 0


def test_a_stage_whose_workers_never_live_ends_the_run_and_says_so(
    tmp_path: Path, library: Path
) -> None:
    env = poisoned(tmp_path, [])
    (tmp_path / "poison" / "sitecustomize.py").write_text(
        'import os, sys\nif "boxing" in sys.orig_argv and "worker" in sys.orig_argv:\n'
        '    print("no licence", file=sys.stderr, flush=True)\n    os._exit(5)\n'
    )
    out = tmp_path / "out"
    done = run_with(env, "run", library, "--out", out, "--pictures", "0")
    assert done.returncode == 1
    assert "boxing.worker" in done.stderr
    assert "status 5" in done.stderr
    assert "no licence" in done.stderr
    assert haadflow("run", library, "--out", out, "--pictures", "0").returncode == 0
