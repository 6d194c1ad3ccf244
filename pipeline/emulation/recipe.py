"""Which elements a particle is made of, how bright its phases are, what its composition is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from .draws import Draws, steady

ATOMIC_NUMBERS = {
    "Fe": 26,
    "Co": 27,
    "Ni": 28,
    "Cu": 29,
    "Pd": 46,
    "Ag": 47,
    "Sn": 50,
    "Pt": 78,
    "Au": 79,
}
"""The elements of the megalibraries that Day et al., Sci. Rep. 15, 17180 (2025) work on."""

Z_EXPONENT = 1.7
"""HAADF intensity goes with Z to this power at usual detector angles; 2 would be Rutherford's."""

LEAST_CONTRAST = 1.18
"""Phases that differ less in brightness than this would not be told apart by any eye."""

ATTEMPTS = 39


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A solid solution of one or two elements.

    Parameters
    ----------
    atoms : dict
        Element -> share of the atoms.
    brightness : float
        Relative to the brightest phase of the particle: 0..1.
    """

    atoms: dict[str, float]
    brightness: float


def draw_phases(draws: Draws, count: int) -> tuple[Phase, ...]:
    """Draw `count` phases that differ in brightness.

    Some phases are alloys, and a quarter of the particles has one element more than phases.
    Brightness also varies by diffraction: a crystal that the beam meets along an axis looks
    brighter than its elements alone would.
    """
    elements = count + draws.chance(0.25)
    phases = _try_phases(draws, count, elements)
    for _ in range(ATTEMPTS):
        if _contrast(phases) >= LEAST_CONTRAST:
            break
        phases = max(phases, _try_phases(draws, count, elements), key=_contrast)
    return phases


def composition(phases: Sequence[Phase], amounts: Sequence[float]) -> str:
    """Write the particle's composition, in whole percent of its atoms that sum to 100.

    Parameters
    ----------
    phases : sequence of Phase
    amounts : sequence of float
        Volume of each. An atom takes the same room in each phase, nearly enough.

    Returns
    -------
    str
        For example "Au40Ag10Cu10Ni40". No element is below 1.
    """
    totals: dict[str, float] = {}
    for phase, amount in zip(phases, amounts, strict=True):
        for element, share in phase.atoms.items():
            totals[element] = totals.get(element, 0.0) + share * amount
    whole = sum(totals.values())
    exact = {element: 100.0 * total / whole for element, total in totals.items()}
    percent = {element: max(int(value), 1) for element, value in exact.items()}
    while sum(percent.values()) != 100:
        step = 1 if sum(percent.values()) < 100 else -1
        furthest = max(percent, key=lambda element: step * (exact[element] - percent[element]))
        percent[furthest] += step
    return "".join(f"{element}{value}" for element, value in percent.items())


def _try_phases(draws: Draws, count: int, elements: int) -> tuple[Phase, ...]:
    chosen = draws.sample(tuple(ATOMIC_NUMBERS), elements)
    recipes: list[dict[str, float]] = []
    for number in range(count):
        atoms = {chosen[number]: 1.0}
        if count > 1 and draws.chance(0.25):
            atoms = _alloy(draws, chosen[number], chosen[(number + 1) % count])
        recipes.append(atoms)
    for extra in chosen[count:]:
        number = draws.below(count)
        recipes[number] = _alloy(draws, chosen[number], extra)
    levels = [_scattering(atoms) * draws.between(0.85, 1.15) for atoms in recipes]
    return tuple(
        Phase(atoms=atoms, brightness=steady(level / max(levels)))
        for atoms, level in zip(recipes, levels, strict=True)
    )


def _contrast(phases: Sequence[Phase]) -> float:
    """Brightness ratio of the two phases that are hardest to tell apart."""
    levels = sorted(phase.brightness for phase in phases)
    return min((high / low for low, high in pairwise(levels)), default=LEAST_CONTRAST)


def _alloy(draws: Draws, main: str, second: str) -> dict[str, float]:
    share = draws.between(0.2, 0.5)
    return {main: 1.0 - share, second: share}


def _scattering(atoms: dict[str, float]) -> float:
    """Mean of Z ** 1.7 over the atoms."""
    return steady(sum(share * ATOMIC_NUMBERS[e] ** Z_EXPONENT for e, share in atoms.items()))
