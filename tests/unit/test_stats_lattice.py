"""Gaussians of values with a step: as wide as a fit of the values' own counts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

from lowmem_jobs.stats.gaussian import fit_gaussians, gaussian
from lowmem_jobs.stats.histograms import Histograms
from lowmem_jobs.stats.lattice import find_teeth

BINS = {"lower": -8.0, "upper": 8.0, "n_bins": 128}
N_ROWS = 20_000
N_WIDE = 3.0


def histograms_of(values):
    scaled = (values - values.mean()) / values.std()
    return Histograms.empty(1, **BINS).updated(scaled[:, None])


def width_of_counts(values, step):
    """Return the width fitted to the counts of the values themselves, in deviations."""
    number = np.rint((values - values.min()) / step).astype(int)
    counts = np.bincount(number + 3, minlength=number.max() + 7)
    places = values.min() + step * (np.arange(len(counts)) - 3)
    start = (counts.max(), values.mean(), values.std())
    error = np.sqrt(np.maximum(counts, 1))
    best, _ = curve_fit(gaussian, places, counts, p0=start, sigma=error)
    return abs(best[2]) / values.std()


def draw(kind):
    random = np.random.default_rng(1)
    if kind == "binomial":
        return random.binomial(100, 0.5, N_ROWS).astype(float)
    if kind == "poisson":
        return random.poisson(40, N_ROWS).astype(float)
    # A step of so many bins; offset, since zero need not be one of the values.
    return np.rint(random.normal(size=N_ROWS) / (kind / 8)) * (kind / 8) + 0.03


@pytest.mark.parametrize("kind", ["binomial", "poisson", 1.05, 1.5, 2.4, 7.7])
def test_values_with_a_step_wider_than_a_bin_are_fitted_by_their_own_counts(kind):
    values = draw(kind)
    expected = width_of_counts(values, kind / 8 if isinstance(kind, float) else 1)
    fits = fit_gaussians(histograms_of(values))
    assert fits.is_fitted.all()
    assert fits.sigma[0] == pytest.approx(expected, rel=0.02)
    assert abs(fits.mean[0]) < 0.05
    # The curve lies over bins: it holds as many rows as they do.
    area = fits.amplitude[0] * fits.sigma[0] * np.sqrt(2 * np.pi) * 8
    assert area == pytest.approx(N_ROWS, rel=0.05)


@pytest.mark.parametrize("n_rows", [10, 30, 100, 300, 3000, N_ROWS])
def test_values_of_any_size_are_counted_as_they_were(n_rows):
    random = np.random.default_rng(n_rows)
    found = [
        find_teeth(histograms_of(random.normal(size=n_rows)).inside[0])
        for _ in range(50)
    ]
    # Ten rows may look even by chance.
    assert sum(one is not None for one in found) <= (10 if n_rows == 10 else 0)


@pytest.mark.parametrize("step", [0.3, 0.6, 0.95])
def test_a_step_finer_than_a_bin_changes_nothing(step):
    assert find_teeth(histograms_of(draw(step)).inside[0]) is None


STRAYS = {
    "anywhere": lambda random, values: values + random.uniform(-0.5, 0.5, len(values)),
    "half a step away": lambda _, values: values + 0.5,
    "far out too": lambda random, values: random.uniform(-4, 4, len(values)) * N_WIDE,
}


def with_strays(kind, share, deviation=N_WIDE, n_rows=N_ROWS):
    """Return whole numbers, and a few rows that are none."""
    random = np.random.default_rng(8)
    values = np.rint(random.normal(0, deviation, n_rows))
    is_stray = np.arange(n_rows) < share * n_rows
    values[is_stray] = STRAYS[kind](random, values[is_stray])
    return values


@pytest.mark.parametrize("kind", STRAYS)
@pytest.mark.parametrize("share", [0.001, 0.01, 0.03, 0.05])
def test_a_few_rows_off_the_step_do_not_hide_it(kind, share):
    values = with_strays(kind, share)
    # Each row counts for the whole number that it is nearest to.
    expected = width_of_counts(np.rint(values), 1) * np.rint(values).std()
    fits = fit_gaussians(histograms_of(values))
    assert fits.is_fitted.all()
    assert fits.sigma[0] * values.std() == pytest.approx(expected, rel=0.04)
    assert abs(fits.mean[0]) < 0.05


@pytest.mark.parametrize("share", [0.001, 0.01, 0.03, 0.05])
@pytest.mark.parametrize("deviation", [0.6, 0.67, 1, 2, 3, 5, 6.5])
def test_off_the_step_a_few_or_many_whole_numbers_are_as_wide_as_they_are(
    deviation, share
):
    values = with_strays("anywhere", share, deviation)
    fits = fit_gaussians(histograms_of(values))
    # Of a normal law the curve's width is the deviation; Sheppard, for whole numbers.
    expected = np.sqrt(deviation**2 + 1 / 12 * (deviation < 1))
    assert fits.sigma[0] * values.std() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("kind", ["normal", "exponential", "one spike", "two spikes"])
@pytest.mark.parametrize("n_rows", [100, 1000, N_ROWS])
def test_no_step_is_found_where_light_bins_are_an_accident(kind, n_rows):
    random = np.random.default_rng(n_rows)
    for _ in range(40):
        values = random.normal(size=n_rows)
        if kind == "exponential":
            values = random.exponential(size=n_rows)
        elif kind != "normal":
            is_spike = random.random(n_rows) < 0.3
            spikes = random.integers(0, 2, n_rows) if kind == "two spikes" else 0
            values = np.where(is_spike, spikes, values)
        assert find_teeth(histograms_of(values).inside[0]) is None
