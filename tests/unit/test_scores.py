"""Scores equal their definitions, and an independent implementation of each."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from lowmem_jobs.stats.scores import Spread, displacements, frechet_distance
from lowmem_jobs.stats.scores_images import (
    peak_signal_to_noise,
    squared_errors,
    structural_similarity,
)


def rows_of(n: int, d: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + rng.normal(
        size=d
    )


def test_the_frechet_distance_is_that_of_its_definition():
    a, b = rows_of(400, 6, 1), rows_of(300, 6, 2)
    one, two = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    product = linalg.sqrtm(one @ two).real  # the general solver, which ours avoids
    shift = a.mean(axis=0) - b.mean(axis=0)
    expected = shift @ shift + np.trace(one + two - 2.0 * product)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_the_frechet_distance_of_normals_along_axes_is_that_of_their_widths():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((200_000, 2))
    y = 1.0 + 3.0 * rng.standard_normal((200_000, 2))
    assert frechet_distance(x, y) == pytest.approx(2 * (1.0 + 4.0), rel=0.02)
    assert frechet_distance(x, x) == pytest.approx(0.0, abs=1e-9)


def test_the_frechet_distance_of_few_vectors_is_finite_and_of_one_unknown():
    few = rows_of(3, 8, 5)  # a covariance of rank 2 in 8 dimensions
    assert frechet_distance(few, few) == pytest.approx(0.0, abs=1e-5)
    assert frechet_distance(few[:1], few) is None
    assert frechet_distance(few[:0], few) is None
    assert frechet_distance(few[:, :1], few[:, 1:2]) >= 0.0


def test_equal_distributions_are_apart_by_the_bias_that_the_docstring_states():
    rng = np.random.default_rng(6)
    d, n = 8, 2_000
    pairs = [rng.standard_normal((2, n, d)) for _ in range(40)]
    measured = np.mean([frechet_distance(a, b) for a, b in pairs])
    assert measured == pytest.approx((d + d * (d + 1) / 4) * 2 / n, rel=0.1)


@pytest.mark.parametrize("shape", [(3, 32, 40, 3), (2, 11, 11, 1)])
def test_structural_similarity_equals_scikit_image(shape):
    from skimage.metrics import structural_similarity as reference

    rng = np.random.default_rng(7)
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    noise = rng.normal(0, 25, shape)
    others = np.clip(images + noise, 0, 255).astype(np.uint8)
    expected = [
        reference(
            one,
            two,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
            channel_axis=-1,
        )
        for one, two in zip(images, others, strict=True)
    ]
    assert structural_similarity(images, others) == pytest.approx(expected, abs=1e-12)


def test_structural_similarity_needs_room_for_its_window():
    tiny = np.zeros((2, 10, 32, 3), np.uint8)
    assert np.isnan(structural_similarity(tiny, tiny)).all()


def test_squared_errors_and_their_ratio_to_the_peak_are_in_units_of_the_range():
    images = np.zeros((2, 4, 4, 3), np.uint8)
    others = np.stack([images[0], np.full((4, 4, 3), 255, np.uint8)])
    assert squared_errors(images, others).tolist() == [0.0, 1.0]
    assert peak_signal_to_noise(1.0) == 0.0
    assert peak_signal_to_noise(1e-4) == pytest.approx(40.0)
    assert peak_signal_to_noise(0.0) is None


def test_displacements_are_distances_row_by_row():
    before, after = np.zeros((3, 2)), np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    assert displacements(before, after).tolist() == [0.0, 5.0, 1.0]


def test_a_spread_describes_its_numbers_or_is_absent():
    assert Spread.of(np.arange(101.0)) == Spread(
        n=101, mean=50.0, median=50.0, percentile_95=95.0
    )
    assert Spread.of(np.empty(0)) is None
