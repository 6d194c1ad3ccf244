"""Judges a method on a folder of images: against truth masks, or by the variance it explains.

The published method is judged in the same run, so that figures of two machines, two folders or
two versions are never compared.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import Result, process
from pipeline.evaluation import (
    Verdict,
    by_gain,
    explained,
    explained_by_grid,
    judge,
    particle_domain,
)
from protocols.messages import Metadata

from .detectors.file_finding import find_images
from .detectors.files import UnreadableImage, read_image
from .detectors.metadata import Resolver, with_file_metadata
from .megalibrary import PLAIN, TRUTH
from .results.whole_files import write_whole

REFERENCE = "published"
METHODS = (REFERENCE, "refined")

POINTS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
"""Shares of an image's boxes at which the explained variance is written down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One image under one method.

    Parameters
    ----------
    name : str
        Of its file.
    difficulty : str
        "plain" where the table says none.
    method : str
    outcome, reason : str
        Of `process`.
    n_boxes : int
    verdict : Verdict or None
        None without a truth mask.
    curve : tuple of (boxes, explained, explained by a uniform grid of as many points)
        Empty without boxes.
    """

    name: str
    difficulty: str
    method: str
    outcome: str
    reason: str | None
    n_boxes: int
    verdict: Verdict | None
    curve: tuple[tuple[int, float, float], ...]

    @property
    def badness(self) -> tuple[bool, float]:
        """Sorts the worst last."""
        if self.verdict is None:
            return False, -(self.curve[-1][1] - self.curve[-1][2]) if self.curve else 1.0
        short = 1.0 - self.verdict.coverage + self.verdict.outside + 1.0 - self.verdict.purity
        return not self.verdict.good, short


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image with what both methods made of it."""

    path: Path
    metadata: Metadata
    results: dict[str, Result]
    judged: dict[str, Judged]


def evaluate_folder(
    folder: Path, methods: Iterable[str] = METHODS, *, first: int | None = None
) -> Iterator[Image]:
    """Judge the images of a folder, one after another, in their order.

    Parameters
    ----------
    folder : Path
        Images; truth masks of the same names in `truth/` if there are any: 0 background, other
        numbers the phases. `haadflow emulate` writes such folders.
    methods : iterable of str
    first : int, optional
        Only so many images.

    Raises
    ------
    ValueError
        If a mask is not of its image's shape, or a table cannot be used.
    UnreadableImage
        If a file cannot be read.
    """
    resolver = Resolver()
    for number, found in enumerate(find_images([folder])):
        if first is not None and number >= first:
            return
        read = read_image(found.path)
        metadata = with_file_metadata(resolver.metadata_of(found), read)
        truth = _truth(folder / TRUTH, found.path, read.image.shape)
        results, judged = {}, {}
        for method in methods:
            result = process(
                read.image,
                composition=metadata.composition,
                n_elements=None if metadata.composition else metadata.n_elements,
                method="refined" if method == "refined" else "published",
            )
            results[method] = result
            judged[method] = _judge(read.image, metadata, truth, result)
        yield Image(path=found.path, metadata=metadata, results=results, judged=judged)


def _truth(folder: Path, image: Path, shape: tuple[int, ...]) -> NDArray[np.integer] | None:
    for path in (folder / image.name, folder / f"{image.stem}.png"):
        if not path.is_file():
            continue
        truth: NDArray[Any] = read_image(path).image
        if truth.dtype.kind not in "iu" or truth.shape != shape:
            raise ValueError(
                f"{path}: came {truth.dtype} of {truth.shape}; expected whole numbers of "
                f"{shape}, as the image has"
            )
        return truth
    return None


def _judge(
    image: NDArray[Any],
    metadata: Metadata,
    truth: NDArray[np.integer] | None,
    result: Result,
) -> Judged:
    verdict = None
    if truth is not None:
        refuse = metadata.extra.get("refuse", "0") == "1"
        box = result.bounding_box if result.outcome == "located" else None
        verdict = judge(truth, result.boxes, box, refuse=refuse)
    return Judged(
        name=Path(metadata.source).name,
        difficulty=metadata.extra.get("difficulty", PLAIN),
        method=result.method,
        outcome=result.outcome,
        reason=result.reason,
        n_boxes=len(result.boxes),
        verdict=verdict,
        curve=_curve(image, truth, result.boxes),
    )


