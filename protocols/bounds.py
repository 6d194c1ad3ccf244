"""How large each field of a message may be: the types that protocols/messages.py is written in.

A name, a path or a count from the network is bounded here once, so that no later stage meets a
parent_id of a megabyte, a file name with a line feed in it or a negative size. Bounds are checked
by msgspec when a message is encoded and when it is decoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NewType, TypeAlias

from msgspec import Meta

# Names become file names, lines of a log and cells of a table: no control characters in them.
PRINTABLE = r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z"

LARGEST_COUNT = 2**63 - 1
"""What SQLite, Parquet and C's int64_t can hold."""

LARGEST_EXTENT = 2**31 - 1
"""Boxes are int32."""

GRID_EXTENT = 128
"""Cells along the longer side of the method's grid (Day et al. 2025, Methods)."""

REASON_CHARS = 4096
TRACEBACK_CHARS = 65536

ParentId = Annotated[str, Meta(min_length=1, max_length=512, pattern=PRINTABLE)]
Source = Annotated[str, Meta(min_length=1, max_length=4096, pattern=PRINTABLE)]
Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=PRINTABLE)]
Formula = Annotated[str, Meta(min_length=1, max_length=256, pattern=PRINTABLE)]
Note = Annotated[str, Meta(max_length=4096)]
Reason = Annotated[str, Meta(max_length=REASON_CHARS)]
Traceback = Annotated[str, Meta(max_length=TRACEBACK_CHARS)]

Count = Annotated[int, Meta(ge=0, le=LARGEST_COUNT)]
Attempt = Annotated[int, Meta(ge=1, le=LARGEST_COUNT)]
Extent = Annotated[int, Meta(ge=1, le=LARGEST_EXTENT)]
GridExtent = Annotated[int, Meta(ge=1, le=GRID_EXTENT)]
Elements = Annotated[int, Meta(ge=1, le=118)]
Clusters = Annotated[int, Meta(ge=1, le=255)]
"""Labels are uint8."""

# An upper bound also keeps out infinity; a NaN fails every comparison.
Milliseconds = Annotated[float, Meta(ge=0, le=1e12)]
Seconds = Annotated[float, Meta(ge=0, le=1e12)]
Nanometres = Annotated[float, Meta(gt=0, le=1e9)]
Degrees = Annotated[float, Meta(ge=-360, le=360)]
Pixels = Annotated[float, Meta(ge=0, le=1e15)]
"""A way over a parent image."""

NESTING = 16
"""Of maps and lists in a header, the header itself included; `Limits.depth` is the same number."""


def _plain(levels: int) -> Any:  # noqa: ANN401 - a type that is made here
    """Return the type of values without bytes, nested so deep at most.

    Each level has a name of its own: to msgspec the same type, but `typing`, which looks through
    every annotation several times, does not look into it. There are 2 ** levels ways through it.
    """
    plain: Any = bool | int | float | str | None
    for _ in range(levels):
        inner = NewType("inner", plain)  # type: ignore[valid-newtype] # made here
        plain = bool | int | float | str | None | list[inner] | dict[str, inner]
    return plain


if TYPE_CHECKING:
    StageMap: TypeAlias = dict[str, Any]
    Figures: TypeAlias = dict[str, Any]
    ShallowFigures: TypeAlias = dict[str, Any]
else:
    StageMap = dict[str, _plain(NESTING - 6)]
    """Of a stage's record: plain values. Header, body, envelope, stages, record are around it."""
    Figures = dict[str, _plain(NESTING - 3)]
    """Of a beat or an answer: plain values. Header and body are around them."""
    ShallowFigures = dict[str, _plain(6)]
    """The same as deep as a chain's own are. The full depth costs a process 30 ms to look at."""

FEW = Meta(max_length=256)
MANY = Meta(max_length=4096)
"""The longest list in a header; `Limits.list_length` is the same number."""


def fit(text: str, characters: int) -> str:
    """Shorten a text for a bounded field, and make it encodable as UTF-8.

    A failure has to be reported whatever it says: an exception's text may be a megabyte long, or
    hold the lone surrogates of an undecodable file name.

    Parameters
    ----------
    text : str
        Anything.
    characters : int
        The bound, such as `REASON_CHARS`; at least 32.

    Returns
    -------
    str
        `text` itself where it fits; else its beginning and its end, with the number of characters
        left out between them. The end matters most in a traceback.
    """
    clean = text.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(clean) <= characters:
        return clean
    mark = f" [... {len(clean)} characters ...] "
    kept = characters - len(mark)
    head = kept // 3
    return clean[:head] + mark + clean[len(clean) - (kept - head) :]
