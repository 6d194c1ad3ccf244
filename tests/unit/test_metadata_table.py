"""The metadata table: every wrong cell is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.detectors.metadata import MetadataError, MetadataTable, TableRow

Write = Callable[[str | bytes], Path]


@pytest.fixture
def table(tmp_path: Path) -> Write:
    """Write a table and return its path."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "metadata.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def test_known_columns_are_read_and_others_kept(table: Write) -> None:
    read = MetadataTable.read(
        table(
            "operator,file,composition,n_elements,pixel_size_nm,note,scan_rotation_deg\n"
            'Zoë,p1.png,Au40Cu60,2,0.0625,"tilted, twice",-12.5\n'
            ",p2.png,,,,,\n"
        )
    )
    assert read.rows == {
        "p1.png": TableRow(
            2, "Au40Cu60", 2, 0.0625, {"operator": "Zoë", "note": "tilted, twice"}, -12.5
        ),
        "p2.png": TableRow(3),
    }


@pytest.mark.parametrize(
    "content",
    [
        "file,pixel_size_nm\np.png,0.5\n",
        "\ufefffile,pixel_size_nm\r\np.png,0.5\r\n",
        "file;pixel_size_nm\np.png;0,5\n",
        "file;pixel_size_nm\np.png;0.5\n",
        "file\tpixel_size_nm\np.png\t0.5",
        "File , Pixel_Size_nm\n\n p.png , 0.5 \n,\n",
        '"file","pixel_size_nm"\n"p.png","5e-1"\n',
        "pixel_size_nm,file,\n0.5,p.png,\n",
        "pixel_size_nm,file,operator\n0.5,p.png\n",
    ],
    ids=["plain", "BOM CRLF", "comma", "semicolon", "tab", "spaces", "quoted", "empty", "short"],
)
def test_tables_as_spreadsheets_write_them_are_read(table: Write, content: str) -> None:
    (row,) = MetadataTable.read(table(content)).rows.items()
    assert row[0] == "p.png"
    assert row[1].pixel_size_nm == 0.5


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("p.png,Xx40,,", "line 3, column composition: .*'Xx' is no element"),
        ("p.png,Au40Au60,,", "line 3, column composition: .*Au twice"),
        (f"p.png,{'Au' * 200},,", "line 3, column composition: .*400 characters"),
        ("p.png,,0,", "line 3, column n_elements: came '0', expected a whole number from 1 to 118"),
        ("p.png,,2.0,", "line 3, column n_elements: came '2.0'"),
        ("p.png,,119,", "line 3, column n_elements: came '119'"),
        ("p.png,,²,", "line 3, column n_elements: came '²'"),
        ("p.png,Au40Cu60,3,", "line 3, column n_elements: came '3', expected 2, as the comp"),
        ("p.png,,,0", "line 3, column pixel_size_nm: came '0', expected a number above 0"),
        ("p.png,,,-1", "line 3, column pixel_size_nm: came '-1'"),
        ("p.png,,,nan", "line 3, column pixel_size_nm: came 'nan'"),
        ("p.png,,,inf", "line 3, column pixel_size_nm: came 'inf'"),
        ("p.png,,,0.1 nm", "line 3, column pixel_size_nm: came '0.1 nm'"),
        (",Au40Cu60,,", "line 3, column file: empty"),
        ("p.png,,,1,surplus", "line 3: 5 cells for 4 columns"),
        ("good.png,,,", "line 3: 'good.png' stands in line 2 too"),
        ("./good.png,,,", "line 3: 'good.png' stands in line 2 too"),
        ('"p.png,,,', "line 3: not CSV"),
    ],
)
def test_a_wrong_cell_is_named_with_its_line_and_column(table: Write, line: str, says: str) -> None:
    content = f"file,composition,n_elements,pixel_size_nm\ngood.png,Au100,1,0.5\n{line}\n"
    with pytest.raises(MetadataError, match=f"metadata.csv: {says}"):
        MetadataTable.read(table(content))


