"""The images that go through the chain, offered or from files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.emulation import emulate
from services.files_run import FilesRun, accept_files
from services.runtime.places import Places

SEED = 2025
PICTURES = 16
SMALL, LARGE = 128, 1024
"""Sides in pixels, 8 bit: 16 KiB and 1 MiB a frame."""


def accepted_files(folder: Path, images: list[NDArray[Any]], frames: int) -> Places:
    """Write files, and a ledger that holds them, into `folder`."""
    files = folder / "files"
    files.mkdir()
    for number in range(frames):
        path = files / f"{number:05d}.npy"
        if number < len(images):
            np.save(path, images[number])
        else:  # another name for the same bytes: a frame of its own, without filling the disk
            os.link(files / f"{number % len(images):05d}.npy", path)
    places = Places(folder / "out")
    places.make()
    accept_files(FilesRun(paths=[files], out=places.out, n_elements=3), places)
    return places


def pictures(side: int) -> list[NDArray[Any]]:
    """Emulate 8-bit images of one size."""
    return [emulate(n, SEED, size=side, bit_depth=8).image for n in range(PICTURES)]
