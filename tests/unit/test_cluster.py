"""Peaks, Procedure 1, exact k-means and the regions."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from pipeline import ClusterParams, choose_k, cluster
from pipeline.kmeans import optimal_thresholds, optimal_thresholds_up_to
from pipeline.peaks import count_peaks
from tests.helpers import reference_cluster

COUNTS = st.integers(0, 2000)
HISTOGRAMS = hnp.arrays(np.int64, 256, elements=COUNTS, fill=st.just(0))


@st.composite
def few_levels(draw: st.DrawFn) -> NDArray[np.int64]:
    """A histogram of at most eight levels, so that every split can be tried."""
    histogram = np.zeros(256, np.int64)
    levels = draw(st.lists(st.integers(0, 255), min_size=1, max_size=8, unique=True))
    for level in levels:
        histogram[level] = draw(st.integers(1, 50))
    return histogram


@settings(max_examples=200, deadline=None)
@given(HISTOGRAMS | few_levels(), st.integers(2, 40), st.integers(0, 30))
def test_peaks_are_those_of_scipy_above_the_prominence(
    histogram: NDArray[np.int64], bins: int, percent: int
) -> None:
    expected = reference_cluster.count_peaks(histogram, bins, percent)
    assert count_peaks(histogram, bins, percent) == expected


def test_a_peak_in_the_last_bin_counts_and_one_in_the_first_does_not() -> None:
    histogram = np.zeros(256, np.int64)
    histogram[[50, 100, 200]] = [1000, 10, 500]
    assert count_peaks(histogram, 20, 5) == 1
    histogram[1] = 1
    assert count_peaks(histogram, 20, 5) == 2


def test_one_single_level_is_one_peak_and_background_alone_none() -> None:
    histogram = np.zeros(256, np.int64)
    histogram[0] = 99
    assert count_peaks(histogram, 20, 5) == 0
    histogram[77] = 5
    assert count_peaks(histogram, 20, 5) == 1


@pytest.mark.parametrize(
    ("n_peaks", "n_elements", "k"),
    [(0, 3, 4), (1, 1, 2), (2, 1, 3), (2, 2, 3), (3, 2, 4), (4, 2, 3), (2, 4, 5), (5, 4, 6)],
)
def test_procedure_1_follows_the_peaks_unless_they_are_far_from_the_elements(
    n_peaks: int, n_elements: int, k: int
) -> None:
    assert choose_k(n_peaks, n_elements) == k


@pytest.mark.parametrize(("n_peaks", "k"), [(0, 2), (1, 2), (2, 3), (6, 7)])
def test_without_elements_the_peaks_alone_decide(n_peaks: int, k: int) -> None:
    assert choose_k(n_peaks, None) == k


def test_no_elements_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="n_elements: came 0"):
        choose_k(2, 0)


@settings(max_examples=60, deadline=None)
@given(few_levels(), st.integers(1, 6))
def test_k_means_finds_the_split_that_trying_all_of_them_finds(
    histogram: NDArray[np.int64], k: int
) -> None:
    assert optimal_thresholds(histogram, k) == reference_cluster.optimal_thresholds(histogram, k)


def test_of_equally_good_splits_the_lowest_last_threshold_wins() -> None:
    histogram = np.zeros(256, np.int64)
    histogram[[10, 20, 30]] = 1
    assert optimal_thresholds(histogram, 2) == (20,)
    histogram[40] = 1
    assert optimal_thresholds(histogram, 3) == (20, 30)


@pytest.mark.parametrize("levels", [1, 2, 5, 60, 256])
def test_thresholds_of_each_number_of_clusters_are_those_found_one_by_one(levels: int) -> None:
    rng = np.random.default_rng(levels)
    histogram = np.zeros(256, np.int64)
    histogram[rng.choice(256, levels, replace=False)] = rng.integers(1, 50, levels)
    thresholds = optimal_thresholds_up_to(histogram, 9)
    assert len(thresholds) == min(levels, 9)
    for k in range(1, len(thresholds) + 1):
        assert tuple(thresholds[k - 1, : k - 1].tolist()) == optimal_thresholds(histogram, k)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_k_means_is_never_worse_than_scikit_learns(seed: int, k: int) -> None:
    generator = np.random.default_rng(seed)
    means = generator.integers(20, 240, 3)
    values = np.clip(generator.normal(means[generator.integers(0, 3, 150)], 15), 0, 255)
    pixels = values.astype(np.uint8)
    histogram = np.bincount(pixels, minlength=256)
    theirs = KMeans(k, n_init=3, random_state=0)  # type: ignore[no-untyped-call] # no types there
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer gray levels than clusters
        centers = theirs.fit(pixels[:, None].astype(float)).cluster_centers_.ravel()
    distances = np.abs(pixels[:, None] - centers).min(axis=1)
    exact = float(reference_cluster.cost(histogram, optimal_thresholds(histogram, k)))
    assert exact <= np.sum(distances**2) * (1 + 1e-9)


def test_the_cluster_of_intensity_zero_is_background_and_regions_rise_in_intensity() -> None:
    filtered = np.array([[0, 0, 3, 100, 101, 200, 203]], np.uint8)
    clusters = cluster(filtered, n_elements=2)
    assert clusters.labels.tolist() == [[0, 0, 0, 1, 1, 2, 2]]
    assert clusters.k == 3
    assert clusters.centers == (1.0, 100.5, 201.5)
    assert clusters.reason is None


def test_without_a_zero_pixel_nothing_is_background() -> None:
    clusters = cluster(np.array([[50, 51, 200, 201]], np.uint8), n_elements=1)
    assert clusters.labels.tolist() == [[1, 1, 2, 2]]


def test_k_is_lowered_to_the_gray_levels_there_are_and_says_so() -> None:
    clusters = cluster(np.array([[0, 9, 9]], np.uint8), n_elements=4)
    assert (clusters.k, clusters.k_wanted) == (2, 5)
    assert clusters.labels.tolist() == [[0, 1, 1]]


def test_a_crop_of_nothing_but_background_is_an_answer() -> None:
    clusters = cluster(np.zeros((4, 6), np.uint8))
    assert not clusters.labels.any()
    assert clusters.reason is not None
    assert clusters.reason.startswith("no particle: all 24 cells")


def test_the_record_says_what_decided_on_k() -> None:
    filtered = np.array([[0, 80, 80, 200]], np.uint8)
    assert cluster(filtered).k_from == "peaks"
    assert cluster(filtered, 2).k_from == "n_elements"


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_labels_are_intervals_of_intensity(filtered: NDArray[np.uint8]) -> None:
    clusters = cluster(filtered, 3)
    order = np.argsort(filtered, axis=None)
    assert np.all(np.diff(clusters.labels.ravel()[order].astype(int)) >= 0)
    assert clusters.labels.shape == filtered.shape
    assert len(np.unique(clusters.labels)) == clusters.k


def test_parameters_out_of_range_are_named() -> None:
    with pytest.raises(ValueError, match="bins: came 1;"):
        ClusterParams(bins=1)
