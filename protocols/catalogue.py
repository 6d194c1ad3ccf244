"""Every message type by its name on the wire, with its arrays.

A message is added by writing its type in protocols/messages.py and one line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from . import messages as m
from .arrays import REAL_DTYPES, ArrayRule

_IMAGE = ArrayRule(REAL_DTYPES, ("height", "width"))
_GRID = ArrayRule(("|u1",), ("rows", "columns"))
_CROP = ArrayRule(("|u1",), ("y1 - y0", "x1 - x0"))
_BOXES = ArrayRule(("<i4",), ("N", 3))
_BOX_REGIONS = ArrayRule(("|u1",), ("N",))
_BOX_NUMBERS = ArrayRule(("<i4",), ("N",))


@dataclass(frozen=True, slots=True)
class Kind:
    """One message type as the codec sees it."""

    name: str
    type: type[m.Message]
    plain: tuple[str, ...]
    """Fields that travel in the header's body."""
    arrays: Mapping[str, ArrayRule]
    """Fields that travel as buffers, in the order in which they are sent."""


def _kind(message_type: type[m.Message], **arrays: ArrayRule) -> Kind:
    names = tuple(field.name for field in msgspec.structs.fields(message_type))
    plain = tuple(name for name in names if name not in arrays)
    return Kind(message_type.__name__, message_type, plain, MappingProxyType(arrays))


_KINDS = (
    _kind(m.SurveyImage, image=_IMAGE),
    _kind(m.GridImage, image=_GRID),
    _kind(m.FilteredCrop, filtered=_CROP),
    _kind(m.Regions, labels=_CROP),
    _kind(m.Located, boxes=_BOXES, regions=_BOX_REGIONS),
    _kind(m.Rejected),
    _kind(m.Failed),
    _kind(m.Offer, image=_IMAGE),
    _kind(m.Accepted),
    _kind(m.Refused),
    _kind(m.Closed),
    _kind(m.Started),
    _kind(m.Credit),
    _kind(m.Probe),
    _kind(m.Beat),
    _kind(m.Command),
    _kind(m.Answer),
    _kind(m.Description),
    _kind(
        m.Batch,
        box_id=_BOX_NUMBERS,
        x_px=_BOX_NUMBERS,
        y_px=_BOX_NUMBERS,
        size_px=_BOX_NUMBERS,
        region=_BOX_REGIONS,
        may_repeat=_BOX_REGIONS,
    ),
    _kind(m.Begin),
    _kind(m.Go),
    _kind(m.Withdrawn),
    _kind(m.Receipts),
    _kind(m.Noted),
    _kind(m.Recall),
)

BY_NAME: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _KINDS})
BY_TYPE: Mapping[type, Kind] = MappingProxyType({kind.type: kind for kind in _KINDS})
