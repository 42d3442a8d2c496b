from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lowmem_jobs.ingest.drawing import Painter
from lowmem_jobs.ingest.faces import (
    FEATURES,
    N_FEATURES,
    FaceSource,
    face_features,
    true_covariance,
    true_mean,
)

NAMES = [feature.name for feature in FEATURES]
MEAN = dict(zip(NAMES, true_mean(), strict=True))
DEVIATION = np.sqrt(np.diag(true_covariance()))


def paint(size, **changes: float):
    return Painter(size).paint({**MEAN, **changes}).astype(int)


def test_the_covariance_is_that_of_a_proper_gaussian():
    covariance = true_covariance()
    np.testing.assert_array_equal(covariance, covariance.T)
    # No feature is a function of the others, so a decoder has something to learn.
    correlation = covariance / np.outer(DEVIATION, DEVIATION)
    assert np.linalg.eigvalsh(correlation).min() > 0.1
    np.testing.assert_allclose(np.diag(correlation), 1)
    np.testing.assert_allclose(DEVIATION, [feature.deviation for feature in FEATURES])
    assert np.abs(correlation - np.eye(N_FEATURES)).max() > 0.4


@pytest.mark.slow
def test_drawn_features_have_the_stated_mean_and_covariance():
    n_faces = 20000
    drawn = np.array([face_features(1, index) for index in range(n_faces)])
    # Whitened by the stated covariance they must be standard normal: both tests are
    # exact for a Gaussian, at one in ten thousand.
    root = np.linalg.cholesky(true_covariance())
    white = np.linalg.solve(root, (drawn - true_mean()).T)
    mean_score = n_faces * np.square(white.mean(axis=1)).sum()
    assert stats.chi2.sf(mean_score, N_FEATURES) > 1e-4
    products = (white @ white.T) / n_faces - np.eye(N_FEATURES)
    upper = np.sqrt(n_faces) * products[np.triu_indices(N_FEATURES, 1)]
    own = np.sqrt(n_faces / 2) * np.diag(products)
    scores = np.concatenate([upper, own])
    assert stats.chi2.sf(np.square(scores).sum(), scores.size) > 1e-4
    assert min(stats.kstest(row, "norm").pvalue for row in white) > 1e-4 / N_FEATURES


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**63), index=st.integers(0, 10**9))
def test_a_face_depends_on_seed_and_index_alone(seed, index):
    alone = FaceSource(index + 1, seed=seed, size=16)
    other = FaceSource(index + 5, seed=seed, size=16)
    other.load(index + 1)
    np.testing.assert_array_equal(alone.load(index), other.load(index))
    assert not np.array_equal(
        face_features(seed, index), face_features(seed, index + 1)
    )
    assert not np.array_equal(
        face_features(seed, index), face_features(seed + 1, index)
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_feature_is_visible_and_moves_the_picture_smoothly(name):
    deviation = DEVIATION[NAMES.index(name)]
    steps = [
        paint(48, **{name: MEAN[name] + shift * deviation})
        for shift in np.linspace(-4, 4, 65)
    ]
    assert np.abs(steps[48] - steps[16]).max() >= 8  # at two deviations to each side
    changes = [np.abs(b - a).mean() for a, b in pairwise(steps)]
    # An eighth of a deviation never makes more than a few parts of the whole change.
    assert max(changes) <= 0.08 * np.sum(changes) + 0.05


@pytest.mark.slow
def test_faces_far_out_in_every_direction_are_drawn_without_a_warning():
    random = np.random.default_rng(0)
    root = np.linalg.cholesky(true_covariance())
    with np.errstate(all="raise"):
        for _ in range(200):
            direction = random.standard_normal(N_FEATURES)
            direction *= 6 / np.linalg.norm(direction)
            features = dict(zip(NAMES, true_mean() + root @ direction, strict=True))
            assert paint(24, **features).shape == (24, 24, 3)


@pytest.mark.parametrize(("size", "allowed"), [(32, 1.5), (64, 0.8)])
def test_a_face_is_the_same_at_every_size_and_its_edges_are_smooth(size, allowed):
    fine = paint(8 * size)
    shrunk = fine.reshape(size, 8, size, 8, 3).mean(axis=(1, 3))
    difference = np.abs(shrunk - paint(size))
    # With edges that are not smooth it is 4.8 and 2.7.
    assert difference.mean() < allowed


@pytest.mark.parametrize("size", [8, 33, 200])
def test_faces_of_odd_sizes_are_drawn(size):
    assert paint(size).shape == (size, size, 3)


def test_faces_differ_from_one_another():
    source = FaceSource(30, seed=1, size=32)
    faces = np.array([source.load(index) for index in range(30)], dtype=float)
    between = np.abs(faces[:, None] - faces[None]).mean(axis=(2, 3, 4))
    assert between[~np.eye(30, dtype=bool)].min() > 3
