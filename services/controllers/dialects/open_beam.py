"""Open Beam Interface: a line `x,y,dwell` a point, without a header.

Codes of the converters, 0 to 16383 over the frame, from its upper-left corner, x right, y down;
dwell in units of 125 ns. Source: nanographs/Open-Beam-Interface at 0f6e62c, `coordinate_system.md`
and `examples/vector_csv_acquisition.py`; the instrument is not here to try it on.
"""

from __future__ import annotations

from math import isfinite

import numpy as np
from numpy.typing import NDArray

from services.controllers.points import Points

from .parent import Parent, Unrepresentable, middles, on_grid

SUFFIX = ".obi.csv"
CODES = 16384
DWELL_UNIT_US = 0.125
LONGEST_DWELL = 65535
"""The dwell goes to the instrument as a 16-bit number."""


def write(parent: Parent, points: Points, *, dwell_us: float) -> bytes:
    """Return the lines, one for each point.

    Raises
    ------
    Unrepresentable
        If the dwell time is no number of units that the instrument takes, or two points get the
        same codes.
    """
    units = dwell_us / DWELL_UNIT_US
    if not (isfinite(units) and 1 <= units <= LONGEST_DWELL and units.is_integer()):
        raise Unrepresentable(
            f"a dwell of {dwell_us} us; it goes in steps of {DWELL_UNIT_US} us up to "
            f"{LONGEST_DWELL * DWELL_UNIT_US} us"
        )
    dwell = int(units)
    codes = on_grid(points, parent, rows=CODES, columns=CODES)
    return "".join(f"{x},{y},{dwell}\n" for x, y in codes.tolist()).encode()


def read(parent: Parent, text: bytes) -> NDArray[np.float64]:
    """Return the points whose codes `write` wrote, (M, 2): x, y, to half a code."""
    lines = [line.split(",") for line in text.decode().splitlines()]
    codes = np.array([(int(x), int(y)) for x, y, _dwell in lines], dtype=np.int64).reshape(-1, 2)
    return middles(codes, parent, rows=CODES, columns=CODES)
