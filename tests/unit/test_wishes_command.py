"""What is asked of the refined method is refused before anything starts, by the option's name."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
import typer

from services.cli.app import app
from services.cli.wishes import wished
from services.wishes import Wishes

ALL = {
    "max_boxes": 50,
    "min_box_nm": 1.0,
    "max_box_nm": 9.0,
    "max_box_percent": 20,
    "purity": 0.9,
    "particles": "largest",
    "margin_px": 3,
}
REFUSED = [
    ("best", None, {}, "--method best: expected published or refined"),
    ("published", None, {"purity": 0.9, "margin_px": 0}, "--purity, --margin-px: expected with"),
    ("refined", 2, {}, "--algorithm 2: belongs to the published method"),
    ("refined", None, {"max_boxes": 0}, "--max-boxes: came 0; expected a number from 1"),
    ("refined", None, {"purity": float("nan")}, "--purity: came nan; expected a number from 0.5"),
    ("refined", None, {"max_box_percent": 101}, "--max-box-percent: came 101; expected a number"),
    ("refined", None, {"margin_px": -1}, "--margin-px: came -1; expected a number from 0"),
    ("refined", None, {"particles": "some"}, "--particles: came 'some'; expected 'all', 'largest'"),
    (
        "refined",
        None,
        {"min_box_nm": 5.0, "max_box_nm": 1.0},
        "--min-box-nm: came 5.0 with --max-box-nm 1.0; expected --min-box-nm <= --max-box-nm",
    ),
]


@pytest.mark.parametrize(("method", "algorithm", "options", "said"), REFUSED)
def test_what_cannot_be_is_refused_with_the_option_and_what_was_expected(
    method: str,
    algorithm: int | None,
    options: dict[str, Any],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit) as refused:
        wished(method, algorithm, **options)
    assert refused.value.exit_code == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_only_what_was_given_is_asked() -> None:
    assert wished("published", 1, purity=None) is None
    assert wished("refined", None, max_boxes=None, purity=None) == {}
    assert wished("refined", None, **ALL) == ALL


@pytest.mark.parametrize("command", ["run", "boxes"])
def test_every_wish_is_an_option_that_says_what_holds_without_it(command: str) -> None:
    parameters = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    options = {parameter.name: parameter for parameter in parameters}
    assert set(asdict(Wishes())) == set(ALL)
    for name, default in asdict(Wishes()).items():
        assert options[name].opts == ["--" + name.replace("_", "-")]
        assert options[name].default is None  # else what was not given would be refused
        assert default is None or f"{default} by default" in options[name].help
