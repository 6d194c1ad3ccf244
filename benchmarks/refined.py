"""The refined method's time beside the published one's, picture by picture in turn, on one thread.

    python -m benchmarks.refined [ROUNDS]

Prints a table in Markdown: of each size the median over the images of the least time of a call, and
the median of their ratios. The least of many calls, because others use the machine, too.
"""

from __future__ import annotations

import sys
import time
from statistics import median
from typing import Any

import cv2
from numpy.typing import NDArray

from pipeline import process
from pipeline.emulation import emulate
from pipeline.locate import Method
from pipeline.warm import warm_up

SEED = 5
IMAGES = 12
ROUNDS = 60
SIDES = (512, 1024)
METHODS: tuple[Method, ...] = ("published", "refined")


def images_of(side: int) -> list[tuple[NDArray[Any], str]]:
    """Draw images of the library, all brought to one size."""
    made = [emulate(index, SEED) for index in range(IMAGES)]
    return [(_sized(one.image, side), one.composition) for one in made]


def _sized(image: NDArray[Any], side: int) -> NDArray[Any]:
    smaller = side < image.shape[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return image if side == image.shape[0] else cv2.resize(image, (side, side), interpolation=how)


def least_ms(image: NDArray[Any], composition: str, rounds: int) -> dict[Method, float]:
    """Measure the least time of a call under either method, one after the other."""
    least = dict.fromkeys(METHODS, float("inf"))
    for _ in range(rounds):
        for method in METHODS:
            started = time.perf_counter()
            process(image, composition=composition, method=method)
            least[method] = min(least[method], 1e3 * (time.perf_counter() - started))
    return least


def main() -> None:
    """Print the table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    cv2.setNumThreads(1)
    warm_up(refined=True)
    sys.stdout.write("| | published, ms | refined, ms | ratio, median (least..most) |\n")
    sys.stdout.write("| --- | ---: | ---: | ---: |\n")
    for side in SIDES:
        times = [least_ms(*one, rounds) for one in images_of(side)]
        ratios = [one["refined"] / one["published"] for one in times]
        published, refined = (median(one[method] for one in times) for method in METHODS)
        sys.stdout.write(
            f"| {side} px | {published:.2f} | {refined:.2f} | "
            f"{median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f}) |\n"
        )


if __name__ == "__main__":
    main()
