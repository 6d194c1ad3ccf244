"""The only file that touches rosettasciio: opens a file, lazily, and returns what it holds."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import h5py
import numpy as np
from rsciio.blockfile import file_reader as read_blo
from rsciio.digitalmicrograph import file_reader as read_dm
from rsciio.digitalmicrograph._api import DigitalMicrographReader
from rsciio.emd import file_reader as read_emd
from rsciio.emd._api import is_EMD_NCEM, is_EMD_Velox
from rsciio.hspy import file_reader as read_hspy
from rsciio.mrc import file_reader as read_mrc
from rsciio.tia import _api as tia
from rsciio.tiff import file_reader as read_tiff

from services.detectors.formats.image import UnreadableImage

from .kinds import emi_of, sers_of

_MRC_BYTES = {0: 1, 1: 2, 2: 4, 3: 4, 4: 8, 6: 2, 12: 2}
"""Of a pixel, by mode."""
Found = Sequence[Mapping[str, Any]]
_VELOX: Mapping[str, Any] = {"select_type": "images", "load_SI_image_stack": True}
"""Of a file with spectra the images only, and all of them."""


def open_file(path: Path, kind: str) -> tuple[str, Found, list[str]]:
    """Open a file.

    Returns
    -------
    kind : str
        More exactly, as `Velox EMD`.
    signals
        As rosettasciio gives them; `data` are dask arrays, nothing of them is read yet.
    notes
        What is not as it might be.
    """
    dask.config.set(scheduler="synchronous")  # this process reads one file at a time
    return _OPENERS[kind](path)


def _dm(path: Path) -> tuple[str, Found, list[str]]:
    with path.open("rb") as file:
        head = file.read(16)
    kind = f"DM{head[3]}"
    order = head[8:12] if kind == "DM3" else head[12:16]
    if order == bytes(4):
        raise UnreadableImage(f"{kind} of a big-endian machine, expected little-endian")
    _check_dm(kind, path)
    try:
        return kind, read_dm(str(path), lazy=True), []
    except ValueError as error:
        if "RGBA" not in str(error):
            raise
    return kind, _all_lazy(read_dm(str(path))), []


def _check_dm(kind: str, path: Path) -> None:
    """Refuse dimensions that would have millions of pieces made of a file that has them not."""
    size = path.stat().st_size
    with path.open("rb") as file:
        tags = DigitalMicrographReader(file)
        tags.parse_file()
        for image in tags.get_image_dictionaries():
            shape = [int(extent) for extent in image["ImageData"]["Dimensions"].values()]
            if min(shape, default=0) < 1 or math.prod(shape) > size:
                raise UnreadableImage(
                    f"{kind} damaged: {' x '.join(map(str, shape))} pixels do not fit into a file "
                    f"of {size} bytes"
                )


def _hdf5(path: Path) -> tuple[str, Found, list[str]]:
    with h5py.File(path, "r") as file:
        hyperspy = str(file.attrs.get("file_format", "")).lower() == "hyperspy"
    if hyperspy:
        return "HSPY", read_hspy(str(path), lazy=True), []
    with h5py.File(path, "r") as file:
        velox = is_EMD_Velox(file)
        if not velox and not is_EMD_NCEM(file):
            raise UnreadableImage("HDF5 that is neither EMD nor HSPY")
    if not velox:
        return "Berkeley EMD", read_emd(str(path), lazy=True), []
    try:
        return "Velox EMD", read_emd(str(path), lazy=True, **_VELOX), []
    except ValueError as error:
        if "chunks" not in str(error):
            raise
    # Data that are not in chunks it does not read lazily; they are no larger than the file.
    return "Velox EMD", _all_lazy(read_emd(str(path), **_VELOX)), []


def _all_lazy(found: Found) -> Found:
    return [{**each, "data": da.asarray(each["data"])} for each in found]


def _ser(path: Path) -> tuple[str, Found, list[str]]:
    emi = emi_of(path)
    if emi is None:
        note = "no EMI beside this SER: its unit is taken as the metre, magnification is not known"
        return "SER", tia.ser_reader(str(path), lazy=True), [note]
    index = re.search(r"_(\d+)$", path.stem)
    try:
        objects = tia.get_xml_info_from_emi(str(emi))
        facts = [_plain(tia.convert_xml_to_dict(each)) for each in objects]
    except Exception as error:  # noqa: BLE001 - the pixels do not need it
        note = f"{emi.name} cannot be read ({type(error).__name__}): the unit is taken as the metre"
        return "SER", tia.ser_reader(str(path), lazy=True), [note]
    at = int(index[1]) - 1 if index else 0
    if not 0 <= at < len(objects):
        note = f"{emi.name} says nothing of this SER: its unit is taken as the metre"
        return "SER", tia.ser_reader(str(path), lazy=True), [note]
    found = tia.ser_reader(str(path), objects[at : at + 1], lazy=True)
    for each in found:
        each["original_metadata"].update(facts[at])
    return "SER", found, []


def _emi(path: Path) -> tuple[str, Found, list[str]]:
    sers = sers_of(path)
    if not sers:
        raise UnreadableImage(
            f"EMI without its SER: the pixels are in a file {path.stem}_1.ser that is not beside it"
        )
    found: list[Mapping[str, Any]] = []
    notes: list[str] = []
    for ser in sers:
        _kind, signals, told = _ser(ser)
        for each in signals:
            metadata = {**each["metadata"], "General": {"title": ser.stem}}
            found.append({**each, "metadata": metadata})
        notes += told
    return "EMI", found, notes


def _plain(box: Any) -> Any:  # noqa: ANN401 - a tree
    return box.to_dict() if hasattr(box, "to_dict") else dict(box)


def _mrc(path: Path) -> tuple[str, Found, list[str]]:
    with path.open("rb") as file:
        head = file.read(1024)
    if len(head) < 1024:
        raise UnreadableImage(f"MRC cut short: {len(head)} of the 1024 bytes of its header")
    if head[212:214] == b"\x11\x11":
        raise UnreadableImage("MRC of a big-endian machine, expected little-endian")
    _check_mrc(head, path.stat().st_size)
    # Of a file called movie it would open others beside it.
    found = read_mrc(str(path), lazy=True, metadata_file=None)
    header = found[0]["original_metadata"]["std_header"]
    notes: list[str] = []
    if "fei_header" not in found[0]["original_metadata"]:
        cells = [float(header[key]) for key in ("MX", "MY", "Xlen", "Ylen")]
        if min(cells) <= 0:
            axes = [{**axis, "units": ""} for axis in found[0]["axes"]]
            found = [{**found[0], "axes": axes}]
        elif cells[0] == cells[2]:
            notes.append("a pixel of exactly 1 A: some programs write that when they know none")
    return "MRC", found, notes


def _check_mrc(head: bytes, size: int) -> None:
    """Refuse a header that would have millions of pieces made of a file that does not have them."""
    columns, rows, layers, mode = struct.unpack("<4i", head[:16])
    (more,) = struct.unpack("<i", head[92:96])
    if min(columns, rows, layers) < 1 or not 0 <= more < size:
        raise UnreadableImage(
            f"MRC damaged: its header says {columns} x {rows} x {layers} pixels, behind "
            f"{more} bytes of more header"
        )
    due = columns * rows * layers * _MRC_BYTES.get(mode, 0)
    if len(head) + more + due > size:
        raise UnreadableImage(
            f"MRC cut short: {due} bytes of {columns} x {rows} x {layers} pixels do not fit into "
            f"a file of {size} bytes"
        )


def _blo(path: Path) -> tuple[str, Found, list[str]]:
    return "BLO", read_blo(str(path), lazy=True), []


def _tiff(path: Path) -> tuple[str, Found, list[str]]:
    return "TIFF", read_tiff(str(path), lazy=True), []


def close_files() -> None:
    """Close what lazy reading has left open."""
    for file in h5py.h5f.get_obj_ids(types=h5py.h5f.OBJ_FILE):
        h5py.File(file).close()


def values(data: Any) -> Any:  # noqa: ANN401 - dask or numpy in, numpy out
    """Read the pixels: colours, if there are any, on the last axis."""
    array = np.asarray(data.compute() if hasattr(data, "compute") else data)
    if array.dtype.names is not None:
        array = np.stack([array[name] for name in array.dtype.names], axis=-1)
    return array


_OPENERS: Mapping[str, Callable[[Path], tuple[str, Found, list[str]]]] = {
    "DM3": _dm,
    "DM4": _dm,
    "HDF5": _hdf5,
    "SER": _ser,
    "EMI": _emi,
    "MRC": _mrc,
    "BLO": _blo,
    "TIFF": _tiff,
}
