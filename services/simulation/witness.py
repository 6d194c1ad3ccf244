"""What the simulated instrument itself says of an acquisition, beside what was asked of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from services.controllers.doses import doses

from .scans import SCANS, touched

Boxes = NDArray[np.int32]


class Witness(Struct, frozen=True, kw_only=True):
    """What was found on the instrument's side."""

    acquired: int
    """Boxes of which there are data."""
    max_abs_error: float
    """Nion: of a sub-scan from the parent's crop, in its own unit. Direct Electron: 1 if positions
    were scanned other than asked for."""
    positions_checked: int
    """Nion: boxes that a camera which writes down the probe's position went along on. Direct
    Electron: positions in the camera's record."""
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
            error = max(error, _difference(found["image"], survey[y : y + size, x : x + size]))
            if "frames" in found:
                frames = found["frames"]
                checked += 1
                lost += int((frames[..., 0, 2] == 0).sum())
                position_error = max(position_error, _position_error(frames, x, y, size))
        acquired += 1
    wanted = Counter(map(tuple, boxes.tolist()))
    given = Counter(dose[:3] for dose in doses(out / "dose.jsonl"))
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


def point_witness(microscope: Path, survey: NDArray[Any], boxes: Boxes) -> Witness:
    """Compare the positions that the camera says it scanned with the centres of the boxes.

    The scans are the camera's own record, written when each begins; a centre is the position in
    the middle of its box, right and below of it if the size is even.

    Parameters
    ----------
    microscope
        Folder with the camera's `scans.jsonl`, and the controller's `acquired`.
    survey
        The parent image, (height, width).
    boxes
        (N, 3) int32: x, y, size; row i is box_id i.
    """
    asked = Counter((x + size // 2, y + size // 2) for x, y, size in boxes.tolist())
    given = touched(microscope / SCANS)
    found: set[int] = set()
    for path in sorted((microscope / "acquired").rglob("*.npz")):
        with np.load(path, allow_pickle=False) as scan:
            found.update(scan["box_id"].tolist())
    strangers = {point: n for point, n in given.items() if point not in asked}
    return Witness(
        acquired=len(found),
        max_abs_error=float(bool(asked - given or given - asked)),
        positions_checked=given.total(),
        max_position_error_px=0.0,
        frames_lost=0,
        twice=(given - asked).total() - sum(strangers.values()),
        missing=(asked - given).total(),
        strangers=sum(strangers.values()),
        points=given.total(),
        full_grid_points=survey.size,
    )


def _difference(seen: NDArray[Any], wanted: NDArray[Any]) -> float:
    """Return the largest difference; infinite if shapes differ, or one is no number alone."""
    if seen.shape != wanted.shape:
        return float("inf")
    if np.array_equal(seen, wanted, equal_nan=True):
        return 0.0
    apart = np.abs(seen.astype(np.float64) - wanted)
    return float(np.nan_to_num(apart, nan=np.inf).max())


def _position_error(frames: NDArray[Any], x: int, y: int, size: int) -> float:
    """Return how far the probe was from where the box says, in pixels.

    In a scan in step with a camera the simulator counts one column ahead, and stays on the last.
    """
    steps = np.arange(size)
    down = np.abs(frames[..., 0, 0] - (y + steps)[:, None])
    across = np.abs(frames[..., 0, 1] - (x + np.minimum(steps + 1, size - 1))[None, :])
    apart = np.where(frames[..., 0, 2] > 0, np.maximum(down, across), 0.0)
    return float(np.nan_to_num(apart, nan=np.inf).max())
