"""A trained model behind the rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline.grid import Grid
from pipeline.quality import QualityParams, assess
from pipeline.quality_measures import MEASURES
from pipeline.quality_model import MeasuresModel, ProbabilityClassifier, QualityModel, feature_row
from pipeline.scale import find_scaling
from tests.helpers.gate_corpus import KINDS, judge, pictures

GRID = Grid(rows=128, columns=128, parent_height=128, parent_width=128)


class Constant:
    """Answers the same for every picture, and counts."""

    def __init__(self, answer: float) -> None:
        self.answer = answer
        self.asked = 0

    def usable(self, measures: Mapping[str, float], grid_image: NDArray[np.uint8]) -> float:
        self.asked += 1
        assert set(measures) == set(MEASURES)
        assert grid_image.shape == (128, 128)
        return self.answer


def particle(brightness: float = 120.0) -> NDArray[np.uint8]:
    y, x = np.mgrid[:128, :128] - 63.5
    noise = np.random.default_rng(2).standard_normal((128, 128))
    picture: NDArray[np.float64] = 30.0 + brightness * (x * x + y * y < 900.0) + 3.0 * noise
    return picture.astype(np.uint8)


def judge_with(model: QualityModel, image: NDArray[np.uint8], limit: float = 0.5) -> str | None:
    params = QualityParams(min_probability=limit)
    return assess(image, GRID, find_scaling(image), params, model).reason


@cache
def training_set() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Measures of pictures of every kind; 1 where the gate should pass them."""
    rows, labels = [], []
    for kind in KINDS:
        for image in pictures(kind, 5, 3):
            measures = judge(image).measures
            if measures:
                rows.append(feature_row(measures)[0])
                labels.append(int("passed" in kind.right))
    return np.array(rows), np.array(labels)


def fitted(name: str) -> ProbabilityClassifier:
    """Fit a scikit-learn classifier, which has no types, on the gate's measures."""
    classifier: Any
    if name == "forest":
        classifier = RandomForestClassifier(n_estimators=20, random_state=0)  # type: ignore[no-untyped-call]
    else:
        classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))  # type: ignore[no-untyped-call]
    known: ProbabilityClassifier = classifier.fit(*training_set())
    return known


@pytest.mark.parametrize("name", ["logistic regression", "forest"])
def test_a_fitted_scikit_learn_classifier_plugs_in(name: str) -> None:
    model = MeasuresModel(classifier=fitted(name))
    image = particle()
    quality = assess(image, GRID, find_scaling(image), model=model)
    assert quality.passed
    assert 0.5 <= quality.measures["usable"] <= 1.0
    doubtful = {**quality.measures, "edge_to_texture": 1.7, "contrast_to_texture": 1.7}
    assert model.usable(doubtful, image) < quality.measures["usable"]


def test_a_picture_the_model_doubts_is_refused_with_its_probability() -> None:
    reason = judge_with(Constant(0.3), particle())
    assert reason == (
        "model: the trained model gives the picture a probability of 0.30 to be usable; "
        "expected at least 0.50"
    )
    assert judge_with(Constant(0.3), particle(), limit=0.25) is None


def test_the_model_is_not_asked_about_what_the_rules_refuse() -> None:
    model = Constant(1.0)
    reason = judge_with(model, np.zeros((128, 128), np.uint8))
    assert reason is not None
    assert reason.startswith("empty")
    assert model.asked == 0


@pytest.mark.parametrize("answer", [-0.1, 1.1, float("nan")])
def test_an_answer_that_is_no_probability_is_an_error(answer: float) -> None:
    with pytest.raises(ValueError, match=re.escape(f"model: came {answer}; expected")):
        judge_with(Constant(answer), particle())


def test_a_classifier_that_does_not_know_the_class_is_refused() -> None:
    classifier = LogisticRegression()  # type: ignore[no-untyped-call]  # scikit-learn has no types
    classifier.fit([[0.0], [1.0]], ["bad", "good"])
    assert MeasuresModel(classifier=classifier, usable_class="good").usable_class == "good"
    with pytest.raises(ValueError, match=r"usable_class: came 1; expected one of .*'bad', 'good'"):
        MeasuresModel(classifier=classifier)
