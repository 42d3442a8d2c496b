"""Mardia's measures, counts in the plane, densities and overlaps, by other means."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from lowmem_jobs.stats.density import CELL_WIDTH, Smoother, level_of_mass
from lowmem_jobs.stats.ellipses import mass_within
from lowmem_jobs.stats.pairs import PairSums, pair_measures
from lowmem_jobs.stats.plane import (
    BIN_WIDTH,
    COVERAGE_SIGMAS,
    N_BINS,
    REACH,
    PlaneCounter,
    PlaneCounts,
    unwhitened,
    whitened,
)


def standardised(rows):
    spread = rows.std(axis=0)
    return (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, np.inf)


def mardia(rows):
    """Return b1 and b2 by their definition: sums over all pairs of rows."""
    centred = rows - rows.mean(axis=0)
    inverse = np.linalg.inv(np.cov(rows.T, bias=True))
    gram = centred @ inverse @ centred.T
    return (gram**3).mean(), (np.diagonal(gram) ** 2).mean()


def counts_of(x, y, block_rows=1000):
    rho = float(np.corrcoef(x, y)[0, 1])
    columns = standardised(np.stack([x, y], axis=1)).astype(np.float32)
    return PlaneCounts.of(*columns.T, rho, block_rows=block_rows), rho, columns


@pytest.fixture
def skewed():
    rng = np.random.default_rng(1)
    rows = rng.gamma(1.5, size=(700, 4)) @ rng.normal(size=(4, 4))
    return np.column_stack([rows, rows[:, 0] ** 2])


def test_measures_of_all_pairs_are_mardias_by_definition(skewed):
    i, j = np.triu_indices(5, k=1)
    sums = PairSums.empty(5)
    for block in np.split(standardised(skewed), [100, 350]):
        sums = sums.updated(block)
    measures = pair_measures(sums, i, j)
    wanted = np.array([mardia(skewed[:, [a, b]]) for a, b in zip(i, j, strict=True)])
    np.testing.assert_allclose(measures.rho, np.corrcoef(skewed.T)[i, j], rtol=1e-10)
    np.testing.assert_allclose(measures.skewness, wanted[:, 0], rtol=1e-8)
    np.testing.assert_allclose(measures.kurtosis, wanted[:, 1], rtol=1e-8)


@pytest.mark.parametrize("rho", [0.0, 0.6, -0.95])
def test_a_gaussian_pair_has_the_measures_and_coverage_of_a_gaussian(rho):
    n = 60_000
    rng = np.random.default_rng(2)
    x = rng.normal(size=n)
    y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=n)
    counts, _, columns = counts_of(x, y)
    sums = PairSums.empty(2).updated(columns.astype(float))
    measures = pair_measures(sums, np.array([0]), np.array([1]))
    assert abs(measures.kurtosis[0] - 8) < 3 * np.sqrt(64 / n)
    assert n * measures.skewness[0] / 6 < 16.3  # chi-squared, 4 degrees, 99.7 %
    for k, share in zip(COVERAGE_SIGMAS, counts.coverage, strict=True):
        mass = mass_within(k)
        assert abs(share - mass) < 3 * np.sqrt(mass * (1 - mass) / n)


def test_duplicate_and_constant_features_have_no_joint_measure(skewed):
    rows = np.column_stack([skewed[:, 0], -skewed[:, 0], np.ones(700), skewed[:, 1]])
    i, j = np.triu_indices(4, k=1)
    measures = pair_measures(PairSums.empty(4).updated(standardised(rows)), i, j)
    assert measures.rho[0] == pytest.approx(-1)
    undefined = np.isnan(measures.kurtosis)
    np.testing.assert_array_equal(undefined, [True, True, False, True, False, True])
    np.testing.assert_array_equal(np.isnan(measures.skewness), undefined)
    np.testing.assert_array_equal(np.isnan(measures.rho), (i == 2) | (j == 2))


def test_coverage_counts_the_points_within_the_ellipse_exactly(skewed):
    x, y = skewed[:, 0], skewed[:, 3]
    counts, _, _ = counts_of(x, y)
    rows = np.stack([x, y], axis=1) - [x.mean(), y.mean()]
    inverse = np.linalg.inv(np.cov(x, y, bias=True))
    distance = np.einsum("ki,ij,kj->k", rows, inverse, rows)
    wanted = [(distance <= k * k).sum() for k in COVERAGE_SIGMAS]
    np.testing.assert_array_equal(counts.within, wanted)


def test_counts_do_not_depend_on_the_rows_handled_at_once(skewed):
    x, y = skewed[:, 0], skewed[:, 1]
    whole, small = counts_of(x, y, 10_000)[0], counts_of(x, y, 7)[0]
    for name in ("counts", "along_u", "along_v", "within"):
        np.testing.assert_array_equal(getattr(small, name), getattr(whole, name))
    assert whole.counts.sum() == len(x)


def test_one_counter_counts_pair_after_pair_as_if_each_were_the_first(skewed):
    counter = PlaneCounter(300)
    for first, n in ((0, 700), (4, 250), (2, 700)):
        x = None
        for second in (1, 3):
            _, rho, columns = counts_of(skewed[:n, first], skewed[:n, second])
            if x is None:
                x = columns[:, 0]
                counter.along(x)
            wanted = PlaneCounts.of(*columns.T, rho, block_rows=n)
            found = counter.count(columns[:, 1], rho)
            for name in ("n_samples", "counts", "along_u", "along_v", "within"):
                values = getattr(found, name), getattr(wanted, name)
                np.testing.assert_array_equal(*values)


@pytest.mark.parametrize("n", [2**18 - 1, 2**18, 600_001])
def test_any_number_of_points_in_one_bin_is_counted_without_overflow(n):
    # In the last 1/32 of a bin along both axes.
    u = np.float32(BIN_WIDTH * 0.99)
    x = np.full(n, u)
    found = PlaneCounts.of(x, x, 0.0, block_rows=2**16)
    (place,) = np.argwhere(found.counts)
    assert found.counts[tuple(place)] == n
    assert found.along_u[tuple(place)] == found.along_v[tuple(place)] == 31 * n
    assert found.counts.sum() == n
    assert found.along_u.sum() == found.along_v.sum() == 31 * n


def test_counts_of_two_parts_merge_to_those_of_all_points(skewed):
    _, rho, columns = counts_of(skewed[:, 0], skewed[:, 1])
    parts = [
        PlaneCounts.of(*part.T, rho, block_rows=100)
        for part in np.split(columns, [0, 123])
    ]
    whole = PlaneCounts.of(*columns.T, rho, block_rows=100)
    merged = PlaneCounts.empty().merge(parts[0]).merge(parts[1]).merge(parts[2])
    for name in ("n_samples", "counts", "along_u", "along_v", "within"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name))


def test_the_whitened_plane_has_unit_covariance_and_a_way_back(skewed):
    _, rho, columns = counts_of(skewed[:, 0], skewed[:, 1])
    u, v = whitened(*columns.T, rho)
    np.testing.assert_allclose(np.cov(u, v, bias=True), np.eye(2), atol=1e-5)
    back = unwhitened(u.astype(float), v.astype(float), rho)
    np.testing.assert_allclose(np.stack(back, axis=1), columns, atol=1e-5)


SHAPES = {
    "normal": lambda rng, n: rng.normal(size=n),
    "skewed": lambda rng, n: rng.gamma(2, size=n),
    "heavy": lambda rng, n: rng.standard_t(5, size=n),
    "two lumps": lambda rng, n: rng.normal(size=n) + 4 * (rng.random(n) < 0.4),
}


@pytest.mark.parametrize("rho", [0.0, 0.6, -0.99])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("n", [500, 10_000])
def test_the_density_is_that_of_scipys_kernel_estimate(n, shape, rho):
    rng = np.random.default_rng(3)
    x = rng.normal(size=n)
    y = rho * x + np.sqrt(1 - rho**2) * SHAPES[shape](rng, n)
    counts, rho, columns = counts_of(x, y)
    smoother = Smoother(n_samples=n)
    density = smoother.density(counts)[::5, ::5]
    u, v = np.meshgrid(*2 * [smoother.centres[::5]], indexing="ij")
    points = np.stack(unwhitened(u.ravel(), v.ravel(), rho))
    # The estimate of SciPy lives in (x, y): a unit area there is larger in (u, v).
    wanted = gaussian_kde(columns.T.astype(float))(points).reshape(u.shape)
    wanted *= np.sqrt(1 - rho**2)
    assert np.abs(density - wanted).max() < 1e-3 * wanted.max()


def test_the_density_holds_the_share_of_the_points_on_its_cells():
    rng = np.random.default_rng(4)
    counts, rho, columns = counts_of(*rng.standard_t(3, size=(2, 5000)))
    density = Smoother(n_samples=5000).density(counts)
    u, v = whitened(*columns.T, rho)
    within = (np.maximum(np.abs(u), np.abs(v)) < 5).mean()
    assert within < 1
    assert density.sum() * CELL_WIDTH**2 == pytest.approx(within, abs=2e-3)


def test_the_level_of_a_mass_has_that_mass_above_it():
    counts, _, _ = counts_of(*np.random.default_rng(5).normal(size=(2, 5000)))
    density = Smoother(n_samples=5000).density(counts)
    for mass in (0.3, 0.8647):
        level = level_of_mass(density, mass)
        held = density[density >= level].sum() * CELL_WIDTH**2
        assert held == pytest.approx(mass, abs=2e-3)


def scores_of(x, y):
    counts, rho, _ = counts_of(x, y)
    smoother = Smoother(n_samples=len(x))
    return smoother.scores(smoother.density(counts), rho)


@pytest.mark.parametrize("rho", [0.7, -0.4])
def test_a_gaussian_pair_has_the_scores_of_its_ellipse(rho):
    x, noise = np.random.default_rng(6).normal(size=(2, 100_000))
    scores = scores_of(x, rho * x + np.sqrt(1 - rho**2) * noise)
    assert scores.contour_iou > 0.95
    assert scores.contour_offset < 0.03
    assert abs(scores.contour_angle) < 2
    assert scores.total_variation < 0.02


def test_curved_and_lopsided_pairs_have_other_scores():
    x, noise = np.random.default_rng(6).normal(size=(2, 40_000))
    curved = scores_of(x, x**2 + 0.3 * noise)
    assert curved.contour_iou < 0.6
    assert curved.total_variation > 0.3
    # A small lump far out moves the ellipse away from the bulk of the points.
    x[:1200] += 8
    lopsided = scores_of(x, noise)
    assert lopsided.contour_offset == pytest.approx(x.mean() / x.std(), rel=0.15)


def test_the_angle_is_between_the_long_axes_of_contour_and_ellipse():
    # Most points lie along x; a few far ones along the diagonal tilt the ellipse.
    rng = np.random.default_rng(8)
    core = rng.normal(size=(30_000, 2)) * [1.0, 0.3]
    far = rng.normal(size=(1_500, 1)) * [4.0, 4.0]
    x, y = np.concatenate([core, far]).T
    x, y = x / x.std(), y / y.std()
    scores = scores_of(x, y)
    # The core in standardised units: its own axis, against the ellipse's 45 degrees.
    cov = np.cov(x[:30_000], y[:30_000])
    axis = np.degrees(np.arctan2(2 * cov[0, 1], cov[0, 0] - cov[1, 1])) / 2
    assert axis - 45 < -30
    assert scores.contour_angle == pytest.approx(axis - 45, abs=15)


def test_the_ellipse_is_widened_as_the_smoothing_widens_the_density():
    n = 2_000
    rng = np.random.default_rng(7)
    smoother = Smoother(n_samples=n)
    density = smoother.density(counts_of(*rng.normal(size=(2, n)))[0])
    contour = (density >= level_of_mass(density, mass_within(2))).sum()
    plain = np.pi * 4 / CELL_WIDTH**2
    assert contour == pytest.approx(plain * (1 + smoother.bandwidth**2), rel=0.05)
    assert smoother.disc(2).sum() == pytest.approx(
        plain * (1 + smoother.bandwidth**2), rel=0.02
    )


@pytest.mark.parametrize("n", [10, 700, 10**5])
def test_leaving_out_the_bins_out_of_reach_moves_no_density(n):
    rng = np.random.default_rng(8)
    counts = counts_of(*rng.standard_t(4, size=(2, n)))[0]
    smoother = Smoother(n_samples=n)
    kernel = smoother.kernel.astype(float)
    wanted = kernel @ counts.masses() @ kernel.T / n
    np.testing.assert_allclose(
        smoother.density(counts), wanted, rtol=0, atol=1e-6 * wanted.max()
    )


def test_kernel_and_masses_together_have_the_bandwidth():
    smoother = Smoother(n_samples=10**6)
    centre = smoother.kernel[63].astype(float)
    bins = BIN_WIDTH * (np.arange(N_BINS) + 0.5) - REACH
    variance = (centre * (bins - smoother.centres[63]) ** 2).sum() / centre.sum()
    assert centre.sum() * BIN_WIDTH == pytest.approx(1, rel=1e-5)
    assert variance - BIN_WIDTH**2 / 12 == pytest.approx(
        smoother.bandwidth**2, rel=1e-4
    )
