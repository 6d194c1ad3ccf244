"""Files as microscopes write them, made here: by rosettasciio's writers where it has one.

DM3 and DM4, SER with EMI, MRC and the inside of a Velox EMD are written by their published
layouts, since nothing that could be installed for tests writes them.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

NO_UNIT = ""


class Axis(NamedTuple):
    """One axis of an array to be written."""

    scale: float
    units: str
    navigate: bool = False
    name: str = ""


def particle(height: int = 96, width: int = 112, dtype: type = np.uint16) -> NDArray[Any]:
    """Return a bright disk on a dark ground."""
    y, x = np.mgrid[:height, :width]
    disk = np.hypot(y - height / 2, x - width / 2) < min(height, width) / 4
    noise = np.random.default_rng(1).integers(0, 20, disk.shape)
    picture: NDArray[Any] = (100 + 800 * disk + noise).astype(dtype)
    return picture


def square(scale: float, units: str) -> tuple[Axis, Axis]:
    """The axes of an image with square pixels."""
    return Axis(scale, units, name="y"), Axis(scale, units, name="x")


def _signal(
    data: NDArray[Any],
    axes: Sequence[Axis],
    title: str,
    metadata: Mapping[str, Any] | None,
    original: Mapping[str, Any] | None,
) -> dict[str, Any]:
    described = [
        {
            "_type": "UniformDataAxis",
            "name": axis.name or f"axis {index}",
            "units": axis.units or None,
            "scale": axis.scale,
            "offset": 0.0,
            "size": size,
            "navigate": axis.navigate,
            "index_in_array": index,
        }
        for index, (axis, size) in enumerate(zip(axes, data.shape, strict=True))
    ]
    return {
        "data": data,
        "axes": described,
        "metadata": {
            "General": {"title": title},
            "Signal": {"signal_type": ""},
            **(metadata or {}),
        },
        "original_metadata": dict(original or {}),
        "attributes": {"_lazy": False, "ragged": False},
        "package_info": {"package": "rosettasciio", "package_version": "0"},
        "learning_results": {},
        "models": {},
        "tmp_parameters": {},
    }


def write_hspy(
    path: Path,
    data: NDArray[Any],
    axes: Sequence[Axis],
    *,
    title: str = "HAADF",
    metadata: Mapping[str, Any] | None = None,
    original: Mapping[str, Any] | None = None,
) -> Path:
    """Write, or add a signal to, a HyperSpy file."""
    from rsciio.hspy import file_writer

    signal = _signal(data, axes, title, metadata, original)
    if not path.exists():
        file_writer(str(path), signal)
        return path
    other = path.with_name(f"other-{path.name}")
    file_writer(str(other), signal)
    with h5py.File(other) as source, h5py.File(path, "a") as target:
        source.copy(f"Experiments/{title}", target["Experiments"])
    other.unlink()
    return path


def write_berkeley(path: Path, data: NDArray[Any], axes: Sequence[Axis]) -> Path:
    """Write an EMD file of the Berkeley kind; its units are spelt `[n_m]`."""
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        group = file.create_group("data/image")
        group.attrs["emd_group_type"] = 1
        group["data"] = data.T
        for number, axis in enumerate(reversed(axes), start=1):
            size = data.shape[len(axes) - number]
            dim = group.create_dataset(f"dim{number}", data=axis.scale * np.arange(size))
            dim.attrs["name"], dim.attrs["units"] = axis.name, axis.units
        sample = file.create_group("sample")
        sample.attrs["composition"] = "Pd40Pt60"
    return path


def write_blo(path: Path, patterns: NDArray[Any]) -> Path:
    """Write a block file: a diffraction pattern at each point of a scan."""
    from rsciio.blockfile import file_writer

    axes = [Axis(5.0, "nm", navigate=True)] * 2 + [Axis(1.0, "cm")] * 2
    signal = _signal(patterns, axes, "", None, None)
    file_writer(str(path), signal, navigator=None, show_progressbar=False)
    return path


def velox_metadata(detector: int, pixel_m: float, unit: str = "m") -> dict[str, Any]:
    """What Velox writes of one image, as far as readers look."""
    return {
        "Core": {"MetadataDefinitionVersion": "7.9", "MetadataSchemaVersion": "v1/2013/07"},
        "Instrument": {"InstrumentModel": "Talos"},
        "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1488794201"}},
        "Optics": {"AccelerationVoltage": "200000"},
        "Scan": {"FrameTime": "1.0", "DwellTime": "1e-06"},
        "BinaryResult": {
            "DetectorIndex": str(detector),
            "PixelSize": {"width": str(pixel_m), "height": str(pixel_m)},
            "PixelUnitX": unit,
            "PixelUnitY": unit,
            "Offset": {"x": "0", "y": "0"},
        },
        "Detectors": {
            f"Detector-{n}": {"DetectorName": name, "DetectorType": "ScanningDetector"}
            for n, name in enumerate(("BF", "HAADF", "DF4"))
        },
        "CustomProperties": {"StemMagnification": {"type": "double", "value": "640000"}},
    }


def write_velox(
    path: Path,
    images: Mapping[str, NDArray[Any]],
    *,
    pixel_m: float = 2e-10,
    unit: str = "m",
    spectrum_image: bool = False,
    chunks: bool = True,
) -> Path:
    """Write an EMD file of the Velox kind: images (height, width) or (height, width, frames)."""
    detectors = {"BF": 0, "HAADF": 1, "DF4": 2}
    with h5py.File(path, "w") as file:
        file["Version"] = np.array([json.dumps({"format": "Velox", "version": "10"}).encode()])
        operations: dict[str, dict[str, str]] = {}
        for number, (name, image) in enumerate(images.items()):
            key = f"{number:032x}"
            data = image if image.ndim == 3 else image[..., None]
            group = file.create_group(f"Data/Image/{key}")
            group.create_dataset("Data", data=data, chunks=(*data.shape[:2], 1) if chunks else None)
            described = json.dumps(velox_metadata(detectors[name], pixel_m, unit)).encode()
            column = np.zeros((len(described) + 8, data.shape[2]), np.uint8)
            column[: len(described)] = np.frombuffer(described, np.uint8)[:, None]
            group["Metadata"] = column
            operations[key] = {"dataPath": f"/Data/Image/{key}", "detector": name}
        for key, operation in operations.items():
            text = json.dumps(operation).encode()
            file[f"Operations/StemInputOperation/{key}"] = np.array([text])
        if spectrum_image:
            file.create_group(f"Data/SpectrumImage/{1:032x}")
            file.create_group(f"Data/SpectrumStream/{1:032x}")
            file.create_group("Presentation/Displays/ImageDisplay")
        for group_name in ("Displays/ImageDisplay", "SharedProperties", "Features"):
            file.require_group(group_name)
    return path


def write_mrc(
    path: Path, data: NDArray[Any], *, angstrom: float | None = 2.0, mark: bytes = b"MAP "
) -> Path:
    """Write an MRC file; `angstrom` is a pixel's edge, None leaves the cell empty."""
    modes = {"int8": 0, "int16": 1, "float32": 2, "uint16": 6}
    stack = data if data.ndim == 3 else data[None]
    nz, ny, nx = stack.shape
    header = bytearray(1024)
    struct.pack_into("<10i", header, 0, nx, ny, nz, modes[data.dtype.name], 0, 0, 0, nx, ny, nz)
    edges = (0.0, 0.0, 0.0) if angstrom is None else (nx * angstrom, ny * angstrom, nz * angstrom)
    struct.pack_into("<3f3f3i", header, 40, *edges, 90, 90, 90, 1, 2, 3)
    header[208:216] = mark + b"DD\x00\x00"
    path.write_bytes(bytes(header) + stack.tobytes())
    return path


