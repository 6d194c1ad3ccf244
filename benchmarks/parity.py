"""Agreement with the published code's outputs: `make parity`.

Runs the pipeline on the synthetic images and compares with what the published code returned for
them. Prints a line for each image, the targets, and for each image that differs more which
deliberate difference does it, found by switching differences back until the image agrees. Exit
status 0 if every target is met and every such image is explained, 1 if not, 2 without the data.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.published import DIFFERENCES, Located, locate
from pipeline import Grid, as_image, downsize, find_scaling

STARTS = 10
"""Random starts tried where the k-means is switched back: the published run was one such."""

BOX_CELLS = 2.0
LEAST_IOU = 0.99
COUNT_RATIO = (0.97, 1.03)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One image and what the published code returned for it, in grid cells."""

    name: str
    grid_image: NDArray[np.uint8]
    n_elements: int
    k: int
    bounding_box: tuple[float, ...]
    n_boxes: int
    boxed: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How far one result is from the published one."""

    box_cells: float
    same_k: bool
    iou: float
    count_ratio: float

    @property
    def agrees(self) -> bool:
        """Whether this image is within what is asked of the images together."""
        low, high = COUNT_RATIO
        close = self.box_cells <= BOX_CELLS and self.iou >= LEAST_IOU
        return close and self.same_k and low <= self.count_ratio <= high


def read_cases(folder: Path) -> list[Case]:
    """Read images and published outputs; real ones are scaled as the published run scaled them."""
    outputs = json.loads((folder / "published_code_outputs.json").read_text(encoding="utf-8"))
    return [_read_case(folder, name, output) for name, output in outputs.items()]


def _read_case(folder: Path, name: str, output: dict[str, Any]) -> Case:
    picture = np.asarray(Image.open(folder / name))
    if "scaled_to_8bit" in output:
        low, high = float(picture.min()), float(picture.max())
        picture = np.rint((picture - low) / (high - low) * 255.0).astype(np.uint8)
    picture = as_image(picture)
    grid = Grid.for_parent(*picture.shape)
    cells_per_pixel = grid.columns / grid.parent_width
    boxed = np.zeros(grid.shape, np.bool_)
    for corner in output["boxes"]:
        x, y, size = (round(value * cells_per_pixel) for value in corner)
        boxed[y : y + size, x : x + size] = True
    return Case(
        name=name,
        grid_image=downsize(picture, find_scaling(picture), grid),
        n_elements=output["n_elements"],
        k=output["k"],
        bounding_box=tuple(value * cells_per_pixel for value in output["bounding_box"]),
        n_boxes=len(output["boxes"]),
        boxed=boxed,
    )


def compare(case: Case, found: Located) -> Comparison:
    """Compare a result with the published one."""
    pairs = zip(found.bounding_box, case.bounding_box, strict=True)
    union = np.count_nonzero(found.boxed | case.boxed)
    return Comparison(
        box_cells=max(abs(ours - theirs) for ours, theirs in pairs),
        same_k=found.k == case.k,
        iou=np.count_nonzero(found.boxed & case.boxed) / union if union else 1.0,
        count_ratio=found.n_boxes / case.n_boxes,
    )


def explain(case: Case) -> tuple[str, ...] | None:
    """Find the fewest differences that, switched back, bring the image to agreement."""
    for count in range(1, len(DIFFERENCES) + 1):
        for names in combinations(DIFFERENCES, count):
            starts = range(STARTS if "k-means" in names else 1)
            found = (
                locate(case.grid_image, case.n_elements, frozenset(names), seed) for seed in starts
            )
            if any(compare(case, one).agrees for one in found):
                return names
    return None


def main() -> int:
    """Print the tables; return the exit status."""
    folder = Path(os.environ.get("HAADFLOW_DATA") or "../shared/data")
    if not (folder / "published_code_outputs.json").is_file():
        print(f"parity needs HAADFLOW_DATA: {folder} holds no published_code_outputs.json")
        return 2
    cases = read_cases(folder)
    compared = [(case, compare(case, locate(case.grid_image, case.n_elements))) for case in cases]
    print(f"{'image':<46}{'box off':>8}{'k':>6}{'area IoU':>10}{'boxes':>8}  because of")
    unexplained = 0
    for case, comparison in compared:
        because = ""
        if not comparison.agrees:
            names = explain(case)
            because = " + ".join(names) if names else "NOT EXPLAINED"
            unexplained += names is None and case.name.startswith("synthetic/")
        print(
            f"{case.name:<46}{comparison.box_cells:>8.1f}"
            f"{'same' if comparison.same_k else 'other':>6}"
            f"{comparison.iou:>10.4f}{comparison.count_ratio:>8.3f}  {because}"
        )
    synthetic = [found for case, found in compared if case.name.startswith("synthetic/")]
    missed = print_targets(synthetic)
    print_switched_back([case for case, _ in compared if case.name.startswith("synthetic/")])
    print(f"{unexplained} synthetic images differ more and are not explained; expected 0")
    return 1 if missed or unexplained else 0


def print_targets(found: list[Comparison]) -> int:
    """Print each target and what was reached; return how many were missed."""
    low, high = COUNT_RATIO
    near = sum(one.box_cells <= BOX_CELLS for one in found) / len(found)
    same = sum(one.same_k for one in found) / len(found)
    iou = median(one.iou for one in found)
    ratio = median(one.count_ratio for one in found)
    targets = [
        (f"bounding box within {BOX_CELLS:g} cells", f"{near:.1%}", ">= 98 %", near >= 0.98),
        ("k equal", f"{same:.1%}", ">= 90 %", same >= 0.90),
        ("boxed area, IoU, median", f"{iou:.4f}", f">= {LEAST_IOU}", iou >= LEAST_IOU),
        ("boxes, ratio, median", f"{ratio:.3f}", f"{low}..{high}", low <= ratio <= high),
    ]
    print(f"\n{len(found)} synthetic images")
    for what, reached, asked, met in targets:
        print(f"{what:<32}{reached:>10}   asked {asked:<12}{'met' if met else 'MISSED'}")
    return sum(not met for _, _, _, met in targets)


def print_switched_back(cases: list[Case]) -> None:
    """Print how close the pipeline comes with all differences but the random start undone."""
    names = frozenset(DIFFERENCES) - {"k-means"}
    found = [compare(case, locate(case.grid_image, case.n_elements, names)) for case in cases]
    print(
        f"\nwith {', '.join(name for name in DIFFERENCES if name in names)} switched back: "
        f"bounding box exact on {sum(one.box_cells == 0 for one in found)}, "
        f"k equal on {sum(one.same_k for one in found)}, "
        f"area the same on {sum(one.iou == 1.0 for one in found)} of {len(found)} "
        f"(lowest IoU {min(one.iou for one in found):.4f})"
    )


if __name__ == "__main__":
    sys.exit(main())
