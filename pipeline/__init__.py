"""The science: from a survey image to acquisition boxes, as pure functions on arrays.

`process` does all of it. The single steps, in their order: `as_image`, `find_scaling`,
`Grid.for_parent`, `downsize`, `assess`, `preprocess`, `cluster`, `box`, `Grid.to_parent`.

Method: Day, Wahl, dos Reis et al., Sci. Rep. 15, 17180 (2025), doi:10.1038/s41598-025-01337-z.
"""

from __future__ import annotations

from .box import Algorithm, BoxParams, box
from .cluster import ClusterParams, Clusters, choose_k, cluster
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
