"""A specimen for the simulated Nion microscope."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def specimen_of(folder: Path, side: int) -> Path:
    """Write noise of `side` x `side` pixels as an image that the simulator takes; its path."""
    path = folder / "specimen.npy"
    np.save(path, np.random.default_rng(1).random((side, side), np.float32))
    return path
