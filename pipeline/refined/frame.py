"""The frame as a whole, in cells, as the gate judges it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.grid import CELLS, Grid
from pipeline.quality import Quality, QualityParams, assess
from pipeline.quality_model import QualityModel
from pipeline.scale import Scaling, find_scaling

from .lattice import Levels, Numbers, cell_means
from .ranks import ends

HOLE = 0.0005
"""Share of cells beyond which levels are clipped, at either end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The frame in cells.

    Parameters
    ----------
    cells : ndarray, float32, (rows, columns)
        Gray levels 0..255.
    pitch : int
        Parent pixels a side.
    scaling : Scaling
        From intensities to gray levels.
    quality : Quality
    """

    cells: Levels
    pitch: int
    scaling: Scaling
    quality: Quality


def see(
    image: NDArray[Any], params: QualityParams | None = None, model: QualityModel | None = None
) -> Frame:
    """Look at a frame as a whole: cells, their scaling, and the gate's judgement.

    Hot pixels are left out before the scaling is found, not after.
    """
    height, width = image.shape
    # never wider than the frame, however narrow that is
    pitch = min(-(-max(height, width) // CELLS), height, width)
    rows, columns = height // pitch, width // pitch
    means = cell_means(image, (0, 0), (rows, columns), pitch)
    scaling = find_scaling(image)
    if scaling.method != "8-bit as is":
        finite = means[np.isfinite(means)] if image.dtype.kind == "f" else means.reshape(-1)
        low, high = ends(finite, HOLE) if finite.size else (0.0, 0.0)
        scaling = Scaling(
            low=low,
            high=high,
            method=scaling.method,
            saturated_fraction=scaling.saturated_fraction,
            sampled=scaling.sampled,
            invalid=scaling.invalid,
        )
    cells = to_grey(means, scaling)
    grid = Grid(
        rows=rows, columns=columns, parent_height=rows * pitch, parent_width=columns * pitch
    )
    quality = assess(cells.astype(np.uint8), grid, scaling, params, model)
    return Frame(cells=cells, pitch=pitch, scaling=scaling, quality=quality)


def to_grey(means: Levels | Numbers, scaling: Scaling) -> Levels:
    """Bring cells to 0..255; a cell without a finite pixel becomes 0."""
    span = scaling.high - scaling.low
    factor = 255.0 / span if span > 0.0 else 0.0
    grey = np.empty(means.shape, np.float32)
    # in the precision of the means: what lies far from 0 loses its differences in single precision
    exact = means.dtype.type
    _stretch(means.reshape(-1), exact(scaling.low), exact(factor), grey.reshape(-1))
    return grey


@compiled
def _stretch(means: NDArray[Any], low: Any, factor: Any, grey: Levels) -> None:  # noqa: ANN401
    for at in range(means.shape[0]):
        # NaN comes second: it is not above 0
        level = max(np.float32(0.0), (means[at] - low) * factor)
        grey[at] = np.float32(min(level, np.float32(255.0)))