@pytest.mark.parametrize("came", ["361", "-361", "nan", "a little"])
def test_a_rotation_that_is_none_is_named(table: Write, came: str) -> None:
    with pytest.raises(
        MetadataError,
        match=f"line 2, column scan_rotation_deg: came '{came}', expected a number from -360 to",
    ):
        MetadataTable.read(table(f"file,scan_rotation_deg\np.png,{came}\n"))


def test_all_wrong_cells_are_named_up_to_twenty(table: Write) -> None:
    lines = "".join(f"p{n}.png,{n}\n" for n in range(100, 150))
    with pytest.raises(MetadataError) as caught:
        MetadataTable.read(table("file,n_elements\n" + lines))
    text = str(caught.value)
    assert "line 21, column" in text
    assert text.endswith("and 11 more")


def test_lines_are_counted_as_an_editor_counts_them(table: Write) -> None:
    content = 'file,note,n_elements\na.png,"two\nlines",1\n\nb.png,,x\n'
    with pytest.raises(MetadataError, match="line 5, column n_elements: came 'x'"):
        MetadataTable.read(table(content))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "line 1: no column 'file' among an empty line"),
        ("name,composition\np.png,Au100\n", "line 1: no column 'file' among 'name', 'composition'"),
        ("file,File\na,b\n", "line 1: the column 'file' is there twice"),
        ("file,note,note\n", "line 1: the column 'note' is there twice"),
        (f"file,{'x' * 129}\n", "line 1: column 'x{40}': expected at most 128"),
        ('file,"a\nb"\n', "line 1: column"),
        (b"file,note\np.png,\xff\xfe\n", "byte 16 is not UTF-8; save the table as CSV UTF-8"),
        ("file," + ",".join(f"c{n}" for n in range(300)) + "\n", "more than 256 columns"),
        ("file,note\np.png," + "x" * 5000 + "\n", "line 2, column note: .*at most 4096"),
        ("file,note\np.png," + "x" * 200_000 + "\n", "line 2: not CSV: field larger"),
    ],
)
def test_a_table_that_is_none_is_refused(table: Write, content: str | bytes, says: str) -> None:
    with pytest.raises(MetadataError, match=says):
        MetadataTable.read(table(content))


def test_a_table_that_is_missing_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MetadataError, match=r"no\.csv: No such file"):
        MetadataTable.read(tmp_path / "no.csv")
    with pytest.raises(MetadataError, match="Is a directory"):
        MetadataTable.read(tmp_path)


@pytest.mark.parametrize(
    ("entry", "file", "matches"),
    [
        ("p.png", "p.png", True),
        ("p", "p.png", True),
        ("p.png", "deep/p.png", True),
        ("deep/p.png", "deep/p.png", True),
        ("deep\\p.png", "deep/p.png", True),
        ("deep/p", "deep/p.png", True),
        ("other/p.png", "deep/p.png", False),
        ("P.png", "p.png", False),
        ("p.tif", "p.png", False),
        ("q.png", "p.png", False),
    ],
)
def test_an_entry_means_a_file_by_path_or_name(
    table: Write, tmp_path: Path, entry: str, file: str, matches: bool
) -> None:
    read = MetadataTable.read(table(f"file\n{entry}\n"))
    assert (read.find(tmp_path / file) is not None) is matches


def test_the_more_exact_entry_wins(table: Write, tmp_path: Path) -> None:
    rows = ["p", "p.png", "deep/p.png", f"{tmp_path}/deep/p.png"]
    read = MetadataTable.read(table("file\n" + "\n".join(rows) + "\n"))
    found = [read.find(tmp_path / name) for name in ("deep/p.png", "p.png", "p.tif")]
    assert [row.line for row in found if row] == [5, 3, 2]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda t: ("file," + t).encode("utf-8")))
def test_any_bytes_are_a_table_or_an_error(table: Write, content: bytes) -> None:
    try:
        rows = MetadataTable.read(table(content)).rows
    except MetadataError:
        return
    assert all(file for file in rows)
