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
