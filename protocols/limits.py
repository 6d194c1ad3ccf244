"""What a reader is willing to take from the network, before it allocates anything."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds on one multipart message. Lower them on a link where less is expected.

    Attributes
    ----------
    parts : int
        Parts of a multipart message, the magic and the header included.
    header_bytes : int
        Length of the msgpack header.
    depth : int
        Nesting of maps and lists in the header; the outer map is depth 1.
    list_length, map_length : int
        Entries of one list, one map in the header. A list's memory is claimed by its length
        alone, before its entries are read, so this bound is what a hostile header can cost.
    string_bytes : int
        Length of one text in the header, in UTF-8.
    array_bytes : int
        Length of one array buffer. The default takes 2**28 pixels of 4 bytes.
    """

    parts: int = 10
    header_bytes: int = 1 << 20
    depth: int = 16
    list_length: int = 4096
    map_length: int = 4096
    string_bytes: int = 1 << 18
    array_bytes: int = 1 << 30


DEFAULT_LIMITS = Limits()
