"""The adapters there are: each file of this package that has a `build`."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .controller import Controller, SettingError

_BUILD = re.compile(r"^def build\(", re.MULTILINE)


def names() -> list[str]:
    """Return what `haadflow controller` takes, without importing any of them."""
    files = Path(__file__).parent.glob("*.py")
    found = (path.stem for path in files if _BUILD.search(path.read_text(encoding="utf-8")))
    return sorted(name.replace("_", "-") for name in found)


def build_controller(name: str, settings: Mapping[str, Any]) -> Controller:
    """Make the controller of a name; what it needs is imported now.

    Raises
    ------
    SettingError
        There is none of that name, a setting is wrong, or what it needs is not installed.
    """
    if name not in names():
        raise SettingError(f"{name!r:.80}: no such controller; expected one of {names()}")
    module = name.replace("-", "_")
    try:
        made: Controller = importlib.import_module(f".{module}", __package__).build(settings)
    except ModuleNotFoundError as error:
        raise SettingError(
            f"{name}: needs {error.name}, which is not installed in this environment"
        ) from error
    return made
