"""What is known of an image, and from where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from protocols import decode, encode
from protocols.messages import Metadata, Offer
from services.detectors.file_finding import find_images
from services.detectors.files import ReadImage
from services.detectors.metadata import MetadataError, Resolver, resolve, with_file_metadata

_IMAGE = np.zeros((2, 2))


def _resolved(resolver: Resolver, *paths: Path, recursive: bool = False) -> list[Metadata]:
    return [resolver.metadata_of(found) for found in find_images(paths, recursive=recursive)]


def _files(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def _told(metadata: Metadata) -> tuple[str | None, str | None, int | None]:
    return metadata.composition, metadata.composition_from, metadata.n_elements


def test_a_composition_comes_from_the_first_that_has_one(tmp_path: Path) -> None:
    folder = _files(tmp_path, "p_Au40Cu60.png", "q_Au100.png", "r.png")
    (folder / "metadata.csv").write_text("file,composition\np_Au40Cu60.png,Pt20Ag30Ni50\n")
    in_file = ReadImage(_IMAGE, composition="Fe50Co50")
    told = [_told(with_file_metadata(each, in_file)) for each in _resolved(Resolver(), folder)]
    assert told == [
        ("Pt20Ag30Ni50", "table", 3),
        ("Au100", "file name", 1),
        ("Fe50Co50", "file metadata", 2),
    ]
    told = [_told(each) for each in _resolved(Resolver(composition=" PdPt "), folder)]
    assert told == [("PdPt", "option", 2)] * 3


def test_with_nothing_to_go_by_nothing_is_said(tmp_path: Path) -> None:
    (metadata,) = _resolved(Resolver(), _files(tmp_path, "r.png"))
    assert metadata == Metadata(parent_id=f"{tmp_path.name}/r.png", source=str(tmp_path / "r.png"))
    assert with_file_metadata(metadata, ReadImage(_IMAGE)) is metadata


def test_the_number_of_elements_may_be_told_without_a_composition(tmp_path: Path) -> None:
    folder = _files(tmp_path, "p.png", "q_Au40Cu60.png")
    (folder / "metadata.csv").write_text("file,n_elements\np.png,4\nq_Au40Cu60.png,5\n")
    assert [_told(each) for each in _resolved(Resolver(), folder)] == [
        (None, None, 4),
        ("Au40Cu60", "file name", 5),
    ]
    assert [_told(each) for each in _resolved(Resolver(n_elements=3), folder)] == [
        (None, None, 3),
        ("Au40Cu60", "file name", 3),
    ]


def test_the_table_in_a_files_own_folder_is_taken_or_else_the_given_folders(tmp_path: Path) -> None:
    folder = _files(tmp_path, "p.png", "own/p.png", "none/p.png", "none/q.png")
    (folder / "metadata.csv").write_text("file,pixel_size_nm\np.png,1\nnone/p.png,2\n")
    (folder / "own" / "metadata.csv").write_text("file,pixel_size_nm,operator\np.png,3,Ann\n")
    resolved = _resolved(Resolver(), folder, recursive=True)
    sizes = {each.parent_id.split("/", 1)[1]: each.pixel_size_nm for each in resolved}
    assert sizes == {"p.png": 1.0, "none/p.png": 2.0, "none/q.png": None, "own/p.png": 3.0}
    assert [each.extra for each in resolved if each.extra] == [{"operator": "Ann"}]
    assert _resolved(Resolver(), folder / "own" / "p.png")[0].pixel_size_nm == 3.0


def test_a_table_named_in_the_command_is_the_only_one(tmp_path: Path) -> None:
    folder = _files(tmp_path, "p.png", "q.png")
    (folder / "metadata.csv").write_text("wrong in every way")
    named = tmp_path / "session.csv"
    named.write_text("file,pixel_size_nm,scan_rotation_deg\np.png,1,30\n")
    resolved = _resolved(Resolver(table=named), folder)
    assert [each.pixel_size_nm for each in resolved] == [1.0, None]
    assert [each.scan_rotation_deg for each in resolved] == [30.0, None]


def test_a_wrong_table_beside_the_images_is_named(tmp_path: Path) -> None:
    folder = _files(tmp_path, "p.png")
    (folder / "metadata.csv").write_text("file,composition\np.png,Qq5\n")
    with pytest.raises(
        MetadataError, match=r"(?s)metadata.csv: line 2, column composition.*--metadata"
    ):
        _resolved(Resolver(), folder)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"composition": "Qq50"}, "--composition: .*no element"),
        ({"composition": ""}, "--composition: "),
        ({"n_elements": 0}, "--n-elements: came 0, expected a whole number from 1 to 118"),
        (
            {"composition": "Au40Cu60", "n_elements": 3},
            "came 3, but the composition Au40Cu60 has 2",
        ),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, str | int], says: str) -> None:
    with pytest.raises(MetadataError, match=says):
        Resolver(**options)  # type: ignore[arg-type]


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    folder = _files(tmp_path, "a/p.png", "b/p.png", "a/p.tif")
    ids = [each.parent_id for each in _resolved(Resolver(), folder, recursive=True)]
    assert ids == [f"{tmp_path.name}/{name}" for name in ("a/p.png", "a/p.tif", "b/p.png")]
    ids = [each.parent_id for each in _resolved(Resolver(), folder / "a", folder / "b")]
    assert ids == ["a/p.png", "a/p.tif", "b/p.png"]


def test_what_the_opened_file_tells_fills_only_what_is_not_known() -> None:
    known = resolve(Path("p_Au40Cu60.png"), parent_id="p")
    read = ReadImage(_IMAGE, 0.25, "Fe100", ("gray stored as colour", "alpha channel left out"))
    filled = with_file_metadata(known, read)
    assert _told(filled) == ("Au40Cu60", "file name", 2)
    assert filled.pixel_size_nm == 0.25
    assert filled.extra == {"file_notes": "gray stored as colour; alpha channel left out"}
    assert with_file_metadata(filled, ReadImage(_IMAGE, 0.5)).pixel_size_nm == 0.25


@pytest.mark.parametrize("composition", ["", "gold", "Au40Xx60", "Au" * 1000])
def test_a_composition_in_a_file_that_cannot_be_read_is_noted_and_not_used(
    composition: str,
) -> None:
    known = resolve(Path("p.png"), parent_id="p")
    filled = with_file_metadata(known, ReadImage(_IMAGE, composition=composition))
    assert filled.composition is None
    assert filled.extra["file_notes"].startswith("the file's metadata: ")


def test_names_that_cannot_be_shown_can_still_be_sent(tmp_path: Path) -> None:
    folder = _files(tmp_path, "line\nfeed\udcff.png", "x" * 250 + ".png")
    for metadata in _resolved(Resolver(), folder):
        offer = Offer(session="s", offer=1, metadata=metadata, image=_IMAGE)
        assert decode(encode(offer), expect=(Offer,)).metadata == metadata


def test_what_a_table_says_of_no_image_is_named_with_its_line(tmp_path: Path) -> None:
    folder = _files(tmp_path, "p.png", "notes.txt", "deep/q.png")
    (folder / "metadata.csv").write_text("file\np.png\nmissing.png\nnotes.txt\ndeep/q.png\n")
    resolver = Resolver()
    _resolved(resolver, folder)
    table = folder / "metadata.csv"
    assert resolver.remarks() == [
        f"{table}:3: 'missing.png': no image given is called so",
        f"{table}:4: 'notes.txt': this file is not among the images given, or has a row elsewhere",
        f"{table}:5: 'deep/q.png': this file is not among the images given, or has a row elsewhere",
    ]
    resolver = Resolver()
    _resolved(resolver, folder / "p.png")
    assert resolver.remarks() == []  # the others' rows are there for another time
    resolver = Resolver(table=table)
    _resolved(resolver, folder, recursive=True)
    assert [remark.split(": ")[0] for remark in resolver.remarks()] == [f"{table}:3", f"{table}:4"]


def test_a_name_that_nearly_holds_a_composition_is_noted(tmp_path: Path) -> None:
    folder = _files(tmp_path, "a_Au40Ag50.png", "b_Au40Ag60.png", "c_Au40Cu60_Ag50Cu50.png")
    resolver = Resolver()
    resolved = _resolved(resolver, folder)
    doubt = "Au40Ag50 in the name adds up to 90, expected 100"
    assert [each.composition for each in resolved] == [None, "Au40Ag60", None]
    assert [each.extra.get("file_notes") for each in resolved] == [
        doubt,
        None,
        "the name holds Au40Cu60 and Ag50Cu50, expected one composition",
    ]
    (remark,) = resolver.remarks()
    assert remark.startswith(f"{folder}/a_Au40Ag50.png: {doubt} (and 1 more)")
    filled = with_file_metadata(resolved[0], ReadImage(_IMAGE, notes=("turned",)))
    assert filled.extra["file_notes"] == f"{doubt}; turned"
    # Said otherwise, the name is not looked at.
    resolver = Resolver(composition="PdPt")
    _resolved(resolver, folder)
    assert resolver.remarks() == []
