"""The whole method, from a parent image to acquisition boxes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .box import Algorithm, BoxParams, box
from .checks import check_range
from .cluster import ClusterParams, KFrom, cluster
from .composition import parse_composition
from .downsize import downsize
from .grid import Grid
from .image import as_image
from .preprocess import NothingFound, PreprocessParams, preprocess
from .quality import Quality, QualityParams, assess, too_small
from .quality_model import QualityModel
from .refined.frame import Frame, see
from .refined.locate import locate
from .refined.params import Controls, RefinedParams
from .refined.particle import Particle
from .scale import Scaling, find_scaling


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """Constants of all steps; the defaults are the published ones, `refined` apart."""

    quality: QualityParams = field(default_factory=QualityParams)
    preprocess: PreprocessParams = field(default_factory=PreprocessParams)
    cluster: ClusterParams = field(default_factory=ClusterParams)
    box: BoxParams = field(default_factory=BoxParams)
    refined: RefinedParams = field(default_factory=RefinedParams)


Method = Literal["published", "refined"]

DEFAULTS = Parameters()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Where to scan, or why nowhere; and everything that led there.

    Coordinates: x right, y down, from the upper-left corner. A step that was not reached left
    None, or an empty array, in what it would have found.

    Parameters
    ----------
    outcome : "located" or "rejected"
    reason : str or None
        Of a rejection: `code: what was measured and what was expected`.
    boxes : ndarray, int32, (N, 3)
        x, y, size in parent pixels: [x, x + size) x [y, y + size) lies in the parent.
    regions : ndarray, uint8, (N,)
        The region of each box, from 1.
    bounding_box : (x0, y0, x1, y1) or None
        Of the particle; half-open, parent pixels.
    labels : ndarray, uint8, or None
        (height, width) of the bounding box in grid cells; 0 is background, regions by rising
        intensity.
    k, n_peaks : int or None
        Clusters, background included; prominent peaks of the histogram.
    n_elements : int or None
        As given, by composition or by number.
    k_from : "composition", "n_elements", "peaks" or None
        What beside the peaks decided on k; "peaks" is nothing.
    grid : Grid or None
    grid_bounding_box : (x0, y0, x1, y1) or None
        In grid cells.
    grid_boxes : ndarray, int32, (N, 3)
        x, y, size in grid cells.
    scaling : Scaling or None
        How the intensities became 8 bit.
    quality : Quality or None
        What the gate measured.
    cutoff : int or None
        Gray level above which the particle lies.
    method : "published" or "refined"
        The refined one has no labels, grid boxes, peaks and cutoff of the frame; its `k` is the
        most that a particle has, background included.
    particles : tuple of Particle
        Of the refined method: bounding box, k and boxes of each. Its `boxes` come best first.
    owners : ndarray, int32, (N,), or None
        Of the refined method: the particle of each box.
    """

    outcome: Literal["located", "rejected"]
    reason: str | None = None
    boxes: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 3), np.int32))
    regions: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    bounding_box: tuple[int, int, int, int] | None = None
    labels: NDArray[np.uint8] | None = None
    k: int | None = None
    n_peaks: int | None = None
    n_elements: int | None = None
    k_from: KFrom | None = None
    grid: Grid | None = None
    grid_bounding_box: tuple[int, int, int, int] | None = None
    grid_boxes: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 3), np.int32))
    scaling: Scaling | None = None
    quality: Quality | None = None
    cutoff: int | None = None
    method: Method = "published"
    particles: tuple[Particle, ...] = ()
    owners: NDArray[np.int32] | None = None


