"""Hard images: each difficulty is what it says, and the same each time."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.emulation import DIFFICULTIES, SETTINGS, Difficulty, examine
from services.megalibrary import COLUMNS, EXAMINED, write_megalibrary

SIZE = 128


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_an_image_depends_on_seed_index_and_difficulty_alone(difficulty: Difficulty) -> None:
    first, again = (examine(3, 5, difficulty, size=SIZE) for _ in range(2))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.truth, again.truth)
    assert not np.array_equal(first.image, examine(4, 5, difficulty, size=SIZE).image)
    assert first.image.shape == first.truth.shape == (SIZE, SIZE)
    assert first.difficulty == difficulty


def parts(truth: NDArray[np.uint8]) -> int:
    return int(cv2.connectedComponents((truth > 0).astype(np.uint8))[0]) - 1


@pytest.mark.parametrize("index", range(4))
def test_each_difficulty_shows_what_it_says(index: int) -> None:
    made = {name: examine(index, 1, name, size=SIZE) for name in DIFFICULTIES}
    assert 2 <= parts(made["several"].truth) <= 3
    border = made["border"].truth
    assert any(edge.any() for edge in (border[0], border[-1], border[:, 0], border[:, -1]))
    for name in ("empty", "bare-lattice"):
        assert not made[name].truth.any()
    for name, one in made.items():
        assert one.refuse == (name in {"empty", "bright-field", "bare-lattice"})
        assert one.truth.any() == (SETTINGS[name].particles[1] > 0)
    bright = made["bright-field"]
    inside = bright.image[bright.truth > 0].mean()
    assert inside < bright.image[bright.truth == 0].mean()
    assert made["hot"].image.dtype == np.uint16
    assert made["gradient"].truth.max() == 1
    small = cv2.boundingRect((made["small"].truth > 0).astype(np.uint8))
    assert max(small[2:]) <= 0.23 * SIZE


def test_an_unknown_difficulty_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="difficulty: came 'odd'; expected one of"):
        examine(0, 1, "odd")  # type: ignore[arg-type]


def test_a_library_of_hard_images_says_so_and_a_plain_one_stays_as_it_was(
    tmp_path: Path,
) -> None:
    folder = tmp_path
    write_megalibrary(folder / "hard", 2, 3, sizes=(SIZE,), difficulty="empty")
    write_megalibrary(folder / "plain", 2, 3, sizes=(SIZE,))
    hard = (folder / "hard" / "metadata.csv").read_text().splitlines()
    assert hard[0] == ",".join(COLUMNS + EXAMINED)
    assert hard[1].endswith(",empty,1")
    assert (folder / "plain" / "metadata.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    assert "difficulty" not in (folder / "plain" / "megalibrary.json").read_text()
    with pytest.raises(ValueError, match="difficulty=empty"):
        write_megalibrary(folder / "hard", 2, 3, sizes=(SIZE,))
