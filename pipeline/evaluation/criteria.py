"""The three criteria by which the method's authors judge an image by eye, made objective.

Day et al., Sci. Rep. 15, 17180 (2025): the bounding box encloses the particle, areas that differ
are separated, boxes reflect the regions of interest. Coordinates: x right, y down, parent pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.checks import check_range


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """Where good ends.

    Parameters
    ----------
    tolerance : float
        How far a particle may stick out of the bounding box, as a share of the picture's longer
        side: about one cell of the method's 128.
    min_coverage : float
        Share of the particle's area that is in boxes.
    max_outside : float
        Share of the boxes' area that is outside all particles.
    min_purity : float
        Share of the boxes' area that belongs to the commonest phase of its box; what is outside
        all particles counts as one more phase.
    """

    tolerance: float = 1 / 128
    min_coverage: float = 0.95
    max_outside: float = 0.10
    min_purity: float = 0.90

    def __post_init__(self) -> None:
        check_range("tolerance", self.tolerance, 0, 1)
        check_range("min_coverage", self.min_coverage, 0, 1)
        check_range("max_outside", self.max_outside, 0, 1)
        check_range("min_purity", self.min_purity, 0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was measured of one image, and whether it is good.

    Parameters
    ----------
    good : bool
        All three criteria; where nothing is to be found, that nothing was boxed.
    enclosed, covered, pure : bool
        The criteria one by one.
    n_boxes : int
    coverage, outside, purity : float
        0..1. Without boxes 0, 0 and 1.
    sticks_out : float
        Pixels that the particle reaches beyond the bounding box at most; 0 if it is enclosed.
    to_refuse : bool
        Whether nothing is to be found.
    """

    good: bool
    enclosed: bool
    covered: bool
    pure: bool
    n_boxes: int
    coverage: float
    outside: float
    purity: float
    sticks_out: float
    to_refuse: bool


def judge(
    truth: NDArray[np.integer],
    boxes: NDArray[np.integer],
    bounding_box: tuple[int, int, int, int] | None,
    *,
    refuse: bool = False,
    criteria: Criteria | None = None,
) -> Verdict:
    """Measure boxes against the truth.

    Parameters
    ----------
    truth : ndarray, integer, (height, width)
        0 background, other numbers the phases.
    boxes : ndarray, integer, (N, 3)
        x, y, size; may overlap each other, and reach out of the picture.
    bounding_box : (x0, y0, x1, y1) or None
        Half-open; around all particles.
    refuse : bool
        Whether the right answer is no box; also without a particle in the truth.
    criteria : Criteria, optional

    Returns
    -------
    Verdict
    """
    criteria = criteria or Criteria()
    to_refuse = refuse or not truth.any()
    coverage, outside, purity = _areas(truth, boxes)
    sticks_out = _sticks_out(truth, bounding_box)
    enclosed = sticks_out <= criteria.tolerance * max(truth.shape)
    covered = coverage >= criteria.min_coverage and outside <= criteria.max_outside
    pure = purity >= criteria.min_purity
    good = len(boxes) == 0 if to_refuse else enclosed and covered and pure
    return Verdict(
        good=good,
        enclosed=enclosed,
        covered=covered,
        pure=pure,
        n_boxes=len(boxes),
        coverage=coverage,
        outside=outside,
        purity=purity,
        sticks_out=sticks_out,
        to_refuse=to_refuse,
    )


def _areas(truth: NDArray[np.integer], boxes: NDArray[np.integer]) -> tuple[float, float, float]:
    """Return coverage, outside and purity."""
    boxed = np.zeros(truth.shape, dtype=bool)
    area = outside = common = 0
    for x, y, size in boxes.tolist():
        here = (slice(max(y, 0), max(y + size, 0)), slice(max(x, 0), max(x + size, 0)))
        boxed[here] = True
        phases = np.bincount(truth[here].ravel(), minlength=1)
        inside = int(phases.sum())
        phases[0] += size * size - inside  # beyond the picture there is no particle
        area += size * size
        outside += int(phases[0])
        common += int(phases.max())
    particle = truth > 0
    coverage = int(np.count_nonzero(boxed & particle)) / max(int(np.count_nonzero(particle)), 1)
    return float(coverage), outside / max(area, 1), common / area if area else 1.0


def _sticks_out(
    truth: NDArray[np.integer], bounding_box: tuple[int, int, int, int] | None
) -> float:
    x, y, width, height = cv2.boundingRect((truth > 0).astype(np.uint8))
    if width == 0:
        return 0.0
    if bounding_box is None:
        return float(max(width, height))
    x0, y0, x1, y1 = bounding_box
    return float(max(x0 - x, y0 - y, x + width - x1, y + height - y1, 0))
