"""Which files paths mean; nothing that cannot be used stops the others."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.detectors.file_finding import Found, find_images, natural_key
from services.runtime.places import SKIP_MARKER
from tests.helpers.garbage import permissions_hold


def _tree(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def _names(found: Iterator[Found], root: Path) -> list[str]:
    return [each.path.relative_to(root).as_posix() for each in found]


def test_a_folder_gives_its_images_in_natural_order(tmp_path: Path) -> None:
    names = [
        "a10.png",
        "a9.PNG",
        "a9.tif",
        "b.TIFF",
        "B1.jpg",
        "c.jpeg",
        "d.npy",
        "e.DM3",
        "10.png",
        "9.png",
    ]
    shuffled = random.Random(1).sample(names, len(names))  # noqa: S311 - an order, no secret
    _tree(tmp_path, *shuffled, "notes.txt", "image.msa", "metadata.csv", "png", ".hidden.png")
    assert _names(find_images([tmp_path]), tmp_path) == [
        "9.png",
        "10.png",
        "a9.PNG",
        "a9.tif",
        "a10.png",
        "b.TIFF",
        "B1.jpg",
        "c.jpeg",
        "d.npy",
        "e.DM3",
    ]


def test_folders_inside_are_looked_into_when_asked(tmp_path: Path) -> None:
    _tree(tmp_path, "b.png", "a/2.png", "a/10.png", "a/deep/er/x.png", ".git/x.png", "c/notes.txt")
    assert _names(find_images([tmp_path]), tmp_path) == ["b.png"]
    assert _names(find_images([tmp_path], recursive=True), tmp_path) == [
        "b.png",
        "a/2.png",
        "a/10.png",
        "a/deep/er/x.png",
    ]


def test_our_own_outputs_are_left_out_unless_given_by_name(tmp_path: Path) -> None:
    _tree(tmp_path, "a.png", "truth/a.png", f"truth/{SKIP_MARKER}", ".haadflow/spool/a.npy")
    assert _names(find_images([tmp_path], recursive=True), tmp_path) == ["a.png"]
    assert _names(find_images([tmp_path / "truth"]), tmp_path) == ["truth/a.png"]


def test_files_are_taken_as_they_are_in_the_order_given(tmp_path: Path) -> None:
    _tree(tmp_path, "z.dat", "a.png", ".hidden")
    paths = [tmp_path / name for name in ("z.dat", "a.png", ".hidden")]
    found = list(find_images(paths))
    assert [each.path for each in found] == paths
    assert all(each.problem is None and each.root == tmp_path for each in found)


def test_each_file_comes_once_however_many_ways_lead_to_it(tmp_path: Path) -> None:
    _tree(tmp_path, "a/1.png", "a/2.png", "a/b/3.png")
    (tmp_path / "a/link.png").symlink_to("1.png")
    (tmp_path / "a/b/up.png").symlink_to("../2.png")
    (tmp_path / "a/b/loop").symlink_to("..")
    (tmp_path / "again").symlink_to("a")
    folder = tmp_path / "a"
    paths = [folder / "2.png", folder, folder / "2.png", tmp_path / "again", folder / "b", folder]
    found = _names(find_images(paths, recursive=True), tmp_path)
    assert found == ["a/2.png", "a/1.png", "a/b/3.png"]


def test_a_linked_folder_and_a_linked_file_are_followed(tmp_path: Path) -> None:
    _tree(tmp_path, "disk/1.png", "disk/2.png", "here/own.png")
    (tmp_path / "here/session").symlink_to(tmp_path / "disk")
    (tmp_path / "here/two.png").symlink_to(tmp_path / "disk/2.png")
    found = _names(find_images([tmp_path / "here"], recursive=True), tmp_path)
    assert found == ["here/own.png", "here/two.png", "here/session/1.png"]


def test_what_is_missing_or_no_file_is_found_with_its_problem(tmp_path: Path) -> None:
    _tree(tmp_path, "good.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "nowhere.png").symlink_to("missing")
    (tmp_path / "loop.png").symlink_to("loop.png")
    with socket.socket(socket.AF_UNIX) as listening, contextlib.chdir(tmp_path):
        listening.bind("socket.png")
    found = {each.path.name: each.problem for each in find_images([tmp_path, tmp_path / "no.png"])}
    assert found == {
        "good.png": None,
        "loop.png": "Too many levels of symbolic links",
        "nowhere.png": "a link to nowhere",
        "pipe.png": "a named pipe, not a file",
        "socket.png": "a socket, not a file",
        "no.png": "there is no such file or folder",
    }


@contextlib.contextmanager
def _without_privileges() -> Iterator[None]:
    """Act as a user whom permissions stop, also where the tests run as root."""
    if permissions_hold():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may enter; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_a_folder_without_permission_is_a_problem_of_its_own(open_folder: Path) -> None:
    _tree(open_folder, "a.png", "locked/b.png", "marked/c.png", "z/d.png")
    (open_folder / "locked").chmod(0)
    try:
        with _without_privileges():
            found = list(find_images([open_folder], recursive=True))
            alone = list(find_images([open_folder / "locked", open_folder / "locked" / "b.png"]))
    finally:
        (open_folder / "locked").chmod(0o755)
    assert [(each.path.name, each.problem) for each in found] == [
        ("a.png", None),
        ("locked", "this folder cannot be listed: Permission denied"),
        ("c.png", None),
        ("d.png", None),
    ]
    assert [each.problem for each in alone] == [
        "this folder cannot be listed: Permission denied",
        "Permission denied",
    ]


def test_files_of_one_call_have_roots_with_different_labels(tmp_path: Path) -> None:
    _tree(tmp_path, "mon/grid/1.png", "tue/grid/1.png", "tue/other/1.png")
    paths = [tmp_path / "mon/grid", tmp_path / "tue/grid", tmp_path / "tue/other/1.png"]
    assert [each.label for each in find_images(paths)] == ["mon/grid", "tue/grid", "other"]


@pytest.mark.parametrize("name", ["", "1", "a1b22c", "²", "٣", "a\n", "\udcff", "1" * 300])
def test_any_name_has_a_place_in_the_order(name: str) -> None:
    assert min([name, "a", "1", ""], key=natural_key) == ""
