"""Tables of scan positions: a line `x,y` a point, whole numbers, without a header.

For Quantum Detectors' scan engine (a `.xy` file, which `pyscanengine` turns into a table scan) and
for Direct Electron's FreeScan (`set_xy_array`, which takes the numbers as an N x 2 array of int32
and the size of their grid). Positions count from the upper-left one, x right, y down. Sources:
pyscanengine's public source, which does not say the order within a pair (x first is taken here, as
FreeScan has it); deapi 5.3.1, `client.py`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.controllers.points import Points

from .parent import Parent, middles, on_grid

SUFFIX = ".xy"


def write(parent: Parent, points: Points, *, rows: int, columns: int) -> bytes:
    """Return the lines, one for each point, on a scan of `rows` x `columns` positions.

    Raises
    ------
    Unrepresentable
        If two points fall on the same position: it would be scanned twice.
    """
    positions = on_grid(points, parent, rows=rows, columns=columns)
    return "".join(f"{x},{y}\n" for x, y in positions.tolist()).encode()


def read(parent: Parent, text: bytes, *, rows: int, columns: int) -> NDArray[np.float64]:
    """Return the middles of the positions that `write` wrote, (M, 2): x, y in parent pixels."""
    lines = [line.split(",") for line in text.decode().splitlines()]
    positions = np.array(lines, dtype=np.int64).reshape(-1, 2)
    return middles(positions, parent, rows=rows, columns=columns)
