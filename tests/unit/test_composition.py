"""Compositions, and finding them in file names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import Composition, find_in_name, parse_composition
from pipeline.composition import SYMBOLS, doubt_in_name


def test_a_composition_is_read_in_the_order_written() -> None:
    assert parse_composition("Au40Ag10Cu10Ni40") == Composition(
        elements=("Au", "Ag", "Cu", "Ni"), amounts=(40.0, 10.0, 10.0, 40.0)
    )
    assert parse_composition("Au40Ag10Cu10Ni40").n == 4


@pytest.mark.parametrize(
    ("text", "elements", "amounts"),
    [
        ("Pd33.3Ni66.7", ("Pd", "Ni"), (33.3, 66.7)),
        ("CoMn", ("Co", "Mn"), (None, None)),
        ("CO2", ("C", "O"), (None, 2.0)),
        (" Au100 ", ("Au",), (100.0,)),
    ],
)
def test_amounts_may_be_decimal_or_missing(
    text: str, elements: tuple[str, ...], amounts: tuple[float | None, ...]
) -> None:
    assert parse_composition(text) == Composition(elements=elements, amounts=amounts)


@given(st.lists(st.sampled_from(sorted(SYMBOLS)), min_size=1, max_size=8, unique=True))
def test_every_element_is_known(symbols: list[str]) -> None:
    assert parse_composition("".join(f"{symbol}7" for symbol in symbols)).n == len(symbols)


def test_there_are_118_elements() -> None:
    assert len(SYMBOLS) == 118


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "came ''"),
        ("Xx50Au50", "'Xx' is no element"),
        ("Au50Au50", "Au twice"),
        ("Au0Ag100", "no Au in it"),
        ("au50", "unreadable from 'au50' on"),
        ("Au50, Ag50", "unreadable from ', Ag50' on"),
        ("50Au", "unreadable from '50Au' on"),
        ("Au5.Ag5", "unreadable from '.Ag5' on"),
    ],
)
def test_what_is_no_composition_is_refused_with_what_came_and_what_was_expected(
    text: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        parse_composition(text)
    assert "such as Au40Ag10Cu10Ni40" in str(refused.value)


@pytest.mark.parametrize(
    ("stem", "composition"),
    [
        ("07_Au52Ni48", "Au52Ni48"),
        ("chipA_Au40Ag10Cu10Ni40", "Au40Ag10Cu10Ni40"),
        ("31_Pt27Cu30Ni23Fe21", "Pt27Cu30Ni23Fe21"),
        ("Au100", "Au100"),
        ("Au33.3Ag33.3Cu33.4-0007", "Au33.3Ag33.3Cu33.4"),
        ("survey Pd50Ni50 (2)", "Pd50Ni50"),
        ("Au100_again_Au100", "Au100"),
    ],
)
def test_a_composition_in_a_name_is_found(stem: str, composition: str) -> None:
    assert find_in_name(stem) == composition


@pytest.mark.parametrize(
    "stem",
    [
        "No", "Co", "In", "HAADF", "particle", "tilt00", "Pd_silica1", "55_PtC1_BF",
        "01_PtIr_single_HAADF", "07_Co3O4-Mn3O4_coreshell_cluster_HAADF", "08_QD_SAIT_024_2_6",
        "S100", "F100_overview", "scan100", "Au40Ag10", "AuAg", "X50Y50", "Xx50Au50", "Au50Au50",
        "xAu100", "Au100x", "Au100_or_Ag100", "1.Au100", "", "Image-000123", "B12N88K",
    ],
)  # fmt: skip
def test_ordinary_names_hold_no_composition(stem: str) -> None:
    assert find_in_name(stem) is None


@pytest.mark.parametrize(
    ("stem", "doubt"),
    [
        ("p_Au40Ag10", "Au40Ag10 in the name adds up to 50, expected 100"),
        ("p_Au60Ag60", "Au60Ag60 in the name adds up to 120, expected 100"),
        ("Au40Cu60 Ag50Cu50", "the name holds Au40Cu60 and Ag50Cu50, expected one composition"),
        ("p_Au40Ag60", None),
        ("p_Au40Ag10_then_Au40Ag60", None),
        ("07_Co3O4-Mn3O4_coreshell_cluster_HAADF", None),
        ("Au50", None),
        ("X50Y50", None),
        ("", None),
    ],
)
def test_what_nearly_is_a_composition_is_doubted(stem: str, doubt: str | None) -> None:
    assert doubt_in_name(stem) == doubt
