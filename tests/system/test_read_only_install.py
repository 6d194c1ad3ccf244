"""Compiled kernels are there on a read-only install and in a fresh container.

Whether anything was compiled is counted by numba, never judged by time.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.read_only import STRANGER, Install, as_stranger, on_read_only_root

pytestmark = pytest.mark.system
# Not even root can make a folder there.
NOWHERE = {"HOME": "/proc/nowhere", "TMPDIR": "/proc/nowhere"}
WARM = ("-c", "from services.cli import main; main()", "warm")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Install:
    """An install that was warmed when it was built, copied in layers since, and sealed."""
    built = Install(tmp_path_factory.mktemp("built") / "site-packages")
    built.take_kernels_of_checkout(but="box")
    done = built.run(*WARM, environment=NOWHERE)
    assert done.returncode == 0, done.stderr
    assert f"kernels compiled and kept in {built.site}/pipeline/__pycache__" in done.stdout
    site = tmp_path_factory.mktemp("image") / "site-packages"
    shutil.copytree(built.site, site, copy_function=shutil.copyfile)  # without their times
    image = Install(site)
    for source in image.site.rglob("*.py"):
        os.utime(source, (1_000_000_000, 1_000_000_000))
    image.seal()
    return image


@pytest.mark.parametrize(
    "environment",
    [{"TMPDIR": "/proc/nowhere"}, NOWHERE, {"HOME": "", "TMPDIR": ""}, {"HOME": "relative"}],
    ids=["no-home", "home-not-there", "empty", "relative"],
)
def test_a_read_only_install_that_was_warmed_compiles_nothing_for_another_user(
    image: Install, environment: dict[str, str]
) -> None:
    found = image.kernels(environment=environment, prefix=as_stranger())
    assert found["compiled"] == 0
    assert found["loaded"] > 20
    assert found["read_from"] == [f"{image.site}/pipeline/__pycache__"]
    assert found["notes"] == []


def test_on_a_read_only_root_a_worker_starts_without_compiling(image: Install) -> None:
    log = worker_log(image, NOWHERE, on_read_only_root())
    assert log["compiled"] == 0
    assert log["loaded"] > 20


def test_on_another_cpu_a_worker_compiles_anew_says_so_and_the_next_one_finds_it(
    image: Install, tmp_path: Path
) -> None:
    prefix = as_stranger()
    tmp_path.chmod(0o1777)
    elsewhere = {"HOME": "/proc/nowhere", "TMPDIR": str(tmp_path), "NUMBA_CPU_NAME": "x86-64"}
    baked = f"{image.site}/pipeline/__pycache__"
    own = tmp_path / f"haadflow-{STRANGER if prefix else os.geteuid()}"
    first = worker_log(image, elsewhere, prefix)
    assert first["loaded"] == 0
    assert first["compiled"] == first["kept"] > 20
    assert str(first["kept_in"]).startswith(str(own))
    (note,) = first["notes"]
    assert note.startswith(f"{baked} has kernels for CPU ")
    assert note.endswith("; this is x86-64")
    assert own.stat().st_mode & 0o777 == 0o700

    second = image.kernels(environment=elsewhere, prefix=prefix)
    assert second["compiled"] == 0
    assert second["read_from"] == [baked, first["kept_in"]]


def test_without_any_place_to_write_kernels_are_compiled_for_the_process_alone(
    tmp_path: Path,
) -> None:
    bare = Install(tmp_path / "site-packages")
    bare.seal()
    program = (
        "import numpy as np; from pipeline.histogram import gray_levels; from pipeline.compiled "
        "import kernels; gray_levels(np.zeros((8, 8), np.uint8)); print(kernels())"
    )
    done = bare.run("-c", program, environment=NOWHERE, prefix=as_stranger())
    assert done.returncode == 0, done.stderr
    assert "loaded=0, compiled=1, kept=0, read_from=(), kept_in=None" in done.stdout


def worker_log(
    image: Install, environment: dict[str, str], prefix: tuple[str, ...]
) -> dict[str, Any]:
    """Run a worker of the shipped chain until it asks for work; return what it said of kernels."""
    topology = Path(__file__).parents[2] / "deploy" / "topology.toml"
    command = ["-m", "services", "worker", "boxing", "--topology", str(topology)]
    with subprocess.Popen(
        [*prefix, sys.executable, *command],
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
        env={"PYTHONPATH": str(image.site), "PATH": os.environ["PATH"], **environment},
    ) as worker:
        assert worker.stderr is not None
        said: list[dict[str, Any]] = []
        for line in worker.stderr:
            said.append(json.loads(line))
            if said[-1]["event"] == "worker.ready":
                break
        worker.kill()
    assert [event["event"] for event in said] == ["worker.warm", "worker.ready"], said
    return said[0]
