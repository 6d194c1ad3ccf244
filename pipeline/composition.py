"""Compositions as people write them: Au40Ag10Cu10Ni40."""

from __future__ import annotations

import re
from dataclasses import dataclass

PART = re.compile(r"([A-Z][a-z]?)(\d+(?:\.\d+)?)?")
SYMBOLS = frozenset(
    symbol
    for symbol, _ in PART.findall(
        "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As "
        "Se Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu "
        "Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np "
        "Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
    )
)
IN_NAME = re.compile(r"(?<![A-Za-z0-9.])(?:[A-Z][a-z]?\d+(?:\.\d+)?)+(?![A-Za-z0-9])")
TOLERANCE = 2.0
"""How far the percentages in a file name may be from 100 by rounding."""

LIKE_PERCENTAGES = 20.0
"""Amounts of several elements that add up to so much are meant as percentages, not as counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composition:
    """Elements in the order written, and their amounts (None where none is written)."""

    elements: tuple[str, ...]
    amounts: tuple[float | None, ...]

    @property
    def n(self) -> int:
        """Number of elements."""
        return len(self.elements)


def parse_composition(text: str) -> Composition:
    """Read a composition: element symbols, each followed by an amount or by nothing.

    Parameters
    ----------
    text : str
        Such as Au40Ag10Cu10Ni40, Pd33.3Ni66.7, CoMn.

    Returns
    -------
    Composition

    Raises
    ------
    ValueError
        If something is not an element, appears twice or has the amount 0.
    """
    expected = "expected element symbols with optional amounts, such as Au40Ag10Cu10Ni40"
    stripped = text.strip()
    elements: list[str] = []
    amounts: list[float | None] = []
    at = 0
    while at < len(stripped):
        part = PART.match(stripped, at)
        if part is None:
            raise ValueError(
                f"composition: came {text!r}, unreadable from {stripped[at:]!r} on; {expected}"
            )
        symbol, amount = part.groups()
        if symbol not in SYMBOLS:
            raise ValueError(f"composition: came {text!r}; {symbol!r} is no element; {expected}")
        if symbol in elements:
            raise ValueError(f"composition: came {text!r} with {symbol} twice; {expected}")
        if amount is not None and float(amount) == 0.0:
            raise ValueError(f"composition: came {text!r} with no {symbol} in it; {expected}")
        elements.append(symbol)
        amounts.append(None if amount is None else float(amount))
        at = part.end()
    if not elements:
        raise ValueError(f"composition: came {text!r}; {expected}")
    return Composition(elements=tuple(elements), amounts=tuple(amounts))


def find_in_name(stem: str) -> str | None:
    """Find the composition in a file's name without its suffix, if one is surely there.

    Surely: set apart from letters and digits, every element with its amount, the amounts adding
    up to 100 within 2. One element alone must have two letters (S100 is more often the hundredth
    sample than sulfur). Two different compositions in one name are none.

    Returns
    -------
    str or None
        As written.
    """
    found = {text for text in IN_NAME.findall(stem) if _is_plausible(text)}
    return found.pop() if len(found) == 1 else None


def doubt_in_name(stem: str) -> str | None:
    """Say why what looks like a composition in a file's name is not taken for one.

    Percentages that do not add up to 100, and two compositions in one name. A formula such as
    Co3O4, whose amounts are no percentages, raises no doubt.
    """
    texts = dict.fromkeys(IN_NAME.findall(stem))
    sure = [text for text in texts if _is_plausible(text)]
    if len(sure) > 1:
        return f"the name holds {sure[0]} and {sure[1]}, expected one composition"
    for text in texts if not sure else ():
        elements, total = _totals(text)
        if elements > 1 and total >= LIKE_PERCENTAGES:
            return f"{text} in the name adds up to {total:g}, expected 100"
    return None


def _is_plausible(text: str) -> bool:
    elements, total = _totals(text)
    named = elements > 1 or (elements == 1 and len(parse_composition(text).elements[0]) == 2)
    return named and abs(total - 100.0) <= TOLERANCE


def _totals(text: str) -> tuple[int, float]:
    """Return how many elements a text names, 0 if it is no composition, and their amounts' sum."""
    try:
        composition = parse_composition(text)
    except ValueError:
        return 0, 0.0
    return composition.n, sum(amount or 0.0 for amount in composition.amounts)
