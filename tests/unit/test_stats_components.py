"""Histograms, fits, axes, ellipses, trimming and radius against simple answers."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score

from lowmem_jobs.stats.ellipses import (
    ellipse_from_covariance,
    mass_within,
)
from lowmem_jobs.stats.gaussian import FWHM_PER_SIGMA, fit_gaussians, gaussian
from lowmem_jobs.stats.histograms import Histograms
from lowmem_jobs.stats.principal import completed_axes, principal_axes, turn_of_plane
from lowmem_jobs.stats.projections import ProjectionSample, random_directions
from lowmem_jobs.stats.radius import RadiusSample
from lowmem_jobs.stats.regression import LinearFit
from lowmem_jobs.stats.trimming import (
    count_survivors,
    expected_survival,
    outer_distance,
)


def histograms(columns, n_bins=64, reach=8.0):
    rows = np.stack(columns, axis=1)
    empty = Histograms.empty(len(columns), lower=-reach, upper=reach, n_bins=n_bins)
    return empty.updated(rows)


# --- histograms -----------------------------------------------------------------------


def test_a_histogram_counts_like_numpy_and_keeps_what_lies_beyond():
    column = np.random.default_rng(1).normal(scale=4, size=5000)
    counted = histograms([column])
    wanted, edges = np.histogram(column, bins=64, range=(-8, 8))
    np.testing.assert_array_equal(counted.inside[0], wanted)
    np.testing.assert_allclose(counted.edges, edges)
    assert counted.counts[0, 0] == (column < -8).sum()
    assert counted.counts[0, -1] == (column >= 8).sum()
    assert counted.counts.sum() == column.size


def test_the_cumulative_share_counts_the_values_below_each_edge():
    column = np.random.default_rng(2).normal(size=1000)
    counted = histograms([column])
    wanted = [(column < edge).mean() for edge in counted.edges]
    np.testing.assert_allclose(counted.cumulative()[0], wanted)


# --- Gaussian fits --------------------------------------------------------------------


@pytest.mark.parametrize("n_bins", [16, 64, 256])
def test_a_fit_recovers_the_gaussian_whatever_the_width_of_the_bins(n_bins):
    columns = [np.random.default_rng(3).normal(0.7, 1.3, size=200_000)]
    fits = fit_gaussians(histograms(columns, n_bins=n_bins))
    assert fits.is_fitted.all()
    assert fits.mean[0] == pytest.approx(0.7, abs=0.015)
    assert fits.sigma[0] == pytest.approx(1.3, abs=0.015)
    assert fits.fwhm[0] == pytest.approx(1.3 * FWHM_PER_SIGMA, rel=0.02)
    assert fits.kolmogorov[0] < 0.006


def test_without_its_correction_the_width_of_a_wide_bin_would_spoil_sigma():
    fits = fit_gaussians(
        histograms([np.random.default_rng(3).normal(size=200_000)], 16)
    )
    assert sqrt(fits.sigma[0] ** 2 + 1 / 12) > 1.03  # bins of width 1
    assert fits.sigma[0] == pytest.approx(1, abs=0.01)


def test_a_fit_follows_the_core_where_moments_follow_the_tails():
    rng = np.random.default_rng(4)
    core, tail = rng.normal(size=50_000), rng.normal(scale=5, size=2_500)
    column = np.concatenate([core, tail])
    fits = fit_gaussians(histograms([column], n_bins=128))
    assert column.std() > 1.4
    assert fits.sigma[0] == pytest.approx(1.0, abs=0.06)


def test_a_constant_and_an_absent_feature_are_not_fitted():
    nothing = np.full(100, 50.0)  # beyond all bins
    fits = fit_gaussians(histograms([np.zeros(100), nothing]))
    assert not fits.is_fitted.any()
    assert np.isfinite(fits.mean).all()
    assert fits.sigma[0] == pytest.approx(0, abs=1e-7)
    assert np.isnan(fits.kolmogorov[1])


def test_fwhm_is_where_the_curve_is_half_as_high():
    half = gaussian(np.array([FWHM_PER_SIGMA * 1.5 / 2]), 4.0, 0.0, 1.5)
    assert half[0] == pytest.approx(2.0)


# --- principal axes -------------------------------------------------------------------


def test_axes_agree_with_the_singular_values_of_the_centred_rows():
    rows = np.random.default_rng(5).normal(size=(500, 6)) * [9, 7, 5, 3, 2, 1]
    centred = rows - rows.mean(axis=0)
    _, singular, right = np.linalg.svd(centred, full_matrices=False)
    axes = principal_axes(np.cov(rows.T))
    np.testing.assert_allclose(axes.eigenvalues, singular**2 / 499, rtol=1e-10)
    np.testing.assert_allclose(np.abs(axes.components @ right.T), np.eye(6), atol=1e-8)


def test_the_largest_loading_of_every_axis_is_positive():
    axes = principal_axes(np.cov(np.random.default_rng(6).normal(size=(9, 50))))
    largest = np.abs(axes.components).argmax(axis=1)
    assert (axes.components[np.arange(9), largest] > 0).all()


def test_effective_dimension_counts_equal_axes():
    assert principal_axes(np.eye(7)).effective_dimension == pytest.approx(7)
    assert principal_axes(np.diag([1.0, 0, 0])).effective_dimension == pytest.approx(1)
    assert principal_axes(np.zeros((3, 3))).effective_dimension == 0


def test_components_for_a_share_are_the_fewest_that_reach_it():
    axes = principal_axes(np.diag([50.0, 30, 15, 5]))
    assert [axes.n_components_for(p) for p in (0.5, 0.51, 0.8, 0.95, 1)] == [
        1,
        2,
        2,
        3,
        4,
    ]


def test_completed_axes_span_the_whole_space():
    rows = np.random.default_rng(7).normal(size=(4, 6))
    _, values, vectors = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    axes = completed_axes(values[:3] ** 2 / 3, vectors[:3])
    np.testing.assert_allclose(
        axes.components @ axes.components.T, np.eye(6), atol=1e-12
    )
    np.testing.assert_array_equal(axes.eigenvalues[3:], 0)
    assert axes.rank == 3


# --- ellipses -------------------------------------------------------------------------


def test_every_point_of_an_ellipse_is_k_sigma_from_its_centre():
    covariance = np.array([[4.0, -1.2], [-1.2, 1.0]])
    ellipse = ellipse_from_covariance((3.0, -2.0), covariance, 2.5)
    away = ellipse.points() - [3.0, -2.0]
    distance = np.einsum("ki,ij,kj->k", away, np.linalg.inv(covariance), away)
    np.testing.assert_allclose(distance, 2.5**2, rtol=1e-10)


@pytest.mark.parametrize("k", [2, 2.5, 3])
def test_mass_within_an_ellipse_is_that_of_chi_squared(k):
    assert mass_within(k) == pytest.approx(stats.chi2.cdf(k**2, 2))


# --- trimming -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "survivors"),
    [(1.35, 116_419), (1.45, 144_337), (1.55, 158_959), (1.7, 167_301), (1.8, 169_024)],
)
def test_expected_survivors_are_those_of_independent_gaussians(factor, survivors):
    assert 170_000 * expected_survival(factor, 256) == pytest.approx(survivors, abs=2)


def test_survivors_are_the_rows_with_every_component_within_the_cut():
    rng = np.random.default_rng(8)
    rows, centre, fwhm = rng.normal(size=(800, 5)), rng.normal(size=5), np.ones(5) * 2
    distance = outer_distance(rows, centre, fwhm)
    for factor in (0.5, 1.0, 1.5):
        wanted = (np.abs(rows - centre) <= factor * fwhm).all(axis=1)
        np.testing.assert_array_equal(distance <= factor, wanted)
        assert count_survivors(distance, [factor])[0] == wanted.sum()


def test_a_feature_without_width_drops_no_row():
    rows = np.array([[0.0, 5.0], [9.0, 5.0]])
    distance = outer_distance(rows, np.zeros(2), np.array([3.0, 0.0]))
    np.testing.assert_allclose(distance, [0, 3])
    np.testing.assert_array_equal(outer_distance(rows, np.zeros(2), np.zeros(2)), 0)


# --- radius ---------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 16, 256])
def test_the_radius_of_a_gaussian_follows_chi_squared(d):
    n = 4000
    r2 = stats.chi2.rvs(d, size=n, random_state=9)
    radius = RadiusSample.empty(d).updated(r2)
    wanted = stats.kstest(r2, stats.chi2(d).cdf).statistic
    assert radius.kolmogorov == pytest.approx(wanted, abs=2e-3)
    assert radius.mardia_kurtosis == pytest.approx((r2**2).mean())
    shares = np.array([0.01, 0.5, 0.99])
    np.testing.assert_allclose(
        radius.quantiles(shares), np.quantile(r2, shares), rtol=0.02, atol=1e-3
    )


def test_mardias_kurtosis_of_whitened_gaussian_rows_is_within_its_error():
    rows = np.random.default_rng(10).normal(size=(5000, 12))
    away = rows - rows.mean(axis=0)
    inverse = np.linalg.inv(np.cov(rows.T, bias=True))
    r2 = np.einsum("ki,ij,kj->k", away, inverse, away)
    radius = RadiusSample.empty(12).updated(r2)
    assert radius.mardia_expected == 12 * 14
    assert abs(radius.mardia_kurtosis - 12 * 14) < 3 * radius.mardia_standard_error


def test_a_wider_radius_is_told_apart():
    r2 = 1.2 * stats.chi2.rvs(16, size=4000, random_state=9)
    radius = RadiusSample.empty(16).updated(r2)
    assert radius.kolmogorov > 0.15
    assert radius.mardia_kurtosis - 16 * 18 > 10 * radius.mardia_standard_error


# --- projections ----------------------------------------------------------------------


def projected(rows, seed=1):
    directions = random_directions(seed, rows.std(axis=0) > 0)
    sample = ProjectionSample.empty()
    for part in np.array_split(rows, 3):
        sample = sample.updated(part, directions)
    return sample, directions


def test_projections_of_a_gaussian_are_standard_normals():
    rows = np.random.default_rng(11).normal(size=(4000, 20))
    sample, directions = projected(rows)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=0), 1)
    for k in (0, 999):
        wanted = stats.kstest(rows @ directions[:, k], "norm").statistic
        assert sample.kolmogorov[k] == pytest.approx(wanted, abs=4e-3)
    assert np.median(sample.kolmogorov) < 0.03


def test_projections_tell_a_common_scale_apart_where_components_are_uncorrelated():
    rng = np.random.default_rng(12)
    rows = rng.normal(size=(4000, 20)) * np.sqrt(2 * rng.random((4000, 1)))
    assert np.median(projected(rows)[0].kolmogorov) > 0.04


def test_directions_are_those_of_the_seed_and_leave_out_what_is_constant():
    spread = np.array([True, False, True])
    directions = random_directions(5, spread)
    np.testing.assert_array_equal(directions, random_directions(5, spread))
    assert (directions != random_directions(6, spread))[0].all()
    np.testing.assert_array_equal(directions[1], 0)
    np.testing.assert_array_equal(random_directions(5, np.zeros(3, dtype=bool)), 0)


# --- what a linear map recovers -------------------------------------------------------


def recovery(rows, targets, held_out):
    fit = LinearFit.empty(rows.shape[1], targets.shape[1])
    for part in np.array_split(np.arange(len(rows)), 4):
        fit = fit.updated(rows[part], targets[part], held_out[part])
    return fit


def test_the_recovered_share_is_that_of_least_squares():
    rng = np.random.default_rng(13)
    rows = rng.normal(size=(600, 4)) @ rng.normal(size=(4, 4)) + 3
    noise = rng.normal(size=(600, 3))
    targets = 1e4 + rows @ rng.normal(size=(4, 3)) + noise * [0, 2, 50]
    targets = np.column_stack([targets, np.full(600, 7.0)])
    held_out = rng.random(600) < 0.3
    fit = recovery(rows, targets, held_out)
    for found, seen, unseen in (
        (fit.r_squared, slice(None), slice(None)),
        (fit.r_squared_held_out, ~held_out, held_out),
    ):
        model = LinearRegression().fit(rows[seen], targets[seen])
        predicted = model.predict(rows[unseen])
        wanted = r2_score(targets[unseen], predicted, multioutput="raw_values")
        np.testing.assert_allclose(found[:3], wanted[:3], rtol=1e-9)
        assert wanted[0] > 0.999
        assert np.isnan(found[3])
    again = LinearFit.from_arrays(fit.arrays())
    np.testing.assert_array_equal(again.r_squared, fit.r_squared)
    np.testing.assert_array_equal(again.r_squared_held_out, fit.r_squared_held_out)


def test_unrelated_targets_are_recovered_of_the_rows_that_were_seen_alone():
    rng = np.random.default_rng(16)
    rows, targets = rng.normal(size=(400, 100)), rng.normal(size=(400, 20))
    fit = recovery(rows, targets, np.arange(400) % 5 == 4)
    assert np.median(fit.r_squared) == pytest.approx(100 / 400, abs=0.05)
    assert np.median(fit.r_squared_held_out) < -0.2


def test_an_axis_without_spread_changes_no_recovered_share():
    rng = np.random.default_rng(17)
    rows = rng.normal(size=(200, 3))
    targets = rows[:, :1] + rng.normal(size=(200, 1))
    held_out = np.arange(200) % 5 == 4
    wanted = recovery(rows, targets, held_out)
    found = recovery(np.insert(rows, 1, 0.0, axis=1), targets, held_out)
    np.testing.assert_allclose(found.r_squared, wanted.r_squared, rtol=1e-12)
    np.testing.assert_allclose(
        found.r_squared_held_out, wanted.r_squared_held_out, rtol=1e-12
    )


def test_too_few_rows_for_a_map_recover_nothing_that_is_known():
    rng = np.random.default_rng(18)
    fit = recovery(rng.normal(size=(6, 5)), rng.normal(size=(6, 2)), np.zeros(6, bool))
    assert np.isnan(fit.r_squared).all()
    assert np.isnan(fit.r_squared_held_out).all()


# --- how axes turn --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("degrees", "wanted"), [(0, 0), (30, 30), (90, 90), (-89, -89), (120, -60)]
)
def test_axes_turned_within_their_plane_have_that_turn_and_no_tilt(degrees, wanted):
    basis = np.linalg.qr(np.random.default_rng(14).normal(size=(6, 6)))[0][:2]
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn, tilt = turn_of_plane(basis, np.array([[c, s], [-s, c]]) @ basis)
    assert turn == pytest.approx(wanted, abs=1e-6)
    assert tilt == pytest.approx(0, abs=1e-5)


def test_a_turn_does_not_depend_on_the_signs_of_axes():
    basis = np.linalg.qr(np.random.default_rng(15).normal(size=(6, 6)))[0][:2]
    after = np.array([[0.8, 0.6], [-0.6, 0.8]]) @ basis
    wanted = turn_of_plane(basis, after)
    assert turn_of_plane(basis, -after) == pytest.approx(wanted)
    assert turn_of_plane(basis, after * [[1], [-1]]) == pytest.approx(wanted)


def test_a_plane_that_leaves_by_one_axis_tilts_by_their_angle():
    e = np.eye(4)
    tilted = np.stack([e[0], np.cos(0.3) * e[1] + np.sin(0.3) * e[2]])
    turn, tilt = turn_of_plane(e[:2], tilted)
    assert turn == pytest.approx(0)
    assert tilt == pytest.approx(np.degrees(0.3))
    assert turn_of_plane(e[:2], e[2:])[1] == pytest.approx(90)
