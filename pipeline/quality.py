"""The quality gate's judgement: can the published method use this picture, and if not, why not.

The method boxes whatever is in a picture: on noise it would send the microscope to noise. The
gate therefore asks for one thing, a body that stands out of its surroundings, and refuses what
does not show it. A refusal costs a picture, an invented location costs time on the microscope.
Thresholds and what they were measured on: docs/decisions/0005-what-the-gate-refuses.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .checks import check_range
from .grid import Grid
from .image import MIN_SIDE
from .quality_measures import measure
from .quality_model import QualityModel
from .scale import Scaling

Code = Literal["empty", "no particle", "wrong polarity", "saturated", "too small", "model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityParams:
    """Which rules apply, and where each one draws the line.

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
        ("no particle"): noise, film and slopes reach 3.
    min_thickness : float
        Largest square within one part, as a share of the shorter side ("no particle"): the cells
        of a lattice stay below.
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
    min_edge: float = 4.0
    min_thickness: float = 0.2
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
        check_range("max_mixed_border", self.max_mixed_border, 0, 0.5)
        check_range("max_bright_border", self.max_bright_border, 0, 1)
        check_range("max_clipped", self.max_clipped, 0, 1)
        check_range("min_cells", self.min_cells, 0, 16_384)
        check_range("min_probability", self.min_probability, 0, 1)


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
    return _reason(
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
    reason = next(_refusals(measures, params), None)
    if reason is None and model is not None:
        probability = _ask(model, measures, grid_image)
        measures["usable"] = probability
        if probability < params.min_probability:
            reason = _reason(
                "model",
                f"the trained model gives the picture a probability of {probability:.2f} to be "
                f"usable; expected at least {params.min_probability:.2f}",
            )
    return Quality(passed=reason is None, reason=reason, measures=measures)


def _refusals(measures: dict[str, float], params: QualityParams) -> Iterator[str]:
    """Yield the reasons against a picture, the most telling one first.

    The order matters: what has no contrast has no polarity either, and a bright-field picture's
    white background is not a saturated particle.
    """
    rules: tuple[tuple[bool, Callable[[dict[str, float], QualityParams], str | None]], ...] = (
        (params.check_empty, _empty),
        (params.check_no_particle, _no_particle),
        (params.check_wrong_polarity, _wrong_polarity),
        (params.check_saturated, _saturated),
        (params.check_too_small, _few_cells),
    )
    for applies, rule in rules:
        reason = rule(measures, params) if applies else None
        if reason is not None:
            yield reason


def _empty(measures: dict[str, float], params: QualityParams) -> str | None:
    contrast = measures["contrast"]
    if contrast >= params.min_contrast:
        return None
    return _reason(
        "empty",
        f"bright and dark parts differ by {contrast:.1f} of 255 gray levels; "
        f"expected at least {params.min_contrast:.1f}",
    )


def _no_particle(measures: dict[str, float], params: QualityParams) -> str | None:
    edge, thickness = measures["edge_to_texture"], measures["thickness"]
    mixed = min(measures["bright_border"], 1.0 - measures["bright_border"])
    if edge < params.min_edge:
        return _reason(
            "no particle",
            f"the step between bright and dark parts is {edge:.1f} times that between other "
            f"neighbouring areas, as in noise or lattices; expected at least {params.min_edge:.1f}",
        )
    if thickness < params.min_thickness:
        return _reason(
            "no particle",
            f"bright and dark alternate everywhere: the largest even square has {thickness:.2f} "
            f"of the picture's side; expected at least {params.min_thickness:.2f}",
        )
    if mixed > params.max_mixed_border:
        return _reason(
            "no particle",
            f"nothing is surrounded: {measures['bright_border']:.0%} of the border is bright, the "
            f"rest dark; expected at most {params.max_mixed_border:.0%} of it on either side",
        )
    return None


def _wrong_polarity(measures: dict[str, float], params: QualityParams) -> str | None:
    bright = measures["bright_border"]
    if bright <= params.max_bright_border:
        return None
    return _reason(
        "wrong polarity",
        f"{bright:.0%} of the picture's border is bright, as in bright field or where a particle "
        f"is larger than the picture; expected at most {params.max_bright_border:.0%}",
    )


def _saturated(measures: dict[str, float], params: QualityParams) -> str | None:
    clipped = measures["clipped_body"]
    if clipped <= params.max_clipped:
        return None
    return _reason(
        "saturated",
        f"{clipped:.0%} of the bright part is cut off at the picture's maximum; "
        f"expected at most {params.max_clipped:.0%}",
    )


def _few_cells(measures: dict[str, float], params: QualityParams) -> str | None:
    cells = measures["body_cells"]
    if cells >= params.min_cells:
        return None
    return _reason(
        "too small",
        f"the particle covers {cells:.0f} cells of the grid; expected at least {params.min_cells}",
    )


def _ask(model: QualityModel, measures: dict[str, float], grid_image: NDArray[np.uint8]) -> float:
    probability = float(model.usable(measures, grid_image))
    if not (isfinite(probability) and 0.0 <= probability <= 1.0):
        raise ValueError(f"model: came {probability}; expected a probability from 0 to 1")
    return probability


def _reason(code: Code, sentence: str) -> str:
    return f"{code}: {sentence}"
