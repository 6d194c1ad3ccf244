"""Which of the signals of a file is the picture: HAADF, then other dark field, then the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from pipeline.composition import SYMBOLS
from services.detectors.formats.image import UnreadableImage

from .calibration import Axis
from .facts import dotted

Shape = Literal["image", "stack", "other"]
SMALLEST = 16
"""`pipeline.image.MIN_SIDE`: below it, another image of the same file is taken, if there is one."""
MOST_SIGNALS = 1000
_SHOWN = 12


class Signal(NamedTuple):
    """One array of a file and what it is."""

    name: str
    data: Any
    """A dask array, (height, width) or (images, height, width) if it is an image or a stack."""
    axes: tuple[Axis, ...]
    """Of `data`, in its order; those of size 1 are left out."""
    shape: Shape
    what: str
    """For people: `image of 512 x 512 pixels`, `spectrum`."""
    about: Mapping[str, Any]
    """All that rosettasciio said of it."""

    @property
    def images(self) -> int:
        """How many images it holds."""
        return int(self.data.shape[0]) if self.shape == "stack" else 1

    def __str__(self) -> str:
        return f"{self.name} ({self.what})"


def signals_of(found: Sequence[Mapping[str, Any]]) -> list[Signal]:
    """Return what a file holds, in its order."""
    return [_signal(each) for each in found[:MOST_SIGNALS]]


def choose(kind: str, signals: Sequence[Signal]) -> Signal:
    """Return the picture of a file.

    Raises
    ------
    UnreadableImage
        There is none; says what is there instead.
    """
    usable = [each for each in signals if each.shape != "other"]
    if not usable:
        raise UnreadableImage(f"{kind} without an image: it holds {listed(signals)}")
    return min(usable, key=_rank)


def listed(signals: Sequence[Signal]) -> str:
    """Name signals for people."""
    more = f" and {len(signals) - _SHOWN} more" if len(signals) > _SHOWN else ""
    return (", ".join(map(str, signals[:_SHOWN])) or "nothing") + more


def _rank(signal: Signal) -> tuple[bool, int, bool]:
    small = min(axis.size for axis in signal.axes[-2:]) < SMALLEST
    return small, _rank_of_name(signal.name), signal.shape == "stack"


def _rank_of_name(name: str) -> int:
    words = {word for word in re.split(r"[^A-Za-z]+", name) if word}
    upper = {word.upper() for word in words}
    if "HAADF" in upper:
        return 0
    if "ADF" in upper or any(word.endswith("ADF") for word in upper):
        return 1
    if upper & {"DF", "DARKFIELD"}:
        return 2
    if upper & {"BF", "ABF", "DPC", "FFT", "CBED"} or any(word.endswith("DPC") for word in upper):
        return 5
    return 4 if words and words <= SYMBOLS else 3  # a map of an element


def _signal(found: Mapping[str, Any]) -> Signal:
    data = found["data"]
    axes = [_axis(each, size) for each, size in zip(found["axes"], data.shape, strict=True)]
    kept = [axis for axis in axes if axis.size != 1 or len(axes) <= 2]
    if len(kept) != len(axes):
        data = data.reshape(tuple(axis.size for axis in kept))
    name = " ".join(dict.fromkeys(_names(found))) or "unnamed"
    kind = str(dotted(found.get("metadata"), "Signal.signal_type") or "")
    shape, what = _what(data, kept, kind)
    if shape == "stack":
        data, kept = _stack_first(data, kept)
    return Signal(name[:200], data, tuple(kept), shape, what, found)


def _names(found: Mapping[str, Any]) -> Iterator[str]:
    title = str(dotted(found.get("metadata"), "General.title") or "").strip()
    if title and title != "__unnamed__":
        yield title
    tags = dotted(found.get("original_metadata"), "ImageList.TagGroup0.ImageTags")
    signal = dotted(tags, "DigiScan.Name") or dotted(tags, "DataBar.Signal Name")
    if isinstance(signal, str) and signal.strip() and signal.strip() not in title:
        yield signal.strip()


def _axis(axis: Mapping[str, Any], size: int) -> Axis:
    units = axis.get("units")
    name = axis.get("name")
    try:
        scale = float(axis.get("scale", 1.0))
    except (TypeError, ValueError):
        scale = float("nan")
    return Axis(
        name="" if name is None else str(name)[:100],
        size=int(size),
        scale=scale,
        units="" if units is None else str(units)[:100],
        navigate=bool(axis.get("navigate", False)),
    )


def _what(data: Any, axes: Sequence[Axis], kind: str) -> tuple[Shape, str]:  # noqa: ANN401
    sizes = " x ".join(str(axis.size) for axis in reversed(axes))
    colour = data.dtype.names is not None and set(data.dtype.names) <= set("RGBA")
    if data.dtype.kind not in "iufb" and not colour:
        return "other", f"{sizes} numbers of type {data.dtype}, as of a Fourier transform"
    no_picture = _no_picture(axes, kind, sizes)
    if no_picture is not None:
        return "other", no_picture
    if len(axes) == 2:
        return "image", f"image of {sizes} pixels"
    if len(axes) == 3 and sum(axis.navigate for axis in axes) in {0, 1}:
        height, width = (axis.size for axis in axes if not _is_stack_axis(axis, axes))
        images = next(axis.size for axis in axes if _is_stack_axis(axis, axes))
        return "stack", f"stack of {images} images of {width} x {height} pixels"
    return "other", f"{len(axes)}-dimensional data of {sizes}"


def _no_picture(axes: Sequence[Axis], kind: str, sizes: str) -> str | None:
    if any(axis.is_energy for axis in axes) or re.search("EELS|EDS", kind):
        return "spectra" if len(axes) > 1 else "a spectrum"
    if len(axes) < 2:
        return f"a line of {sizes or 1} values"
    reciprocal = next((axis for axis in axes if axis.is_reciprocal), None)
    if reciprocal is not None or "diffraction" in kind:
        in_units = f", axes in {reciprocal.units}" if reciprocal is not None else ""
        return f"diffraction pattern{'s' * (len(axes) > 2)} of {sizes}{in_units}"
    return None


def _is_stack_axis(axis: Axis, axes: Sequence[Axis]) -> bool:
    chosen = next((each for each in axes if each.navigate), axes[0])
    return axis is chosen


def _stack_first(data: Any, axes: list[Axis]) -> tuple[Any, list[Axis]]:  # noqa: ANN401
    at = next(index for index, axis in enumerate(axes) if _is_stack_axis(axis, axes))
    rest = [axis for index, axis in enumerate(axes) if index != at]
    order = [at, *(index for index in range(len(axes)) if index != at)]
    return np.transpose(data, order), [axes[at], *rest]
