"""Compiled kernels are read from and kept in folders that nobody else can write to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cache_folders import CacheFolders
from tests.helpers.read_only import STRANGER, Install

ME = os.geteuid()
NOWHERE = "/proc/nowhere"
"""Not even root can make a folder there."""
Prepare = Callable[[Path], None]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package that has a folder of kernels."""
    (tmp_path / "package" / "__pycache__").mkdir(parents=True)
    return tmp_path / "package"


def folders(package: Path, **environment: str) -> CacheFolders:
    return CacheFolders(package, {"TMPDIR": NOWHERE, **environment}, ME)


def test_beside_the_package_comes_first_where_nothing_is_configured(package: Path) -> None:
    found = folders(package, HOME=str(package.parent / "home"))
    assert found.readable == (package / "__pycache__",)
    assert found.writable == package / "__pycache__"
    assert not (package.parent / "home").exists()


@pytest.mark.parametrize("name", ["HAADFLOW_CACHE", "NUMBA_CACHE_DIR"])
def test_a_configured_folder_is_made_and_comes_before_all_others(package: Path, name: str) -> None:
    configured = package.parent / "not" / "there"
    found = folders(package, **{name: str(configured)})
    assert found.writable is not None
    assert found.writable.parent == configured
    assert folders(package, **{name: str(configured)}).readable == (
        found.writable,
        package / "__pycache__",
    )


def test_two_installs_that_share_a_folder_do_not_meet_in_it(package: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "package"
    other.mkdir(parents=True)
    shared = str(tmp_path / "shared")
    one, two = (folders(each, HAADFLOW_CACHE=shared).writable for each in (package, other))
    assert one is not None
    assert two is not None
    assert one != two


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_CACHE_HOME": "xdg", "HOME": "home"}, "xdg/haadflow"),
        ({"HOME": "home"}, "home/.cache/haadflow"),
        ({"TMPDIR": "tmp"}, f"tmp/haadflow-{ME}"),
    ],
)
def test_where_the_package_cannot_be_used_the_next_folder_is_and_is_private(
    package: Path, environment: dict[str, str], expected: str
) -> None:
    (package / "__pycache__").chmod(0o777)
    here = {name: str(package.parent / folder) for name, folder in environment.items()}
    found = folders(package, **here).writable
    assert found is not None
    assert found.parent == package.parent / expected
    assert [path.stat().st_mode & 0o777 for path in (found, found.parent)] == [0o700, 0o700]


@pytest.mark.parametrize("home", ["", "relative", NOWHERE])
def test_without_a_home_nothing_is_made_in_the_working_folder(
    package: Path, home: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    (package / "__pycache__").chmod(0o777)
    assert folders(package, HOME=home, XDG_CACHE_HOME="too").writable is None
    assert not list(empty.iterdir())


def _kept_file(folder: Path) -> Path:
    (folder / "kernel-1.py311.nbi").write_bytes(b"")
    return folder / "kernel-1.py311.nbi"


def _linked(folder: Path) -> None:
    target = _kept_file(folder.parent)
    (folder / target.name).symlink_to(target)


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda folder: folder.chmod(0o777), "others can write to {folder}"),
        (lambda folder: folder.chmod(0o775), "others can write to {folder}"),
        (lambda folder: folder.chmod(0o1777), "others can write to {folder}"),
        (lambda folder: folder.parent.chmod(0o777), "others can write to {folder.parent}"),
        (lambda folder: _kept_file(folder).chmod(0o666), "others can write to {folder}/kernel-1.p"),
        (_linked, "{folder}/kernel-1.py311.nbi is not a file of a user who is trusted"),
    ],
    ids=["world", "group", "sticky", "above", "file", "link"],
)
def test_a_folder_others_can_write_to_is_neither_read_nor_written_and_the_reason_is_kept(
    package: Path, prepare: Prepare, reason: str
) -> None:
    folder = package / "__pycache__"
    prepare(folder)
    found = folders(package)
    assert found.readable == ()
    assert found.writable is None
    assert found.refused[folder].startswith(reason.format(folder=folder))


def test_a_sticky_folder_above_does_no_harm(package: Path) -> None:
    package.chmod(0o1777)
    assert folders(package).writable == package / "__pycache__"


@pytest.mark.skipif(ME != 0, reason="only root can give a folder to somebody else")
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_somebody_else_laid_down_is_not_used(package: Path, tmp_path: Path, kind: str) -> None:
    (package / "__pycache__").chmod(0o777)
    made = folders(package, TMPDIR=str(tmp_path)).writable
    assert made is not None
    foreign = made.parent if kind == "folder" else _kept_file(made)
    os.chown(foreign, STRANGER, STRANGER)
    found = folders(package, TMPDIR=str(tmp_path))
    assert found.readable == ()
    assert found.writable is None
    assert str(foreign) in found.refused[made]


def test_a_damaged_cache_is_compiled_over(tmp_path: Path) -> None:
    install = Install(tmp_path / "site-packages")
    program = (
        "import numpy as np; from pipeline.histogram import gray_levels; from pipeline.compiled "
        "import kernels; gray_levels(np.zeros((8, 8), np.uint8)); k = kernels(); "
        "print(k.loaded, k.compiled, k.kept, len(k.notes))"
    )

    environment = {"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": NOWHERE}

    def run(umask: str) -> str:
        shell = ("sh", "-c", f'umask {umask}; exec "$@"', "sh")
        done = install.run("-c", program, environment=environment, prefix=shell)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert run("000") == "0 1 1 0"
    assert run("022") == "1 0 0 0"
    (index,) = (install.site / "pipeline" / "__pycache__").glob("histogram*.nbi")
    (code,) = index.parent.glob("histogram*.nbc")
    for damaged in (index, code):
        damaged.write_bytes(damaged.read_bytes()[:50])
        assert run("022") == "0 1 1 1"
        assert run("022") == "1 0 0 0"
    subprocess.run(["chmod", "666", str(code)], check=True)
    assert run("022") == "0 1 0 1"
