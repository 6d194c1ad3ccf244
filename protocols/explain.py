"""What msgspec says about a wrong field, in the words of the other decode errors.

msgspec names the field's path and what was expected. Added here: what came, in a short form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .bounds import PRINTABLE
from .errors import shown

_PLACE = re.compile(r" - at `(?P<key>key in )?\$(?P<path>[^`]*)`\Z")
_STEP = re.compile(r"\.(?P<name>\w+)|\[(?P<index>\d+)\]")
_REGEX = f"`str` matching regex {PRINTABLE!r}"


def explain(error: Exception, fields: Mapping[str, object]) -> tuple[str, str]:
    """Say which field is wrong, and how.

    Parameters
    ----------
    error : Exception
        What `msgspec.convert` raised.
    fields : mapping
        What was to be converted.

    Returns
    -------
    field : str
        Its path, from `body`.
    reason : str
        What was expected and what came; at most about 700 characters.
    """
    text = str(error)
    place = _PLACE.search(text)
    reason = text[: place.start()] if place else text
    path = place["path"] if place else ""
    reason = reason.replace(_REGEX, "text without control characters")[:500]
    # "in a key" has no value of its own to show, and "got" says what came already.
    if reason.startswith("Expected") and ", got" not in reason and not (place and place["key"]):
        reason = f"{reason}, came {shown(_value_at(path, fields))}"
    return f"body{path}", reason


def _value_at(path: str, fields: Mapping[str, object]) -> object:
    """Walk a path such as `.envelope.stages[1].stage`; a map itself where it cannot go on."""
    node: object = fields
    position = 0
    while step := _STEP.match(path, position):
        if step["name"] is not None and isinstance(node, Mapping):
            node = node.get(step["name"])
        elif step["index"] is not None and isinstance(node, list | tuple):
            node = node[int(step["index"])]
        position = step.end()
    return node if position == len(path) else fields
