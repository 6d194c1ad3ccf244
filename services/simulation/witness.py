"""What the simulated instrument itself says of an acquisition, beside what was asked of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from services.controllers.controller import Box
from services.controllers.doses import doses
from services.controllers.points import expand

Boxes = NDArray[np.int32]


class Witness(Struct, frozen=True, kw_only=True):
    """What was found on the instrument's side."""

    acquired: int
    """Boxes of which there are data."""
    max_abs_error: float
    """Nion: of a sub-scan from the parent's crop, in its own unit. Direct Electron: of the map of
    positions that were touched (1) from those asked for."""
    positions_checked: int
    """Boxes that a camera which writes down the probe's position went along on."""
    max_position_error_px: float
    """Of those positions, once the simulator's own offset of one column is taken off."""
    frames_lost: int
    """Frames that this camera did not deliver."""
    twice: int
    """Boxes or positions that got more than one dose."""
    missing: int
    """Boxes or positions that were asked for, and got none."""
    strangers: int
    """Doses that nobody asked for."""
    points: int
    """Positions of the probe in all of them."""
    full_grid_points: int
    """Positions of a scan of the whole parent on the same grid."""


def nion_witness(out: Path, survey: NDArray[Any], boxes: Boxes, folder: Path) -> Witness:
    """Compare the files of an acquisition, and the specimen's record of its dose, with the boxes.

    Parameters
    ----------
    out
        Folder of the controller, with `dose.jsonl`.
    survey
        The parent image, (height, width).
    boxes
        (N, 3) int32: x, y, size; row i is box_id i.
    folder
        Of the parent's files, `BOX_ID.npz`.
    """
    error, position_error, acquired, checked, lost = 0.0, 0.0, 0, 0, 0
    for box_id, (x, y, size) in enumerate(boxes.tolist()):
        path = folder / f"{box_id:06d}.npz"
        if not path.exists():
            continue
        with np.load(path, allow_pickle=False) as found:
            crop = survey[y : y + size, x : x + size].astype(np.float64)
            error = max(error, float(np.abs(found["image"] - crop).max()))
            if "frames" in found:
                frames = found["frames"]
                checked += 1
                lost += int((frames[..., 0, 2] == 0).sum())
                position_error = max(position_error, _position_error(frames, x, y, size))
        acquired += 1
    wanted = Counter(map(tuple, boxes.tolist()))
    given = Counter(doses(out / "dose.jsonl"))
    return Witness(
        acquired=acquired,
        max_abs_error=error,
        positions_checked=checked,
        max_position_error_px=position_error,
        frames_lost=lost,
        twice=(given - wanted).total() - sum(n for box, n in given.items() if box not in wanted),
        missing=(wanted - given).total(),
        strangers=sum(n for box, n in given.items() if box not in wanted),
        points=sum(size**2 * n for (_, _, size), n in given.items()),
        full_grid_points=survey.size,
    )


def point_witness(out: Path, survey: NDArray[Any], boxes: Boxes, per_edge: int) -> Witness:
    """Compare the positions that the camera's map says were touched with those of the boxes.

    `out` has a file a scan, with its `image`: above 0 where the beam was.
    """
    squares = [Box(i, x, y, size, region=1) for i, (x, y, size) in enumerate(boxes.tolist())]
    points = expand(squares, per_edge)
    asked = np.zeros(survey.shape, np.int64)
    asked[points.rows, points.columns] = 1
    touched = np.zeros(survey.shape, np.int64)
    found: set[int] = set()
    for path in sorted(out.glob("*.npz")):
        with np.load(path, allow_pickle=False) as scan:
            touched += scan["image"] > 0
            found.update(scan["box_id"].tolist())
    return Witness(
        acquired=len(found),
        max_abs_error=float(np.abs(touched - asked).max()),
        positions_checked=0,
        max_position_error_px=0.0,
        frames_lost=0,
        twice=int((touched > 1).sum()),
        missing=int(((asked > 0) & (touched == 0)).sum()),
        strangers=int(((asked == 0) & (touched > 0)).sum()),
        points=int(touched.sum()),
        full_grid_points=survey.size,
    )


def _position_error(frames: NDArray[Any], x: int, y: int, size: int) -> float:
    """Return how far the probe was from where the box says, in pixels.

    In a scan in step with a camera the simulator counts one column ahead, and stays on the last.
    """
    steps = np.arange(size)
    down = np.abs(frames[..., 0, 0] - (y + steps)[:, None])
    across = np.abs(frames[..., 0, 1] - (x + np.minimum(steps + 1, size - 1))[None, :])
    return float((np.maximum(down, across) * (frames[..., 0, 2] > 0)).max())
