"""How far the width of a fitted Gaussian is off where rows are few, and what makes it so."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import curve_fit

from lowmem_jobs.stats.gaussian import fit_gaussians, gaussian
from lowmem_jobs.stats.histograms import Histograms

BINS = {"lower": -8.0, "upper": 8.0, "n_bins": 128}
N_SAMPLES = 100


def histograms_of(n_rows):
    """Return the counts of normal numbers whose deviation is exactly 1."""
    values = np.random.default_rng(5).normal(size=(n_rows, N_SAMPLES))
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    return Histograms.empty(N_SAMPLES, **BINS).updated(values)


def width_of(histograms, counts, error=None):
    start = (counts.max(), 0.0, 1.0)
    best, _ = curve_fit(gaussian, histograms.centres, counts, p0=start, sigma=error)
    return np.sqrt(best[2] ** 2 - histograms.width**2 / 12)


@pytest.mark.parametrize(
    ("n_rows", "per_cent"),
    [(200, -5.7), (500, -5.5), (1000, -3.4), (5000, -1.4), (50_000, -0.3)],
)
def test_the_fit_of_few_continuous_rows_is_too_narrow_by_what_is_written(
    n_rows, per_cent
):
    histograms = histograms_of(n_rows)
    fits = fit_gaussians(histograms)
    assert fits.is_fitted.all()
    error = fits.sigma.std() / np.sqrt(N_SAMPLES)
    assert fits.sigma.mean() - 1 == pytest.approx(per_cent / 100, abs=4 * error + 5e-4)


def test_it_is_the_errors_of_the_counts_that_make_it_so():
    histograms = histograms_of(500)
    counts = histograms.inside
    fitted = fit_gaussians(histograms).sigma
    errors = [width_of(histograms, one, np.sqrt(np.maximum(one, 1))) for one in counts]
    # SciPy finds the same curve with these errors, and one of the right width without.
    assert fitted == pytest.approx(np.array(errors), abs=1e-4)
    equal = np.array([width_of(histograms, one) for one in counts])
    assert equal.mean() == pytest.approx(1.0, abs=4 * equal.std() / np.sqrt(N_SAMPLES))


@pytest.mark.parametrize("deviation", [0.5, 0.6, 0.7])
def test_a_few_whole_numbers_are_as_wide_as_their_own_counts(deviation):
    """Three of them hold nearly all rows; bins between them are empty."""
    values = np.rint(np.random.default_rng(3).normal(0, deviation, (5000, 20)))
    bins = {"lower": -4.0, "upper": 4.0, "n_bins": 128}
    fits = fit_gaussians(Histograms.empty(20, **bins).updated(values))
    for column, sigma in zip(values.T, fits.sigma, strict=True):
        places, counts = np.unique(column, return_counts=True)
        if len(places) < 4:
            continue
        start = (counts.max(), 0.0, column.std())
        error = np.sqrt(np.maximum(counts, 1))
        best, _ = curve_fit(gaussian, places, counts, p0=start, sigma=error)
        assert sigma == pytest.approx(abs(best[2]), rel=0.05)