def write_ser(path: Path, data: NDArray[Any], *, pixel_m: float = 3e-10) -> Path:
    """Write a SER file of one image, or of as many as `data` has."""
    types = {"uint8": 1, "uint16": 2, "int16": 5, "int32": 6, "float32": 7}
    stack = data if data.ndim == 3 else data[None]
    count, height, width = stack.shape
    tag = 0x4152
    head = struct.pack("<HHHIIII", 0x4949, 0x0197, 0x0210, 0x4122, tag, count, count)
    dimension = struct.pack("<IddII", count, 0.0, 1.0, 0, 0) + struct.pack("<I", 0)
    offsets_at = len(head) + 8 + len(dimension)
    first = offsets_at + 8 * count
    elements = [
        struct.pack("<ddI", 0.0, pixel_m, 0) * 2
        + struct.pack("<HII", types[data.dtype.name], width, height)
        + image[::-1].tobytes()
        for image in stack
    ]
    starts = [first + index * (len(elements[0]) + 8) for index in range(count)]
    tag_starts = [start + len(elements[0]) for start in starts]
    body = b"".join(element + struct.pack("<HHI", tag, 0, 0) for element in elements)
    table = struct.pack(f"<{2 * count}I", *starts, *tag_starts)
    path.write_bytes(head + struct.pack("<II", offsets_at, 1) + dimension + table + body)
    return path


