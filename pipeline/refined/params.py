"""Constants of the refined method, and what an operator may ask of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.checks import check_range

Which = Literal["all", "largest", "middle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinedParams:
    """Constants; what each of them gave is in docs/method.md.

    Parameters
    ----------
    cells : int
        Cells along the longer side of a particle.
    film_spreads : float
        How far above the film a cell must be, in spreads of the film.
    rim, blurred_rim : float
        A cell belongs to the particle if it has this share of its brightest neighbour: `rim`, and
        `blurred_rim` for each time that its lattice is finer than the frame's cells. A bevel ends
        at its foot, a blurred edge half-way, and the finer the cells, the more of an edge is blur.
    faintest : float
        Least brightness, as a share of the particle's.
    rise : float
        Relative change a cell by which brightness must change more between two regions than
        within them.
    noise_rise : float
        The same, in relative standard deviations of a cell's noise.
    level_spread : float
        Relative spread within one region above which one more region is tried.
    min_region : int
        Cells; what is smaller belongs to what surrounds it.
    foot : float
        Share of the steepest change at which a region within another one begins.
    max_error : float
        Squared error a box may leave, as a share of the particle's squared brightness over a
        thousandth of its area.
    told : float
        How many times more where there are as many regions as elements, so that all phases are
        told apart.
    hidden : float
        How many times as much where there may be more than is told apart: where regions lie within
        one another, and where there may be more levels than regions.
    nested_side, missing_side : float
        Largest box, as a share of what it is elsewhere: where regions lie within one another, and
        where there are fewer regions than elements.
    slivers : float
        Share of the particle's area that may stay without boxes, if that saves small ones, where
        boxes are for levels.
    rims : float
        The same where boxes are for phases; what is least of the particle is left out first.
    calm : float
        Relative noise of a cell above which edges hide, so that fewer rims are left out and boxes
        are smaller.
    outside : float
        Share of a box that may lie outside the particle.

    Raises
    ------
    ValueError
        If a constant is out of range.
    """

    cells: int = 72
    film_spreads: float = 5.0
    rim: float = 0.09
    blurred_rim: float = 0.055
    faintest: float = 0.015
    rise: float = 0.01
    noise_rise: float = 0.5
    level_spread: float = 0.02
    min_region: int = 13
    foot: float = 0.65
    max_error: float = 0.1
    told: float = 3.0
    hidden: float = 0.06
    nested_side: float = 0.4
    missing_side: float = 0.5
    slivers: float = 0.003
    rims: float = 0.0135
    calm: float = 0.04
    outside: float = 0.01

    def __post_init__(self) -> None:
        check_range("cells", self.cells, 16, 256)
        check_range("film_spreads", self.film_spreads, 0, 100)
        check_range("rim", self.rim, 0, 1)
        check_range("blurred_rim", self.blurred_rim, 0, 1)
        check_range("faintest", self.faintest, 0, 1)
        check_range("rise", self.rise, 0, 10)
        check_range("noise_rise", self.noise_rise, 0, 100)
        check_range("level_spread", self.level_spread, 0, 10)
        check_range("min_region", self.min_region, 1, 10_000)
        check_range("foot", self.foot, 0, 1)
        check_range("max_error", self.max_error, 0, 1_000_000)
        check_range("told", self.told, 1, 1_000)
        check_range("hidden", self.hidden, 0, 1)
        check_range("nested_side", self.nested_side, 0, 1)
        check_range("missing_side", self.missing_side, 0, 1)
        check_range("slivers", self.slivers, 0, 0.5)
        check_range("rims", self.rims, 0, 0.5)
        check_range("calm", self.calm, 1e-6, 1)
        check_range("outside", self.outside, 0, 0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """What an operator asks for.

    Parameters
    ----------
    max_boxes : int, optional
        Only the best so many boxes; the first n of them are the best n.
    min_box_nm, max_box_nm : float, optional
        Smallest and largest side; both need `pixel_size_nm`.
    pixel_size_nm : float, optional
    max_box_percent : int
        Largest box, in percent of the particle's shorter side, unless `min_box_nm` is more.
    purity : float
        Share of a box that must lie in its region; half of it saves about a fifth of the boxes.
    particles : "all", "largest" or "middle"
        Which are boxed; "middle" is the one nearest to the middle of the frame.
    margin_px : int
        Parent pixels added all round each particle, for drift.

    Raises
    ------
    ValueError
        If a wish is out of range, contradicts another, or lacks the pixel size.
    """

    max_boxes: int | None = None
    min_box_nm: float | None = None
    max_box_nm: float | None = None
    pixel_size_nm: float | None = None
    max_box_percent: int = 16
    purity: float = 0.99
    particles: Which = "all"
    margin_px: int = 0

    def __post_init__(self) -> None:
        if self.max_boxes is not None:
            check_range("max_boxes", self.max_boxes, 1, 1_000_000)
        if self.pixel_size_nm is not None:
            check_range("pixel_size_nm", self.pixel_size_nm, 1e-6, 1e6)
        for name in ("min_box_nm", "max_box_nm"):
            side = getattr(self, name)
            if side is None:
                continue
            check_range(name, side, 1e-6, 1e9)
            if self.pixel_size_nm is None:
                raise ValueError(f"{name}: came {side} without pixel_size_nm; expected both")
        if (self.min_box_nm or 0.0) > (self.max_box_nm or float("inf")):
            raise ValueError(
                f"min_box_nm: came {self.min_box_nm} with max_box_nm {self.max_box_nm}; "
                "expected min_box_nm <= max_box_nm"
            )
        check_range("max_box_percent", self.max_box_percent, 1, 100)
        check_range("purity", self.purity, 0.5, 1)
        if self.particles not in ("all", "largest", "middle"):
            raise ValueError(
                f"particles: came {self.particles!r}; expected 'all', 'largest' or 'middle'"
            )
        check_range("margin_px", self.margin_px, 0, 100_000)
        for name in ("max_boxes", "max_box_percent", "margin_px"):
            whole = getattr(self, name)
            if whole is not None and whole != int(whole):
                raise ValueError(f"{name}: came {whole!r}; expected a whole number")

    def sides_px(self) -> tuple[float, float]:
        """Smallest and largest side in parent pixels; 0 and infinity where nothing was asked."""
        scale = self.pixel_size_nm or 1.0
        low, high = self.min_box_nm, self.max_box_nm
        return (
            0.0 if low is None else _nearly_whole(low / scale),
            float("inf") if high is None else _nearly_whole(high / scale),
        )


def _nearly_whole(pixels: float) -> float:
    """Round what is a whole number but for the division: 1.2 nm at 0.1 nm are 12 pixels."""
    return round(pixels) if abs(pixels - round(pixels)) < 1e-6 * pixels else pixels
