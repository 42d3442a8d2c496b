from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lowmem_jobs.stats.moments import Moments


def streamed(rows, block_rows=97):
    state = Moments.empty(rows.shape[1])
    for start in range(0, len(rows), block_rows):
        state = state.merge(Moments.of(rows[start : start + block_rows]))
    return state


@pytest.fixture
def rows():
    rng = np.random.default_rng(3)
    return rng.gamma(2.0, size=(3000, 4)) @ rng.normal(size=(4, 4))


def test_streamed_moments_agree_with_numpy_and_scipy(rows):
    state = streamed(rows)
    np.testing.assert_allclose(state.mean, rows.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(state.covariance, np.cov(rows.T), rtol=1e-12)
    np.testing.assert_allclose(state.deviation, rows.std(axis=0), rtol=1e-12)
    np.testing.assert_allclose(state.correlation, np.corrcoef(rows.T), rtol=1e-11)
    np.testing.assert_allclose(state.skewness, stats.skew(rows), rtol=1e-11)
    np.testing.assert_allclose(state.kurtosis, stats.kurtosis(rows), rtol=1e-11)
    np.testing.assert_array_equal(state.minimum, rows.min(axis=0))
    np.testing.assert_array_equal(state.maximum, rows.max(axis=0))


def test_a_large_offset_ruins_the_naive_formula_and_not_ours(rows):
    shifted = rows + 1e8
    wanted = np.cov((shifted - 1e8).T)
    naive = (shifted.T @ shifted) / len(rows) - np.outer(
        shifted.mean(axis=0), shifted.mean(axis=0)
    )
    scale = np.linalg.norm(wanted)
    assert np.linalg.norm(naive - wanted) > scale
    assert np.linalg.norm(streamed(shifted).covariance - wanted) < 1e-7 * scale
    np.testing.assert_allclose(
        streamed(shifted).kurtosis, stats.kurtosis(shifted - 1e8), rtol=1e-6
    )


def test_float32_rows_of_large_mean_and_small_axes_keep_their_covariance():
    rng = np.random.default_rng(4)
    axes = np.geomspace(1, 1e-5, 8)
    turn = np.linalg.qr(rng.normal(size=(8, 8)))[0]
    rows = ((rng.normal(size=(20_000, 8)) * axes) @ turn + 6).astype(np.float32)
    wanted = np.cov(rows.astype(np.float64).T)
    got = streamed(rows, 4096).covariance
    assert np.linalg.norm(got - wanted) < 1e-12 * np.linalg.norm(wanted)
    assert np.linalg.eigvalsh(got).min() > 0


def test_one_row_has_no_spread_and_no_covariance():
    state = Moments.of(np.array([[1.0, 2.0]]))
    assert np.isnan(state.covariance).all()
    np.testing.assert_array_equal(state.deviation, 0)
    np.testing.assert_array_equal(state.mean, [1.0, 2.0])


def test_a_constant_feature_has_no_correlation_whatever_its_size():
    rows = np.random.default_rng(5).normal(size=(1000, 3))
    rows[:, 1] = 1e7 / 3
    state = streamed(rows)
    assert state.deviation[1] == 0
    assert np.isnan(state.correlation[1]).all()
    assert np.isnan(state.correlation[:, 1]).all()
    assert np.isnan(state.skewness[1])
    assert np.isnan(state.kurtosis[1])
    assert state.correlation[0, 2] == pytest.approx(
        np.corrcoef(rows[:, 0], rows[:, 2])[0, 1]
    )


def test_the_skewness_of_a_block_bears_the_rounding_of_a_large_mean():
    rows = np.random.default_rng(6).normal(size=(50_000, 2)) + 1e9
    exact = rows.astype(np.longdouble)
    away = exact - exact.mean(axis=0)
    wanted = (away**3).mean(axis=0) / (away**2).mean(axis=0) ** 1.5
    np.testing.assert_allclose(
        Moments.of(rows).skewness, wanted.astype(float), atol=1e-8
    )