def process(
    image: ArrayLike,
    *,
    composition: str | None = None,
    n_elements: int | None = None,
    algorithm: Algorithm | None = None,
    params: Parameters | None = None,
    model: QualityModel | None = None,
    method: Method = "published",
    controls: Controls | None = None,
) -> Result:
    """Locate the particle in `image` and cover its regions with acquisition boxes.

    Parameters
    ----------
    image : array_like, (height, width)
        Any real number type; 16 px or more per side. Never written to.
    composition : str, optional
        Of the particle, such as "Au40Ag10Cu10Ni40".
    n_elements : int, optional
        Number of elements, instead of the composition. With neither, the histogram's peaks
        alone decide on the number of regions.
    algorithm : 2 or 1, optional
        For the boxes; overrides the one in `params`.
    params : Parameters, optional
    model : QualityModel, optional
        Asked by the gate about pictures that its rules let pass.
    method : "published" or "refined"
        docs/method.md compares them.
    controls : Controls, optional
        What the operator asks of the refined method.

    Returns
    -------
    Result

    Raises
    ------
    ValueError
        If `image` cannot be a picture (not 2-D, colour, complex, empty, all NaN), the composition
        is unreadable, composition and `n_elements` disagree, or the method is unknown or is not
        the one that the controls or the algorithm are for.
    """
    _check_method(method, algorithm, controls)
    params = params or DEFAULTS
    if algorithm is not None:
        params = replace(params, box=replace(params.box, algorithm=algorithm))
    n_elements, k_from = _known_elements(composition, n_elements)
    picture = as_image(image)
    rejected = partial(Result, outcome="rejected", n_elements=n_elements)
    height, width = picture.shape
    reason = too_small(height, width, params.quality)
    if reason is not None:
        return rejected(reason=reason, method=method)
    if method == "refined":
        frame = see(picture, params.quality, model)
        return _refined(picture, frame, (n_elements, k_from), params, controls or Controls())
    grid = Grid.for_parent(height, width)
    scaling = find_scaling(picture)
    grid_image = downsize(picture, scaling, grid)
    quality = assess(grid_image, grid, scaling, params.quality, model)
    rejected = partial(rejected, grid=grid, scaling=scaling, quality=quality)
    if not quality.passed:
        return rejected(reason=quality.reason)
    found = preprocess(grid_image, params.preprocess)
    if isinstance(found, NothingFound):
        return rejected(reason=found.reason)
    clusters = cluster(found.filtered, n_elements, params.cluster)
    segmented = partial(
        rejected,
        k_from=k_from,
        bounding_box=grid.rectangle_to_parent(found.bounding_box),
        labels=clusters.labels,
        k=clusters.k,
        n_peaks=clusters.n_peaks,
        grid_bounding_box=found.bounding_box,
        cutoff=found.cutoff,
    )
    if clusters.reason is not None:
        return segmented(reason=clusters.reason)
    boxes, regions = box(clusters.labels, params.box)
    x0, y0, _, _ = found.bounding_box
    grid_boxes = boxes + np.array([x0, y0, 0], dtype=np.int32)
    return segmented(
        outcome="located",
        boxes=grid.to_parent(grid_boxes),
        regions=regions,
        grid_boxes=grid_boxes,
    )


def _check_method(method: Method, algorithm: Algorithm | None, controls: Controls | None) -> None:
    if method not in ("published", "refined"):
        raise ValueError(f"method: came {method!r}; expected 'published' or 'refined'")
    if method == "published" and controls is not None:
        raise ValueError("controls: came with method='published'; expected method='refined'")
    if method == "refined" and algorithm is not None:
        raise ValueError("algorithm: came with method='refined'; expected method='published'")


def _refined(
    picture: NDArray[Any],
    frame: Frame,
    known: tuple[int | None, KFrom],
    params: Parameters,
    controls: Controls,
) -> Result:
    n_elements, k_from = known
    rejected = partial(
        Result,
        outcome="rejected",
        method="refined",
        n_elements=n_elements,
        grid=Grid.for_parent(*picture.shape),
        scaling=frame.scaling,
        quality=frame.quality,
    )
    if not frame.quality.passed:
        return rejected(reason=frame.quality.reason)
    found = locate(picture, frame, n_elements, params.refined, controls)
    if isinstance(found, str):
        return rejected(reason=found)
    x0, y0, x1, y1 = zip(*(particle.bounding_box for particle in found.particles), strict=True)
    return rejected(
        outcome="located",
        k_from=k_from,
        k=1 + max(particle.k for particle in found.particles),
        bounding_box=(min(x0), min(y0), max(x1), max(y1)),
        boxes=found.boxes,
        regions=found.regions,
        particles=found.particles,
        owners=found.owners,
    )


def _known_elements(composition: str | None, n_elements: int | None) -> tuple[int | None, KFrom]:
    if n_elements is not None:
        check_range("n_elements", n_elements, 1, 118)
    if composition is None:
        return n_elements, "peaks" if n_elements is None else "n_elements"
    n = parse_composition(composition).n
    if n_elements is not None and n_elements != n:
        raise ValueError(
            f"n_elements: came {n_elements} with the composition {composition!r} of {n}; "
            "expected the same number, or one of the two"
        )
    return n, "composition"
