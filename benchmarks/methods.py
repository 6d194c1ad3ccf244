"""Both methods on every difficulty, as docs/method.md has it.

    python -m benchmarks.methods SEED[,SEED..] [IMAGES]

Prints a table in Markdown, over so many images of each seed. docs/method.md says which seeds were
used for tuning.
"""

from __future__ import annotations

import sys
from statistics import fmean

from pipeline import process
from pipeline.emulation import DIFFICULTIES, Difficulty, Emulated, emulate, examine
from pipeline.evaluation import Verdict, judge
from pipeline.locate import Method

METHODS: tuple[Method, ...] = ("published", "refined")
HEAD = "good % | coverage | outside | purity | boxes"


def row(name: str, images: list[Emulated]) -> str:
    """Judge the images of one difficulty under both methods."""
    cells = []
    for method in METHODS:
        verdicts = [verdict(made, method) for made in images]
        cells.append(f"{100 * fmean(v.good for v in verdicts):.0f}")
        cells += [
            f"{fmean(float(getattr(v, field)) for v in verdicts):.3f}"
            for field in ("coverage", "outside", "purity")
        ]
        cells.append(f"{fmean(v.n_boxes for v in verdicts):.0f}")
    return f"| {name} | {' | '.join(cells)} |"


def verdict(made: Emulated, method: Method) -> Verdict:
    """Judge one image under one method."""
    result = process(made.image, composition=made.composition, method=method)
    box = result.bounding_box if result.outcome == "located" else None
    return judge(made.truth, result.boxes, box, refuse=made.refuse)


def images_of(difficulty: Difficulty | None, seed: int, count: int) -> list[Emulated]:
    """Draw the images; of the library itself where no difficulty is named."""
    if difficulty is None:
        return [emulate(index, seed) for index in range(count)]
    return [examine(index, seed, difficulty) for index in range(count)]


def main() -> None:
    """Print the table."""
    seeds = [int(seed) for seed in sys.argv[1].split(",")]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    sys.stdout.write(f"| | {' | '.join(HEAD for _ in METHODS)} |\n")
    sys.stdout.write(f"| --- |{' ---: |' * 5 * len(METHODS)}\n")
    for difficulty in (None, *DIFFICULTIES):
        images = [made for seed in seeds for made in images_of(difficulty, seed, count)]
        sys.stdout.write(row(difficulty or "plain", images) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
