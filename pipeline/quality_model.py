"""Where a trained model plugs into the quality gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .quality_measures import MEASURES


class QualityModel(Protocol):
    """Anything that says how likely a picture is to be usable. It is asked after the rules."""

    def usable(self, measures: Mapping[str, float], grid_image: NDArray[np.uint8]) -> float:
        """Return the probability (0..1) that the method can use this picture.

        Parameters
        ----------
        measures : mapping
            What the gate measured, by the names in `MEASURES`.
        grid_image : ndarray, uint8, (rows, columns)
            What it measured it on. Not to be written to.

        Returns
        -------
        float
        """
        ...


class ProbabilityClassifier(Protocol):
    """A fitted scikit-learn classifier, or pipeline that ends in one."""

    classes_: NDArray[Any]

    def predict_proba(self, x: NDArray[np.float64], /) -> NDArray[np.float64]:
        """Return (samples, classes) probabilities."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuresModel:
    """A scikit-learn classifier that was trained on the gate's measures.

    Parameters
    ----------
    classifier : ProbabilityClassifier
        Fitted on rows as `feature_row` makes them.
    usable_class : int or str
        Its label for pictures that can be used.

    Raises
    ------
    ValueError
        If the classifier does not know that label.
    """

    classifier: ProbabilityClassifier
    usable_class: int | str = 1

    def __post_init__(self) -> None:
        known = self.classifier.classes_.tolist()
        if self.usable_class not in known:
            raise ValueError(
                f"usable_class: came {self.usable_class!r}; "
                f"expected one of the classifier's {known}"
            )

    def usable(self, measures: Mapping[str, float], grid_image: NDArray[np.uint8]) -> float:
        """Ask the classifier; the picture itself is not looked at."""
        del grid_image
        column = self.classifier.classes_.tolist().index(self.usable_class)
        return float(self.classifier.predict_proba(feature_row(measures))[0, column])


def feature_row(measures: Mapping[str, float]) -> NDArray[np.float64]:
    """Put measures into the order that models are trained in.

    Parameters
    ----------
    measures : mapping

    Returns
    -------
    ndarray, float64, (1, len(MEASURES))
    """
    return np.array([[measures[name] for name in MEASURES]], dtype=np.float64)
