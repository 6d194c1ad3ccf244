"""Files for instruments: an index that is there fits the files beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.controllers.dialects import Request
from services.instrument_files import INDEX, write_instrument_files
from tests.helpers.feeding import fill, located

PARENTS = 3


def test_an_export_that_fails_midway_leaves_no_index_of_an_earlier_one(tmp_path: Path) -> None:
    places = fill(tmp_path, lambda run: [located(run, seq, 9) for seq in range(PARENTS)])
    first = write_instrument_files(places, Request(dialect="jeol"))
    folder = tmp_path / "instrument" / "jeol"
    files = [batch.file for batch in first.batches if batch.file is not None]
    assert len(files) == PARENTS
    before = (folder / files[0]).read_bytes()
    assert (folder / INDEX).exists()
    (folder / files[1]).unlink()
    (folder / files[1]).mkdir()  # no file can have this name now
    with pytest.raises(OSError, match=files[1]):
        write_instrument_files(places, Request(dialect="jeol", order="nearest"))
    assert (folder / files[0]).read_bytes() != before
    assert not (folder / INDEX).exists()
    (folder / files[1]).rmdir()
    again = write_instrument_files(places, Request(dialect="jeol", order="nearest"))
    assert [batch.refused for batch in again.batches] == [None] * PARENTS
    assert (folder / INDEX).exists()
