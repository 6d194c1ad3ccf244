"""Which rules the quality gate applies, and where each one draws the line."""

from __future__ import annotations

from dataclasses import dataclass

from .checks import check_range
from .image import MIN_SIDE


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityParams:
    """Settings of the gate; what the defaults were measured on is in docs/decisions/0005.

    Parameters
    ----------
    check_empty, check_no_particle, check_wrong_polarity, check_saturated, check_too_small : bool
        Whether the rule of this name applies.
    min_parent_side : int
        Parent pixels on the shorter side ("too small").
    min_contrast : float
        Gray levels of 255 between the bright and the dark part ("empty").
    min_edge : float
        Step between the two, in units of the step that neighbouring areas usually make
        ("no particle"): noise and film reach 4, slopes 6.
    min_thickness : float
        Largest square within one part, as a share of the shorter side ("no particle"): the cells
        of a lattice stay below.
    min_filled : float
        Share of the particle's cells that are bright themselves, not only on average over their
        surroundings ("no particle"): specks are not.
    max_mixed_border : float
        Share of the border that may lie in the other part than most of it ("no particle"): a
        particle may be cut by the border, but its background must reach most of the way round.
    max_bright_border : float
        Share of the border that may be bright ("wrong polarity").
    max_clipped : float
        Share of the bright part's pixels that may be at the picture's maximum ("saturated").
    min_cells : int
        Grid cells of the particle ("too small"). Below 6 x 6 the largest box allowed, 20 % of
        the side, is a single cell.
    min_probability : float
        What a model, if there is one, must answer at least.

    Raises
    ------
    ValueError
        If a threshold is out of range.
    """

    check_empty: bool = True
    check_no_particle: bool = True
    check_wrong_polarity: bool = True
    check_saturated: bool = True
    check_too_small: bool = True
    min_parent_side: int = MIN_SIDE
    min_contrast: float = 4.0
    min_edge: float = 8.0
    min_thickness: float = 0.2
    min_filled: float = 0.6
    max_mixed_border: float = 0.3
    max_bright_border: float = 0.5
    max_clipped: float = 0.5
    min_cells: int = 36
    min_probability: float = 0.5

    def __post_init__(self) -> None:
        check_range("min_parent_side", self.min_parent_side, 1, 100_000)
        check_range("min_contrast", self.min_contrast, 0, 255)
        check_range("min_edge", self.min_edge, 0, 1_000)
        check_range("min_thickness", self.min_thickness, 0, 1)
        check_range("min_filled", self.min_filled, 0, 1)
        check_range("max_mixed_border", self.max_mixed_border, 0, 0.5)
        check_range("max_bright_border", self.max_bright_border, 0, 1)
        check_range("max_clipped", self.max_clipped, 0, 1)
        check_range("min_cells", self.min_cells, 0, 16_384)
        check_range("min_probability", self.min_probability, 0, 1)
