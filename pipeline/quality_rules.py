"""The gate's rules: each looks at the measures and says why a picture is refused, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from .quality_params import QualityParams

Code = Literal["empty", "no particle", "wrong polarity", "saturated", "too small", "model"]
Measures = Mapping[str, float]
Rule = Callable[[Measures, QualityParams], str | None]


def refusals(measures: Measures, params: QualityParams) -> Iterator[str]:
    """Yield the reasons against a picture, the most telling one first.

    The order matters: what has no contrast has no polarity either, a bright-field picture's
    white background is not a saturated particle, and what is tiny is a speck.

    Parameters
    ----------
    measures : mapping
        From `pipeline.quality_measures.measure`.
    params : QualityParams

    Yields
    ------
    str
        `code: what was measured and what was expected`.
    """
    rules: tuple[tuple[bool, Rule], ...] = (
        (params.check_empty, _empty),
        (params.check_no_particle, _no_body),
        (params.check_wrong_polarity, _wrong_polarity),
        (params.check_saturated, _saturated),
        (params.check_too_small, _few_cells),
        (params.check_no_particle, _specks),
    )
    for applies, rule in rules:
        reason = rule(measures, params) if applies else None
        if reason is not None:
            yield reason


def refusal(code: Code, sentence: str) -> str:
    """Word a refusal the way all of them are worded."""
    return f"{code}: {sentence}"


def _empty(measures: Measures, params: QualityParams) -> str | None:
    contrast = measures["contrast"]
    if contrast >= params.min_contrast:
        return None
    return refusal(
        "empty",
        f"bright and dark parts differ by {contrast:.1f} of 255 gray levels; "
        f"expected at least {params.min_contrast:.1f}",
    )


def _no_body(measures: Measures, params: QualityParams) -> str | None:
    edge, thickness = measures["edge_to_texture"], measures["thickness"]
    mixed = min(measures["bright_border"], 1.0 - measures["bright_border"])
    if edge < params.min_edge:
        return refusal(
            "no particle",
            f"the step between bright and dark parts is {edge:.1f} times that between other "
            f"neighbouring areas, as in noise or lattices; expected at least {params.min_edge:.1f}",
        )
    if thickness < params.min_thickness:
        return refusal(
            "no particle",
            f"bright and dark alternate everywhere: the largest even square has {thickness:.2f} "
            f"of the picture's side; expected at least {params.min_thickness:.2f}",
        )
    if mixed > params.max_mixed_border:
        return refusal(
            "no particle",
            f"nothing is surrounded: {measures['bright_border']:.0%} of the border is bright, the "
            f"rest dark; expected at most {params.max_mixed_border:.0%} of it on either side",
        )
    return None


def _wrong_polarity(measures: Measures, params: QualityParams) -> str | None:
    bright = measures["bright_border"]
    if bright <= params.max_bright_border:
        return None
    return refusal(
        "wrong polarity",
        f"{bright:.0%} of the picture's border is bright, as in bright field or where a particle "
        f"is larger than the picture; expected at most {params.max_bright_border:.0%}",
    )


def _saturated(measures: Measures, params: QualityParams) -> str | None:
    clipped = measures["clipped_body"]
    if clipped <= params.max_clipped:
        return None
    return refusal(
        "saturated",
        f"{clipped:.0%} of the bright part is cut off at the picture's maximum; "
        f"expected at most {params.max_clipped:.0%}",
    )


def _few_cells(measures: Measures, params: QualityParams) -> str | None:
    cells = measures["body_cells"]
    if cells >= params.min_cells:
        return None
    return refusal(
        "too small",
        f"the particle covers {cells:.0f} cells of the grid; expected at least {params.min_cells}",
    )


def _specks(measures: Measures, params: QualityParams) -> str | None:
    filled = measures["body_filled"]
    if filled >= params.min_filled:
        return None
    return refusal(
        "no particle",
        f"bright specks but no body: {filled:.0%} of the cells of the largest bright area are "
        f"bright themselves; expected at least {params.min_filled:.0%}",
    )
