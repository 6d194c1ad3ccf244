"""The judge: how good are boxes, measured against the truth, or against the picture itself."""

from __future__ import annotations

from .criteria import Criteria, Verdict, judge
from .variance import (
    by_gain,
    explained,
    explained_by_grid,
    particle_domain,
    uniform_grid,
)

__all__ = [
    "Criteria",
    "Verdict",
    "by_gain",
    "explained",
    "explained_by_grid",
    "judge",
    "particle_domain",
    "uniform_grid",
]
