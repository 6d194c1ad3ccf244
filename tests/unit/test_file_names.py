"""parent_id: readable, unique within a run, safe."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.bounds import ParentId, Source
from services.detectors.names import parent_id_for, root_labels, source_for


@pytest.mark.parametrize(
    ("path", "root", "name"),
    [
        ("/data/grid3/p07_Au40Cu60.png", "/data/grid3", "grid3/p07_Au40Cu60.png"),
        ("/data/grid3/deep/er/p.tif", "/data/grid3", "grid3/deep/er/p.tif"),
        ("/data/../data/grid3/p.png", "/data/grid3/", "grid3/p.png"),
        ("/p.png", "/", "p.png"),
        ("/elsewhere/p.png", "/data", "data/elsewhere/p.png"),
        ("/data/Größe/β µ.png", "/data/Größe", "Größe/β µ.png"),
    ],
)
def test_a_file_is_named_by_the_folder_given_and_the_way_from_there(
    path: str, root: str, name: str
) -> None:
    assert parent_id_for(Path(path), Path(root)) == name


def test_a_relative_path_is_named_like_the_absolute_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = parent_id_for(tmp_path / "p.png", tmp_path)
    assert parent_id_for(Path("p.png"), Path()) == name == f"{tmp_path.name}/p.png"


_PART = st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=255).filter(
    lambda part: part not in (".", "..")
)
_PATHS = st.lists(_PART, min_size=1, max_size=9).map(lambda parts: Path("/", *parts))


@given(st.lists(_PATHS, min_size=2, max_size=4, unique=True))
def test_different_files_have_different_names_that_fit_the_wire(paths: list[Path]) -> None:
    roots = [path.parent for path in paths]
    labels = root_labels(roots)
    ids = [parent_id_for(p, r, labels[r]) for p, r in zip(paths, roots, strict=True)]
    for name, path in zip(ids, paths, strict=True):
        msgspec.convert(name, ParentId)
        msgspec.convert(source_for(path), Source)
        name.encode()
    for (a, path_a), (b, path_b) in itertools.combinations(zip(ids, paths, strict=True), 2):
        assert a != b, (path_a, path_b)


def test_names_that_cannot_be_shown_stay_apart() -> None:
    root = Path("/data")
    ids = {
        parent_id_for(root / name, root) for name in ("a\n.png", "a\r.png", "a?.png", "a\udcff.png")
    }
    assert len(ids) == 4
    assert "data/a?.png" in ids


def test_a_name_that_is_too_long_keeps_its_end_and_a_hash() -> None:
    root = Path("/data")
    deep = root / "/".join(["x" * 200] * 4)
    first, second = (parent_id_for(root / f"{n}/{deep}/p.png".lstrip("/"), root) for n in "ab")
    assert len(first) == len(second) == 512
    assert "/p.png~" in first
    assert first != second


def test_roots_are_called_by_as_much_as_tells_them_apart() -> None:
    roots = [Path(p) for p in ("/a/mon/grid", "/a/tue/grid", "/a/other", "/b/mon/grid", "/")]
    assert list(root_labels(roots).values()) == [
        "a/mon/grid",
        "tue/grid",
        "other",
        "b/mon/grid",
        "",
    ]
