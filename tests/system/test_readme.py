"""The commands of the README's sections for files and for detectors, run as they stand there."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import tifffile

from services.megalibrary import write_megalibrary
from services.runtime.ledger import Ledger, LedgerError
from services.runtime.places import Places
from tests.helpers.command import environment, haadflow, start
from tests.helpers.microscope_files import particle
from tests.helpers.up import FEW_CORES
from tests.helpers.wait import until

pytestmark = pytest.mark.system

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
ACTIVATE = ". .venv/bin/activate"


def blocks(section: str, language: str) -> list[str]:
    """Return a section's blocks of code."""
    text = README.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(section: str) -> list[list[str]]:
    """Return the words of a section's commands, without `haadflow`."""
    lines = [
        shlex.split(line, comments=True) for line in "".join(blocks(section, "sh")).split("\n")
    ]
    said = [words for words in lines if words and words != shlex.split(ACTIVATE)]
    assert all(words[0] == "haadflow" for words in said)
    return [words[1:] for words in said]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with what the README's commands name: IMAGES, DIR and particle.tif."""
    write_megalibrary(tmp_path / "IMAGES", 3, seed=5, sizes=(96,))
    (tmp_path / "DIR").mkdir()
    tifffile.imwrite(tmp_path / "particle.tif", particle())
    return tmp_path


@pytest.fixture
def env(here: Path) -> Iterator[dict[str, str]]:
    """An environment whose chain is on sockets of its own."""
    with tempfile.TemporaryDirectory(prefix="hf-") as sockets:
        text = FEW_CORES.read_text().replace('"tcp://127.0.0.1:', f'"ipc://{sockets}/')
        topology = here / "topology.toml"
        topology.write_text(text.replace('"haadflow-out"', json.dumps(str(here / "chain"))))
        yield environment() | {"HAADFLOW_TOPOLOGY": str(topology)}


def run_python(code: str, here: Path) -> None:
    subprocess.run([sys.executable, "-c", code], cwd=here, check=True, timeout=120)


def is_located(out: Path, name: str) -> bool:
    try:
        with Ledger(Places(out).ledger, read_only=True) as ledger:
            located = [seq for seq, outcome in ledger.outcomes() if outcome == "located"]
            return any(name in str(ledger.metadata(seq)) for seq in located)
    except LedgerError:
        return False


def watch_one(words: list[str], here: Path) -> None:
    """Run `watch` until a file that comes into its folder is located, then Ctrl-C."""
    folder, out = here / "DIR", here / "OUT2"
    assert words == ["watch", "DIR", "--out", "OUT"]
    watching = start("watch", folder, "--out", out)
    try:
        shutil.copy(here / "particle.tif", folder / "new.tif")
        until(lambda: is_located(out, "new.tif"), [psutil.Process(watching.pid)])
        watching.send_signal(signal.SIGINT)
        said, _ = watching.communicate(timeout=60)
    finally:
        watching.kill()
    assert watching.returncode == 0, said
    assert (out / "boxes.csv").exists()


def test_i_have_files(here: Path) -> None:
    verbs = set()
    for words in commands("I have files"):
        verbs.add(words[0])
        if words[0] == "watch":
            watch_one(words, here)
            continue
        done = haadflow(*words, cwd=here)
        assert done.returncode == 0, f"{words}: {done.stderr}"
    assert verbs == {"run", "watch", "boxes", "check"}
    assert (here / "OUT" / "boxes.csv").exists()
    assert (here / "boxes.png").exists()
    for code in blocks("I have files", "python"):
        run_python(f"{code}\nassert result.outcome == 'located' and len(result.boxes)", here)


def test_i_have_a_detector(here: Path, env: dict[str, str]) -> None:
    (python,) = blocks("I have a detector", "python")
    address = re.search(r'offers = "(ipc:[^"]+)"', Path(env["HAADFLOW_TOPOLOGY"]).read_text())
    assert address is not None
    setup = "from tests.helpers.microscope_files import particle\nimage = particle()\n"
    try:
        for words in commands("I have a detector"):
            if words[0] == "down":
                code = setup + python.replace("tcp://127.0.0.1:5750", address[1])
                run_python(
                    f"import sys; sys.path.insert(0, {str(FEW_CORES.parents[1])!r})\n{code}", here
                )
            done = haadflow(*words, cwd=here, env=env)
            assert done.returncode == 0, f"{words}: {done.stderr}"
    finally:
        haadflow("down", env=env)
    with (here / "chain" / "frames.csv").open(newline="") as file:
        sources = [row["source"] for row in csv.DictReader(file)]
    assert sum(source.startswith("IMAGES/") for source in sources) == 3
    assert sum(source.startswith("synthetic-0/") for source in sources) > 10
    assert sources.count("detector") == 1


def test_i_have_a_microscope(here: Path, env: dict[str, str]) -> None:
    shutil.rmtree(here / "IMAGES")  # of thousands of boxes each
    (here / "IMAGES").mkdir()
    shutil.copy(here / "particle.tif", here / "IMAGES")
    topology = Path(env["HAADFLOW_TOPOLOGY"])
    address = re.search(r'offers = "(ipc:[^"]+)"', topology.read_text())
    assert address is not None
    feed = f"{address[1]}.feed"
    named = {"tcp://127.0.0.1:5770": feed, "haadflow-out": str(here / "chain")}
    controller: subprocess.Popen[str] | None = None
    said = {}
    try:
        for written in commands("I have a microscope"):
            words = [named.get(word, word) for word in written]
            if words[0] == "controller":
                controller = start(*words, cwd=here)
                continue
            if words[0] == "status":
                until_all_is_acquired(env)
            done = haadflow(*words, cwd=here, env=env)
            assert done.returncode == 0, f"{words}: {done.stderr}"
            said[words[0]] = done.stdout
    finally:
        if "down" not in said:
            haadflow("down", env=env)
        assert controller is not None
        controller.send_signal(signal.SIGINT)
        ended, _ = controller.communicate(timeout=60)
    assert controller.returncode == 0, ended
    boxes = len((here / "ACQUIRED" / "acquired.jsonl").read_text().splitlines())
    assert boxes > 3
    assert f"boxes {boxes} = acquired {boxes} + rejected 0 + failed 0 + open 0" in said["status"]
    assert said["hold"] == "nothing is held\n"
    with (here / "chain" / "frames.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["batch"] for row in rows] == ["done"]
    assert sum(int(row["boxes_acquired"]) for row in rows) == boxes
    with (here / "chain" / "receipts.csv").open(newline="") as file:
        assert {row["receipt"] for row in csv.DictReader(file)} == {"acquired"}


def until_all_is_acquired(env: dict[str, str]) -> None:
    """Return when the image's batch is done."""

    def done() -> bool:
        asked = haadflow("status", "--json", env=env)
        return bool(json.loads(asked.stdout)["feed"].get("done") == 1)

    until(done, [])
