"""The quality gate's judgement: can the published method use this picture, and if not, why not.

The method boxes whatever is in a picture: on noise it would send the microscope to noise. The
gate therefore asks for one thing, a body that stands out of its surroundings, and refuses what
does not show it. A refusal costs a picture, an invented location costs time on the microscope.
Thresholds and what they were measured on: docs/decisions/0005-what-the-gate-refuses.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from .grid import Grid
from .quality_measures import measure
from .quality_model import QualityModel
from .quality_params import QualityParams
from .quality_rules import refusal, refusals
from .scale import Scaling

__all__ = ["Quality", "QualityModel", "QualityParams", "assess", "too_small"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """The judgement on one picture.

    Parameters
    ----------
    passed : bool
    reason : str or None
        Of a refusal: `code: what was measured and what was expected`.
    measures : dict
        What was measured (`pipeline.quality_measures.measure`); empty where the parent is too
        small to be measured, with ``usable`` where a model was asked.
    """

    passed: bool
    reason: str | None
    measures: dict[str, float]


def too_small(height: int, width: int, params: QualityParams | None = None) -> str | None:
    """Say why a parent of `height` x `width` pixels has no room for a particle, or None."""
    params = params or QualityParams()
    if not params.check_too_small or min(height, width) >= params.min_parent_side:
        return None
    return refusal(
        "too small",
        f"the image is {width} x {height} px; "
        f"expected at least {params.min_parent_side} px per side",
    )


def assess(
    grid_image: NDArray[np.uint8],
    grid: Grid,
    scaling: Scaling,
    params: QualityParams | None = None,
    model: QualityModel | None = None,
) -> Quality:
    """Judge whether the published method can use a picture.

    Parameters
    ----------
    grid_image : ndarray, uint8, (grid.rows, grid.columns)
        The parent on the method's grid.
    grid : Grid
    scaling : Scaling
        How the parent's intensities became 8 bit.
    params : QualityParams, optional
    model : QualityModel, optional
        Asked last, about pictures that the rules let pass.

    Returns
    -------
    Quality

    Raises
    ------
    ValueError
        If `grid_image` is not uint8 of the grid's shape, or the model's answer is no probability.
    """
    params = params or QualityParams()
    if grid_image.shape != grid.shape or grid_image.dtype != np.uint8:
        raise ValueError(
            f"grid_image: came {grid_image.dtype} of shape {grid_image.shape}; "
            f"expected uint8 of the grid's {grid.shape}"
        )
    reason = too_small(grid.parent_height, grid.parent_width, params)
    if reason is not None:
        return Quality(passed=False, reason=reason, measures={})
    measures = measure(grid_image, scaling.saturated_fraction)
    reason = next(refusals(measures, params), None)
    if reason is None and model is not None:
        probability = _ask(model, measures, grid_image)
        measures["usable"] = probability
        if probability < params.min_probability:
            reason = refusal(
                "model",
                f"the trained model gives the picture a probability of {probability:.2f} to be "
                f"usable; expected at least {params.min_probability:.2f}",
            )
    return Quality(passed=reason is None, reason=reason, measures=measures)


def _ask(model: QualityModel, measures: dict[str, float], grid_image: NDArray[np.uint8]) -> float:
    probability = float(model.usable(measures, grid_image))
    if not (isfinite(probability) and 0.0 <= probability <= 1.0):
        raise ValueError(f"model: came {probability}; expected a probability from 0 to 1")
    return probability
