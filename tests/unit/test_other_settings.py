"""A folder goes on with the settings it was begun with; others are refused by name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from services.files_run import FilesRun, OtherRun, check_settings
from services.runtime.ledger import Ledger
from services.runtime.places import Places


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({"max_boxes": 20}, {"max_boxes": 30}, ": max_boxes was 20, now it is 30. "),
        ({"max_boxes": 20}, {}, ": max_boxes was 20, now it is not given. "),
        ({}, {"purity": 0.9}, ": purity was not given, now it is 0.9. "),
        (None, {"purity": 0.9}, ": method was published, now it is refined. "),
        ({}, None, ": method was refined, now it is published. "),
    ],
)
def test_a_folder_with_other_wishes_is_refused_by_the_one_that_differs(
    before: dict[str, Any] | None, now: dict[str, Any] | None, said: str, tmp_path: Path
) -> None:
    places = Places(tmp_path)
    places.ledger.parent.mkdir()
    with Ledger(places.ledger) as ledger:
        check_settings(ledger, FilesRun(paths=[], out=tmp_path, refined=before), places)
        check_settings(ledger, FilesRun(paths=[], out=tmp_path, refined=before), places)
        with pytest.raises(OtherRun, match=re.escape(said)):
            check_settings(ledger, FilesRun(paths=[], out=tmp_path, refined=now), places)
