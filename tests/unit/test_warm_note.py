"""A note says that all kernels are on disk, for one state of everything they depend on."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import warm_note


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of one source file, with its machine code, and the note left."""
    package = tmp_path / "package"
    kept = package / "__pycache__"
    kept.mkdir(parents=True)
    (package / "box.py").write_text("one = 1\n")
    for name in ("box.one.nbi", "box.one.1.nbc", "box.one.2.nbc"):
        (kept / name).write_bytes(b"code")
    monkeypatch.setattr(warm_note, "_PACKAGE", package)
    monkeypatch.delenv("HAADFLOW_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert not warm_note.all_are_kept()
    warm_note.note_that_all_are_kept()
    return package


def test_a_note_is_believed_while_nothing_has_changed(package: Path) -> None:
    assert warm_note.all_are_kept()
    assert (package / "__pycache__" / warm_note.NAME).stat().st_size < 100


def test_another_source_makes_it_void(package: Path) -> None:
    (package / "box.py").write_text("one = 2\n")
    assert not warm_note.all_are_kept()


def test_a_kernel_that_is_gone_makes_it_void(package: Path) -> None:
    (package / "__pycache__" / "box.one.2.nbc").unlink()
    assert not warm_note.all_are_kept()


def test_another_cpu_or_setting_makes_it_void(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("NUMBA_CPU_NAME", "x86-64")
        assert not warm_note.all_are_kept()
    monkeypatch.setattr(warm_note, "_cpu", lambda: ["another"])
    assert not warm_note.all_are_kept()
    assert package.is_dir()


def test_it_is_not_believed_where_others_can_write(package: Path) -> None:
    (package / "__pycache__").chmod(0o777)
    assert not warm_note.all_are_kept()


def test_a_damaged_one_is_none(package: Path) -> None:
    (package / "__pycache__" / warm_note.NAME).write_bytes(b"\xff\x00")
    assert not warm_note.all_are_kept()
