"""The refined method as a stage: what it hands on is what `process` returns."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline import process
from pipeline.emulation import emulate, examine
from pipeline.refined.params import Controls
from protocols import decode, encode
from protocols.messages import Envelope, Located, Metadata, Rejected, SurveyImage
from services.detectors.files import read_image
from services.refined import Refined, build
from services.runtime.stage import ParameterError
from services.wishes import Wishes


def handled(
    image: NDArray[Any],
    metadata: dict[str, Any] | None = None,
    **wishes: Any,  # noqa: ANN401
) -> tuple[Located | Rejected, dict[str, Any]]:
    about = Metadata(parent_id="p", source="s", **(metadata or {}))
    frame = SurveyImage(envelope=Envelope(run="r", seq=0, metadata=about), image=image)
    message, findings = build(wishes).handle(frame)
    assert isinstance(message, Located | Rejected)
    # what the sink gets
    (again,) = (decode(encode(message)),)
    assert isinstance(again, Located | Rejected)
    return again, findings


def test_its_boxes_are_those_of_the_pipeline() -> None:
    made = emulate(2, 11, size=256)
    expected = process(made.image, n_elements=3, method="refined")
    message, findings = handled(made.image, {"n_elements": 3})
    assert isinstance(message, Located)
    assert np.array_equal(message.boxes, expected.boxes)  # of one particle all are in its order
    assert np.array_equal(message.regions, expected.regions)
    assert message.k == expected.k
    (particle,) = findings["particles"]
    assert particle["boxes"] == len(expected.boxes)
    assert tuple(particle["bounding_box"]) == expected.bounding_box


def test_each_particle_is_in_the_record_with_its_boxes() -> None:
    made = examine(0, 77, "several", size=256)
    message, findings = handled(made.image)
    assert isinstance(message, Located)
    assert len(findings["particles"]) > 1
    expected = process(made.image, method="refined")
    first = 0
    for recorded, particle in zip(findings["particles"], expected.particles, strict=True):
        assert recorded["first_box"] == first
        first += recorded["boxes"]
        mine = message.boxes[recorded["first_box"] : first]
        assert np.array_equal(mine, particle.boxes)
        assert tuple(recorded["bounding_box"]) == particle.bounding_box
    assert first == len(message.boxes) == len(expected.boxes)


@pytest.mark.realdata
def test_thousands_of_boxes_get_through(data_dir: Path) -> None:
    message, findings = handled(read_image(data_dir / "real" / "21_PtCo.png").image)
    assert isinstance(message, Located)
    assert len(findings["particles"]) > 10
    assert len(message.boxes) > 4096


def test_wishes_are_kept_and_the_pixel_size_comes_with_the_image() -> None:
    made = emulate(2, 11, size=256)
    few, _ = handled(made.image, max_boxes=20)
    assert isinstance(few, Located)
    assert len(few.boxes) == 20
    in_nm, _ = handled(made.image, {"pixel_size_nm": 0.5}, min_box_nm=4.0)
    expected = process(
        made.image, method="refined", controls=Controls(min_box_nm=4.0, pixel_size_nm=0.5)
    )
    assert isinstance(in_nm, Located)
    assert np.array_equal(in_nm.boxes, expected.boxes)
    without, _ = handled(made.image, min_box_nm=4.0)
    assert isinstance(without, Rejected)
    assert without.reason.startswith("no pixel size: ")


@pytest.mark.parametrize("size", [1e9, 1e7, 1e-9, 5e-324])
def test_a_pixel_size_that_no_microscope_has_matters_only_to_wishes_in_nm(size: float) -> None:
    made = emulate(2, 11, size=256)
    about = {"pixel_size_nm": size}
    anyway, _ = handled(made.image, about)
    assert isinstance(anyway, Located)
    assert np.array_equal(anyway.boxes, process(made.image, method="refined").boxes)
    in_nm, _ = handled(made.image, about, max_box_nm=4.0)
    assert isinstance(in_nm, Rejected)
    assert in_nm.reason.startswith(f"no pixel size: boxes were asked for in nm and {size!r} came;")


@pytest.mark.parametrize("size", [0, -1.0, math.nan, math.inf, "0.5 nm", "", [0.5]])
def test_what_is_no_pixel_size_is_not_known(size: object) -> None:
    assert Wishes().of(size) == Controls()
    assert "no pixel size" in str(Wishes(min_box_nm=1.0).of(size))


def test_a_pixel_size_that_can_be_counted_with_is_kept() -> None:
    assert Wishes(min_box_nm=1.0).of(0.5) == Controls(min_box_nm=1.0, pixel_size_nm=0.5)


def test_what_is_refused_says_the_number_that_decided_it() -> None:
    message, findings = handled(examine(0, 77, "empty", size=256).image)
    assert isinstance(message, Rejected)
    assert (message.stage, message.parent_height) == ("refined", 256)
    assert any(character.isdigit() for character in message.reason)
    assert findings["quality"]
    tiny, _ = handled(np.zeros((4, 4), np.uint8))
    assert isinstance(tiny, Rejected)


@pytest.mark.parametrize(
    ("wishes", "field"),
    [
        ({"max_boxes": 0}, "max_boxes"),
        ({"purity": 2.0}, "purity"),
        ({"particles": "some"}, "particles"),
        ({"min_box_nm": 5.0, "max_box_nm": 1.0}, "min_box_nm"),
        ({"pixel_size_nm": 1.0}, "pixel_size_nm"),
        ({"max_box": 1}, "max_box"),
    ],
)
def test_a_wrong_wish_is_named(wishes: dict[str, Any], field: str) -> None:
    with pytest.raises(ParameterError, match=field):
        build(wishes)


def test_its_parameters_go_into_the_record() -> None:
    assert isinstance(build({}), Refined)
    assert build({"max_boxes": 7}).parameters["max_boxes"] == 7
