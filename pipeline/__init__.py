"""The science: from a survey image to acquisition boxes, as pure functions on arrays.

`process` does all of it. The single steps, in their order: `as_image`, `find_scaling`,
`Grid.for_parent`, `downsize`, `assess`, `preprocess`, `cluster`, `box`, `Grid.to_parent`.

A name is imported when it is first asked for: whoever wants compositions only, as the source of a
chain does, need not wait for the compiler.

Method: Day, Wahl, dos Reis et al., Sci. Rep. 15, 17180 (2025), doi:10.1038/s41598-025-01337-z.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .box import Algorithm, BoxParams, box
    from .cluster import ClusterParams, Clusters, choose_k, cluster
    from .compiled import Kernels
    from .composition import Composition, find_in_name, parse_composition
    from .downsize import downsize
    from .grid import CELLS, Grid
    from .image import MIN_SIDE, as_image
    from .locate import Parameters, Result, process
    from .preprocess import NothingFound, Preprocessed, PreprocessParams, preprocess
    from .quality import Quality, QualityParams, assess, too_small
    from .quality_model import QualityModel
    from .scale import Scaling, find_scaling
    from .time_model import GRID_POINTS, reduction, total_time
    from .warm import warm_up

__all__ = [
    "CELLS",
    "GRID_POINTS",
    "MIN_SIDE",
    "Algorithm",
    "BoxParams",
    "ClusterParams",
    "Clusters",
    "Composition",
    "Grid",
    "Kernels",
    "NothingFound",
    "Parameters",
    "PreprocessParams",
    "Preprocessed",
    "Quality",
    "QualityModel",
    "QualityParams",
    "Result",
    "Scaling",
    "as_image",
    "assess",
    "box",
    "choose_k",
    "cluster",
    "downsize",
    "find_in_name",
    "find_scaling",
    "parse_composition",
    "preprocess",
    "process",
    "reduction",
    "too_small",
    "total_time",
    "warm_up",
]

_NAMES = {
    "box": ("Algorithm", "BoxParams", "box"),
    "cluster": ("ClusterParams", "Clusters", "choose_k", "cluster"),
    "compiled": ("Kernels",),
    "composition": ("Composition", "find_in_name", "parse_composition"),
    "downsize": ("downsize",),
    "grid": ("CELLS", "Grid"),
    "image": ("MIN_SIDE", "as_image"),
    "locate": ("Parameters", "Result", "process"),
    "preprocess": ("NothingFound", "Preprocessed", "PreprocessParams", "preprocess"),
    "quality": ("Quality", "QualityParams", "assess", "too_small"),
    "quality_model": ("QualityModel",),
    "scale": ("Scaling", "find_scaling"),
    "time_model": ("GRID_POINTS", "reduction", "total_time"),
    "warm": ("warm_up",),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}


class _Lazy(ModuleType):
    """The package, with its public names looked up late.

    A step and its module share a name (`box`, `downsize`): importing the module must not put it
    in the place of the function, as Python does with submodules otherwise.
    """

    def __getattr__(self, name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        super().__setattr__(name, value)
        return value

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Lazy
