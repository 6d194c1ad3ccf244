"""In which order the boxes of a batch are acquired, and how far the beam travels.

`raster` is the order in which the method boxed them. `serpentine` goes along bands as high as the
largest box, to the right and back in turns. `nearest` goes from the first box always to the nearest
that is left. None is promised to be the shortest: the record says how long each is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.scanning import Order


def acquisition_order(boxes: NDArray[np.int32], order: Order) -> NDArray[np.int32]:
    """Return the places of boxes in the order of acquisition.

    Parameters
    ----------
    boxes
        (N, 3): x, y, size in parent pixels, x right, y down, upper-left corner.
    order
        `raster`, `serpentine` or `nearest`.

    Returns
    -------
    (N,) int32: a permutation of 0 to N - 1; the same for the same boxes.
    """
    if order == "raster" or len(boxes) < 3:
        return np.arange(len(boxes), dtype=np.int32)
    return (_serpentine if order == "serpentine" else _nearest)(boxes)


def travel_px(boxes: NDArray[np.int32]) -> float:
    """Return the way from centre to centre of boxes (N, 3) in their order, in parent pixels."""
    return float(np.hypot(*np.diff(_centres(boxes), axis=0).T).sum())


def _centres(boxes: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return (N, 2): x, y of the centres, in pixels from the parent's upper-left corner."""
    return boxes[:, :2] + boxes[:, 2:] / 2


def _serpentine(boxes: NDArray[np.int32]) -> NDArray[np.int32]:
    x, y = _centres(boxes).T
    band = ((y - boxes[:, 1].min()) // max(1, int(boxes[:, 2].max()))).astype(np.int64)
    bands = np.unique(band, return_inverse=True)[1]  # one without boxes does not turn the way
    return np.lexsort((y, np.where(bands % 2, -x, x), bands)).astype(np.int32)


def _nearest(boxes: NDArray[np.int32]) -> NDArray[np.int32]:
    x, y = _centres(boxes).T.copy()
    left = np.arange(len(boxes), dtype=np.int32)
    order = np.empty(len(boxes), np.int32)
    at = 0
    for place in range(len(boxes)):
        order[place] = left[at]
        from_x, from_y = x[at], y[at]
        # What is left stays in the order of the method, of which the first wins a tie.
        left, x, y = (np.delete(column, at) for column in (left, x, y))
        if len(left):
            at = int(np.argmin((x - from_x) ** 2 + (y - from_y) ** 2))
    return order
