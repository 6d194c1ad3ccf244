"""Pictures show the boxes where they are, whatever the image, and never lead out of the folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from protocols.messages import Outcome
from services.results import ResultStore, Writer
from services.results.canvas import (
    REGION_COLOURS,
    blank,
    grey_for_display,
    shortened,
    text_width,
    write_text,
)
from services.results.distributions import draw_distributions
from services.results.hero import draw_hero
from services.results.overlay import draw_overlay, picture_of
from services.results.painting import draw_scale_bar, length_text, round_length
from services.results.pictures import overlay_name, write_pictures
from services.results.sheet import contact_sheet
from services.results.statistics import Statistics
from tests.helpers.outcomes import failed, located, rejected, walked

FLAT = np.full((512, 1024), 100, np.uint16)
FLAT[0, 0] = 0


def _read(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path))
    assert picture is not None
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def _distance(pixel: NDArray[np.uint8], colour: tuple[int, int, int]) -> float:
    return float(np.abs(pixel.astype(int) - colour).max())


def test_each_box_is_outlined_in_its_regions_colour_and_nothing_else_is_coloured() -> None:
    frame = located(0, [[100, 100, 40], [300, 200, 60], [500, 300, 90]])
    picture = picture_of(FLAT, frame, 1024)
    for (x, y, size), region in zip(frame.boxes.tolist(), frame.regions.tolist(), strict=True):
        for corner in (picture[y, x], picture[y, x + size], picture[y + size, x + size // 2]):
            assert _distance(corner, REGION_COLOURS[region - 1]) < 60
    inside = np.zeros(FLAT.shape, bool)
    for x, y, size in frame.boxes.tolist():
        inside[y : y + size + 1, x : x + size + 1] = True
    outside = picture[~inside]
    assert (outside[:, 0] == outside[:, 1]).all()
    assert (outside[:, 1] == outside[:, 2]).all()


def test_boxes_keep_their_place_at_any_scale() -> None:
    frame = located(0, [[256, 128, 128]])
    small = picture_of(FLAT, frame, 256)
    assert small.shape == (128, 256, 3)
    coloured = np.argwhere(np.ptp(small.astype(int), axis=2) > 60)
    assert coloured.min(axis=0).tolist() == [32, 64]
    assert coloured.max(axis=0).tolist() == [64, 96]


def test_what_was_rejected_is_drawn_without_boxes(tmp_path: Path) -> None:
    picture = picture_of(FLAT, rejected(0), 1024)
    assert (picture == picture[:, :, :1]).all()
    draw_overlay(FLAT, rejected(0), tmp_path / "r.png")
    assert _read(tmp_path / "r.png").shape[0] > 512


IMAGES: list[Any] = [
    np.arange(300, dtype=np.int32).reshape(20, 15) - 150,
    np.full((16, 16), np.nan, np.float32),
    np.where(np.eye(40) > 0, np.inf, np.random.default_rng(1).normal(0, 1e300, (40, 40))),
    np.random.default_rng(1).random((30, 2000)),
    np.random.default_rng(1).random((2000, 30)).astype(np.float16),
    np.zeros((50, 60, 3), np.uint8),
    np.zeros((8, 9), bool),
    np.zeros(17, np.uint8),
    np.zeros((4, 4), np.complex64),
    np.zeros((0, 4), np.uint8),
    None,
]


@pytest.mark.parametrize("image", IMAGES, ids=lambda i: "none" if i is None else str(i.shape))
@pytest.mark.parametrize("outcome", [located(0), located(1, []), rejected(2), failed(3)])
def test_any_image_or_none_can_be_drawn(
    tmp_path: Path, image: NDArray[Any] | None, outcome: Outcome
) -> None:
    before = None if image is None else image.copy()
    draw_overlay(image, outcome, tmp_path / "o.png")
    picture = _read(tmp_path / "o.png")
    assert picture.shape[1] >= 640
    assert max(picture.shape) <= 1024 + 136
    if image is not None:
        np.testing.assert_array_equal(image, before)


def test_a_few_hot_pixels_do_not_darken_the_picture() -> None:
    image = np.random.default_rng(1).integers(15_131, 19_023, (256, 256)).astype(np.uint16)
    image[5, 5] = 65_535
    grey = grey_for_display(image, 512)
    assert grey is not None
    assert 100 < np.median(grey) < 155


@given(name=st.text(max_size=300), seq=st.integers(0, 10**7))
def test_the_name_of_an_overlay_is_a_plain_file_name(name: str, seq: int) -> None:
    file = overlay_name(located(seq, parent_id=name))
    assert re.fullmatch(r"\d{6,8}_[A-Za-z0-9._-]{1,80}\.png", file)
    assert Path(file).name == file
    assert int(file.partition("_")[0]) == seq


@pytest.mark.parametrize("evil", ["../../etc/passwd", "/etc/passwd", "..", "a\x00b", "CON", ""])
def test_no_parent_id_leads_out_of_the_folder(tmp_path: Path, evil: str) -> None:
    path = (tmp_path / overlay_name(located(3, parent_id=evil))).resolve()
    assert path.parent == tmp_path.resolve()


def test_a_run_gets_its_overlays_sheet_and_distributions(tmp_path: Path) -> None:
    def read_image(result: Outcome) -> NDArray[Any] | None:
        if result.envelope.seq == 1:
            raise OSError("the disk is gone")
        return FLAT

    with ResultStore(tmp_path / "r.sqlite", writer=Writer.this()) as store:
        store.commit([located(seq) for seq in range(5)] + [rejected(5), failed(6)])
        pictures = write_pictures(store, tmp_path / "out", read_image, first=4)
    assert [path.name for path in pictures.overlays] == [
        f"{seq:06d}_particle-{seq:04d}.png" for seq in range(4)
    ]
    assert all(path.is_file() for path in (*pictures.overlays, pictures.sheet))
    assert pictures.distributions.is_file()
    assert pictures.unread == {"particle-0001": "the disk is gone"}


def test_a_sheet_has_ten_in_a_row(tmp_path: Path) -> None:
    contact_sheet(((located(seq), FLAT) for seq in range(100)), tmp_path / "s.png")
    height, width, _ = _read(tmp_path / "s.png").shape
    assert width == 10 * 202 + 10
    assert height == 10 * 242 + 10


@pytest.mark.parametrize("outcomes", [[], [rejected(0)], [located(0, [])], [located(0)]])
def test_distributions_and_sheets_of_next_to_nothing_can_be_drawn(
    tmp_path: Path, outcomes: list[Outcome]
) -> None:
    draw_distributions(Statistics.of(outcomes), tmp_path / "d.png")
    contact_sheet([(outcome, FLAT) for outcome in outcomes], tmp_path / "s.png")
    assert (tmp_path / "d.png").is_file()
    assert (tmp_path / "s.png").is_file()


def test_the_same_result_gives_the_same_pictures(tmp_path: Path) -> None:
    frame = located(0, walked(3, 900), pixel_size_nm=0.05, composition="Au40Cu60")
    for name in ("a", "b"):
        draw_overlay(FLAT, frame, tmp_path / f"{name}.png")
        draw_distributions(Statistics.of([frame]), tmp_path / f"{name}d.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "ad.png").read_bytes() == (tmp_path / "bd.png").read_bytes()


def test_the_hero_shows_image_regions_and_boxes(tmp_path: Path) -> None:
    draw_hero(FLAT, located(0, [[256, 128, 128]], composition="Au40Cu60"), tmp_path / "h.png")
    picture = _read(tmp_path / "h.png")
    assert picture.shape[1] == 1616
    # The middle panel begins at x = 552; its box is filled with the region's colour.
    centre = picture[84 + (512 - 256) // 2 + 96, 552 + 160]
    assert _distance(centre, REGION_COLOURS[0]) < 8
    with pytest.raises(ValueError, match="expected"):
        draw_hero(np.zeros(3), located(0), tmp_path / "h.png")


@pytest.mark.parametrize(
    ("longest", "length", "text"),
    [(7.3, 5, "5 nm"), (1999, 1000, "1 µm"), (20, 20, "20 nm"), (0.03, 0.02, "20 pm")],
)
def test_scale_bars_have_round_lengths(longest: float, length: float, text: str) -> None:
    assert round_length(longest) == pytest.approx(length)
    assert length_text(round_length(longest)) == text


def test_the_scale_bar_is_as_long_as_it_says() -> None:
    picture = blank(512, 1024, (0, 0, 0))
    draw_scale_bar(picture, located(0, pixel_size_nm=0.5))
    # 0.22 of 512 nm, rounded down, is 100 nm: 200 pixels.
    bar = np.flatnonzero((picture == 240).all(axis=2).sum(axis=1) == 200)
    assert len(bar) >= 3
    bare = blank(512, 1024, (0, 0, 0))
    draw_scale_bar(bare, located(0))
    assert not bare.any()


def test_long_lines_are_shortened_in_the_middle_and_cut_at_the_edge() -> None:
    line = shortened("particle_" * 40 + "end", 300, 18)
    assert text_width(line, 18) <= 300
    assert line.startswith("particle_")
    assert line.endswith("end")
    picture = blank(10, 10)
    write_text(picture, "wide", (5, 5), size=20)
    write_text(picture, "outside", (50, 50), size=20)
