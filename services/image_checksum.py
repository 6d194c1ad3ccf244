"""Tells a repeated offer from another image under its number, at a cost that nobody notices."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCKS, BLOCK_BYTES = 32, 1024
"""Of an image so many, evenly spread from its first byte to its last. Camera images differ in the
noise of almost every pixel; all of 1 MiB would cost ten times the 0.03 ms of this."""


def checksum_of(image: NDArray[Any]) -> int:
    """Return a CRC-32 of an image's shape, dtype and part of its pixels; of small ones, of all.

    Parameters
    ----------
    image
        Contiguous, any shape and dtype.
    """
    raw = image.reshape(-1).view(np.uint8).data
    crc = zlib.crc32(f"{image.shape} {image.dtype.str}".encode())
    if raw.nbytes <= BLOCKS * BLOCK_BYTES:
        return zlib.crc32(raw, crc)
    last = raw.nbytes - BLOCK_BYTES
    for block in range(BLOCKS):
        begin = last * block // (BLOCKS - 1)
        crc = zlib.crc32(raw[begin : begin + BLOCK_BYTES], crc)
    return crc
