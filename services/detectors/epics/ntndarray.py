"""An NTNDArray, areaDetector's image over PV Access, as an image of ours.

Its dimensions are listed fastest first, x before y; memory is row by row all the same, so that the
shape is their reverse. What is published may be compressed, coloured or cut short.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.detectors.formats.image import (
    ReadImage,
    ReadLimits,
    UnreadableImage,
    as_real,
    one_channel,
)
from services.detectors.formats.pixel_size import from_words

HASH_CHARS = 16
_MONO, _RGB1, _RGB2, _RGB3 = 0, 2, 3, 4
_COLOUR_AXIS = {_RGB1: 2, _RGB2: 1, _RGB3: 0}
"""Of the array in our order, slowest first."""
_MOST_ATTRIBUTES = 64
_NAME_CHARS = 120
_TEXT_CHARS = 1000


@dataclass(frozen=True, slots=True)
class Published:
    """One image that came over a channel.

    Attributes
    ----------
    read : ReadImage
        The image, and what its attributes say; they are in `extra` with `pva_` before their name.
    unique_id : int
        As the source counts; a source that is started again counts anew.
    content : str
        Names the image by its pixels: what two ends can agree on when their counts differ.
    """

    read: ReadImage
    unique_id: int
    content: str


def content_of(image: NDArray[Any]) -> str:
    """Return a short hash of an image: its shape, its type, its pixels."""
    digest = hashlib.sha256(f"{image.shape} {image.dtype.str}".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()[:HASH_CHARS]


def image_of(value: Any, limits: ReadLimits) -> Published:  # noqa: ANN401 - p4p.Value has no types
    """Read an NTNDArray.

    Raises
    ------
    UnreadableImage
        It is compressed, no image of one channel, larger than allowed, or not as long as it says.
    """
    pixels = value.value
    if pixels is None or not isinstance(pixels, np.ndarray):
        raise UnreadableImage("NTNDArray without pixels")
    if value.codec.name:
        raise UnreadableImage(
            f"NTNDArray compressed by {str(value.codec.name)[:40]!r}, expected plain pixels: "
            "set the codec plugin to None"
        )
    shape = tuple(int(dimension.size) for dimension in reversed(value.dimension))
    if len(shape) not in {2, 3} or min(shape) < 1:
        raise UnreadableImage(f"NTNDArray of shape {shape}, expected (height, width)")
    if math.prod(shape) != pixels.size:
        raise UnreadableImage(
            f"NTNDArray of {pixels.size} values, but its dimensions {shape} take {math.prod(shape)}"
        )
    attributes = _attributes(value)
    array = _colours_last(pixels.reshape(shape), attributes.get("ColorMode"))
    limits.check(array.shape[0], array.shape[1], array.itemsize * math.prod(array.shape[2:]))
    image, note = one_channel(array)
    image = as_real(image)
    size, composition = from_words(attributes)
    content = content_of(image)
    extra = _told(attributes) | {
        "pva_unique_id": str(int(value.uniqueId)),
        "pva_time": f"{_seconds(value):.6f}",
        "content": content,
    }
    read = ReadImage(image, size, composition, (note,) if note else (), extra)
    return Published(read, int(value.uniqueId), content)


def _colours_last(array: NDArray[Any], mode: object) -> NDArray[Any]:
    if array.ndim == 2:
        return array
    axis = _COLOUR_AXIS.get(mode) if isinstance(mode, int) else None
    if axis is None:
        if 1 in array.shape:
            return array.reshape(tuple(n for n in array.shape if n != 1)[-2:])
        raise UnreadableImage(
            f"NTNDArray of shape {array.shape} and ColorMode {mode}, expected (height, width)"
        )
    return np.moveaxis(array, axis, -1)


def _attributes(value: Any) -> dict[str, object]:  # noqa: ANN401
    named: dict[str, object] = {}
    for attribute in value.attribute[:_MOST_ATTRIBUTES]:
        found = attribute.value
        if isinstance(found, bool | int | float | str):
            named[str(attribute.name)] = found
    return named


def _told(attributes: Mapping[str, object]) -> dict[str, str]:
    told = {}
    for name, value in attributes.items():
        plain = "".join(c for c in name if c.isprintable())[:_NAME_CHARS]
        text = "".join(c for c in str(value) if c.isprintable())[:_TEXT_CHARS]
        if plain and text:
            told[f"pva_{plain}"] = text
    return told


def _seconds(value: Any) -> float:  # noqa: ANN401
    stamp = value.dataTimeStamp
    if not stamp.secondsPastEpoch:
        stamp = value.timeStamp
    return float(stamp.secondsPastEpoch) + 1e-9 * float(stamp.nanoseconds)