def write_emi(path: Path, *, magnification: float = 160_000.0, mode: str = "STEM HAADF") -> Path:
    """Write the EMI file that says of a SER what kind of image it is."""
    facts = (("High tension", "200", "kV"), ("Magnification", str(magnification), "x"))
    data = "".join(
        f"<Data><Label>{label}</Label><Value>{value}</Value><Unit>{unit}</Unit></Data>"
        for label, value, unit in facts
    )
    data += f"<Data><Label>Mode</Label><Value>{mode}</Value><Unit></Unit></Data>"
    xml = (
        "<ObjectInfo><AcquireInfo><DwellTimePath>1e-6</DwellTimePath></AcquireInfo>"
        f"<ExperimentalDescription><Root>{data}</Root></ExperimentalDescription></ObjectInfo>"
    )
    path.write_bytes(b"JK\x00\x02" + bytes(60) + xml.encode() + bytes(20))
    return path


def write_dm(
    path: Path,
    data: NDArray[Any],
    axes: Sequence[Axis],
    *,
    version: int = 3,
    tags: Mapping[str, Any] | None = None,
    name: str = "HAADF",
) -> Path:
    """Write a DM3 or DM4 file; `tags` are ImageTags."""
    types = {"int16": 1, "float32": 2, "complex64": 3, "uint8": 6, "int32": 7, "uint16": 10}
    image = {
        "ImageData": {
            "Calibrations": {
                "Brightness": {"Origin": 0.0, "Scale": 1.0, "Units": ""},
                "Dimension": [
                    {"Origin": 0.0, "Scale": axis.scale, "Units": axis.units}
                    for axis in reversed(axes)
                ],
            },
            "Data": data,
            "DataType": types[data.dtype.name],
            "Dimensions": list(reversed(data.shape)),
            "PixelDepth": data.itemsize,
        },
        "ImageTags": dict(tags or {}),
        "Name": name,
    }
    body = _DmWriter(version).group({"ImageList": [image], "InImageMode": 1})
    width = "i" if version == 3 else "q"
    head = struct.pack(f">i{width}i", version, len(body) + 4, 1)
    path.write_bytes(head + body + bytes(8))
    return path


class _DmWriter:
    """Tags of DigitalMicrograph: headers big-endian, values little-endian."""

    def __init__(self, version: int) -> None:
        self._long = ">i" if version == 3 else ">q"
        self._four = version == 4

    def group(self, tags: Mapping[str, Any] | Sequence[Any]) -> bytes:
        named = tags.items() if isinstance(tags, Mapping) else (("", value) for value in tags)
        written = [self._tag(name, value) for name, value in named]
        return b"\x01\x00" + self._number(len(written)) + b"".join(written)

    def _tag(self, name: str, value: Any) -> bytes:  # noqa: ANN401
        is_group = isinstance(value, Mapping | list)
        body = self.group(value) if is_group else b"%%%%" + self._value(value)
        head = bytes([20 if is_group else 21]) + struct.pack(">H", len(name)) + name.encode()
        return head + (struct.pack(">q", len(body)) if self._four else b"") + body

    def _value(self, value: Any) -> bytes:  # noqa: ANN401
        if isinstance(value, np.ndarray):
            numbers: NDArray[Any] = value.view(np.float32) if value.dtype.kind == "c" else value
            code = {"int16": 2, "int32": 3, "uint16": 4, "uint8": 10, "float32": 6}
            return self._numbers(3, 20, code[numbers.dtype.name], numbers.size) + numbers.tobytes()
        if isinstance(value, str):
            encoded = value.encode("utf-16-le")
            return self._numbers(3, 20, 4, len(value)) + encoded
        if isinstance(value, float):
            return self._numbers(1, 7) + struct.pack("<d", value)
        return self._numbers(1, 3) + struct.pack("<i", value)

    def _numbers(self, *numbers: int) -> bytes:
        return b"".join(map(self._number, numbers))

    def _number(self, number: int) -> bytes:
        return struct.pack(self._long, number)