def _curve(
    image: NDArray[Any], truth: NDArray[np.integer] | None, boxes: NDArray[np.int32]
) -> tuple[tuple[int, float, float], ...]:
    """Measure how much the best 2 %, 5 %, .. of the boxes explain, and a grid of as many points."""
    domain = particle_domain(image) if truth is None else np.asarray(truth > 0)
    if not len(boxes) or not domain.any():
        return ()
    shares = explained(image, domain, boxes[by_gain(image, domain, boxes)])
    counts = sorted({max(round(point * len(boxes)), 1) for point in POINTS})
    return tuple(
        (count, float(shares[count]), explained_by_grid(image, domain, count)) for count in counts
    )


def summary(judged: list[Judged]) -> dict[str, Any]:
    """Sum up, for each difficulty and method, in figures for a program.

    Parameters
    ----------
    judged : list of Judged

    Returns
    -------
    dict
        difficulty -> method -> figures; shares are 0..1, means over the images that have them.
    """
    table: dict[str, Any] = {}
    for one in judged:
        table.setdefault(one.difficulty, {}).setdefault(one.method, []).append(one)
    return {
        difficulty: {method: _figures(ones) for method, ones in methods.items()}
        for difficulty, methods in table.items()
    }


def _figures(ones: list[Judged]) -> dict[str, Any]:
    verdicts = [one.verdict for one in ones if one.verdict is not None]
    found = [verdict for verdict in verdicts if not verdict.to_refuse]
    curves = [one.curve for one in ones if one.curve]
    return {
        "images": len(ones),
        "refused": sum(one.outcome == "rejected" for one in ones),
        "good": _mean(verdict.good for verdict in verdicts),
        "enclosed": _mean(verdict.enclosed for verdict in found),
        "covered": _mean(verdict.covered for verdict in found),
        "pure": _mean(verdict.pure for verdict in found),
        "coverage": _mean(verdict.coverage for verdict in found),
        "outside": _mean(verdict.outside for verdict in found),
        "purity": _mean(verdict.purity for verdict in found),
        "boxes": _mean(one.n_boxes for one in ones),
        "explained": _mean(curve[-1][1] for curve in curves),
        "explained_by_grid": _mean(curve[-1][2] for curve in curves),
    }


def _mean(values: Iterable[float]) -> float | None:
    values = [float(value) for value in values]
    return fmean(values) if values else None


def as_json(judged: list[Judged]) -> dict[str, Any]:
    """Everything that was measured: the sums, and image by image."""
    return {
        "by_difficulty": summary(judged),
        "images": [
            {
                "file": one.name,
                "difficulty": one.difficulty,
                "method": one.method,
                "outcome": one.outcome,
                "reason": one.reason,
                "boxes": one.n_boxes,
                "criteria": _criteria(one.verdict),
                "explained": [
                    {"boxes": count, "explained": share, "by_grid": grid}
                    for count, share, grid in one.curve
                ],
            }
            for one in judged
        ],
    }


def _criteria(verdict: Verdict | None) -> dict[str, Any] | None:
    if verdict is None:
        return None
    return {name: getattr(verdict, name) for name in Verdict.__dataclass_fields__}


def draw_curves(judged: list[Judged], path: Path) -> None:
    """Plot explained variance over the number of boxes, one line an image and method.

    Parameters
    ----------
    judged : list of Judged
    path : Path
        The PNG to write.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second to load, for this alone

    figure = Figure(figsize=(9, 6), dpi=110, layout="constrained")
    axes = figure.subplots()
    colours = {REFERENCE: "#e69f00", "refined": "#56b4e9"}
    alpha = 0.9 if len(judged) < 20 else 0.25
    named: set[str] = set()
    for one in judged:
        counts = [count for count, _, _ in one.curve]
        lines = {one.method: [share for _, share, _ in one.curve]}
        lines[f"uniform grid, as many points as {one.method}"] = [grid for _, _, grid in one.curve]
        for name, shares in lines.items():
            axes.plot(
                counts,
                shares,
                color=colours.get(one.method, "black"),
                linestyle="-" if name == one.method else ":",
                alpha=alpha,
                label=None if name in named else name,
            )
            named.add(name)
    axes.set_xscale("log")
    axes.set_ylim(0.0, 1.0)
    axes.set_xlabel("boxes, the best first")
    axes.set_ylabel("share of the particle's variance explained")
    axes.spines[["top", "right"]].set_visible(False)
    if named:
        axes.legend(frameon=False)
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    write_whole(path, content.getvalue())


__all__ = [
    "METHODS",
    "REFERENCE",
    "Image",
    "Judged",
    "UnreadableImage",
    "as_json",
    "draw_curves",
    "evaluate_folder",
    "summary",
]
