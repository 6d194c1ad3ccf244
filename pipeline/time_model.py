"""What the boxes save: the paper's time model.

Source: Day et al., Sci. Rep. 15, 17180 (2025), Eq. (2).
"""

from __future__ import annotations

from math import inf

from .checks import check_range

GRID_POINTS = 128 * 128
"""Child images if the whole 128 x 128 grid were scanned, the paper's comparison."""


def reduction(n_boxes: int) -> float:
    """How many times fewer child images than points of the full grid; infinite for no box."""
    check_range("n_boxes", n_boxes, 0, inf)
    return GRID_POINTS / n_boxes if n_boxes else inf


def total_time(n_boxes: int, full_scan_s: float, segmentation_s: float) -> float:
    """Time to segment a parent image and scan its boxes, Eq. (2).

    Parameters
    ----------
    n_boxes : int
    full_scan_s : float
        s_b, the time that scanning all 16,384 grid points would take, seconds.
    segmentation_s : float
        t_seg, the time from parent image to boxes, seconds.

    Returns
    -------
    float
        Seconds.
    """
    check_range("n_boxes", n_boxes, 0, inf)
    check_range("full_scan_s", full_scan_s, 0, inf)
    check_range("segmentation_s", segmentation_s, 0, inf)
    return segmentation_s + n_boxes * full_scan_s / GRID_POINTS
