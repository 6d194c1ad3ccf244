"""NPY: an array as NumPy saves it. Objects are pickled in there, and so are refused."""

from __future__ import annotations

import os
import warnings
from math import prod
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from .image import ReadImage, ReadLimits, UnreadableImage, as_real, one_channel

NPY_MAGIC = b"\x93NUMPY"


def read_npy(file: BinaryIO, limits: ReadLimits) -> ReadImage:
    """Read an NPY file of one 2-D array.

    Raises
    ------
    UnreadableImage
        If it is cut short, holds objects, or is no image.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    shape, fortran_order, dtype = _header(file)
    if dtype.hasobject:
        raise UnreadableImage("NPY of Python objects, expected integers or floats")
    if dtype.kind not in "iufb":
        raise UnreadableImage(
            f"numbers of type {dtype}, expected integers or floats of at most 64 bits"
        )
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] > 4):
        raise UnreadableImage(f"NPY of shape {shape}, expected (height, width)")
    limits.check(shape[0], shape[1], dtype.itemsize * prod(shape[2:]))
    expected = prod(shape) * dtype.itemsize
    there = size - file.tell()
    if there < expected:
        raise UnreadableImage(f"NPY cut short: {there} of {expected} bytes")
    data = file.read(expected)
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if fortran_order else "C")
    image, note = one_channel(array)
    return ReadImage(as_real(image), notes=(note,) if note else ())


def _header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a header written by Python 2
            version = npy_format.read_magic(file)
            if version == (1, 0):
                return npy_format.read_array_header_1_0(file)
            if version == (2, 0):
                return npy_format.read_array_header_2_0(file)
    except Exception as error:
        raise UnreadableImage(f"NPY header damaged or cut short: {error}") from error
    raise UnreadableImage(f"NPY version {version[0]}.{version[1]}, expected 1.0 or 2.0")
