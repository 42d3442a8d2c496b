"""Laws that every streaming state obeys: identity, merge = whole, order, split."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lowmem_jobs.stats.histograms import Histograms
from lowmem_jobs.stats.moments import Moments
from lowmem_jobs.stats.pairs import PairSums
from lowmem_jobs.stats.radius import RadiusSample

N_FEATURES = 3
OFFSETS = st.sampled_from([0.0, 1e3, -1e8])


@st.composite
def tables(draw):
    rows = hnp.arrays(
        np.float64,
        st.tuples(st.integers(0, 40), st.just(N_FEATURES)),
        elements=st.floats(-8, 8, width=32),
    )
    return draw(rows) + draw(OFFSETS)


def histograms_of(rows):
    empty = Histograms.empty(N_FEATURES, lower=-4.0, upper=4.0, n_bins=16)
    return empty.updated(rows)


def pair_sums_of(rows):
    return PairSums.empty(N_FEATURES).updated(rows)


def radius_of(rows):
    return RadiusSample.empty(N_FEATURES).updated(np.square(rows).sum(axis=1))


def numbers(state):
    """Return everything in a state as one list of arrays."""
    if isinstance(state, Histograms):
        return [state.counts]
    if isinstance(state, RadiusSample):
        return [
            np.array(state.n_samples),
            np.array(state.sum_r4),
            state.histogram.counts,
        ]
    return list(state.arrays().values())


def two_pass(rows):
    """Return the simplest right answer: sums about the mean of everything, in 80 bits."""
    if not len(rows):
        return Moments.empty(rows.shape[1])
    exact = rows.astype(np.longdouble)
    mean = exact.mean(axis=0)
    away = exact - mean
    return Moments(
        n_samples=len(rows),
        mean=mean.astype(float),
        m2=np.einsum("ki,kj->ij", away, away).astype(float),
        m3=(away**3).sum(axis=0).astype(float),
        m4=(away**4).sum(axis=0).astype(float),
        minimum=rows.min(axis=0),
        maximum=rows.max(axis=0),
    )


def assert_same_moments(got, wanted, *, rounding):
    """Compare in units of the spread (8) that `tables` has at most."""
    n = max(wanted.n_samples, 1)
    assert got.n_samples == wanted.n_samples
    np.testing.assert_allclose(got.mean, wanted.mean, rtol=1e-15, atol=8 * rounding)
    np.testing.assert_allclose(got.m2, wanted.m2, atol=8**2 * n * rounding)
    np.testing.assert_allclose(got.m3, wanted.m3, atol=8**3 * n * rounding)
    np.testing.assert_allclose(got.m4, wanted.m4, atol=8**4 * n * rounding)
    np.testing.assert_array_equal(got.minimum, wanted.minimum)
    np.testing.assert_array_equal(got.maximum, wanted.maximum)


def rounding_of(rows):
    """Return what float64 may lose relative to the spread, given the offset."""
    return 1e-14 * (1 + np.abs(rows).max(initial=0))


@given(rows=tables(), cut=st.integers(0, 40))
def test_moments_of_two_parts_merge_to_the_two_pass_answer(rows, cut):
    merged = Moments.of(rows[:cut]).merge(Moments.of(rows[cut:]))
    assert_same_moments(merged, two_pass(rows), rounding=rounding_of(rows))


@given(rows=tables(), seed=st.integers(0, 100))
def test_moments_do_not_depend_on_the_order_of_the_rows(rows, seed):
    shuffled = np.random.default_rng(seed).permutation(rows)
    assert_same_moments(
        Moments.of(shuffled), Moments.of(rows), rounding=rounding_of(rows)
    )


@given(rows=tables(), cuts=st.lists(st.integers(0, 40), max_size=6))
def test_moments_do_not_depend_on_how_the_rows_are_split(rows, cuts):
    state = Moments.empty(N_FEATURES)
    for part in np.split(rows, sorted(cuts)):
        state = state.merge(Moments.of(part))
    assert_same_moments(state, Moments.of(rows), rounding=rounding_of(rows))


@settings(max_examples=30)
@pytest.mark.parametrize("of", [histograms_of, pair_sums_of, radius_of])
@given(rows=tables(), cut=st.integers(0, 40))
def test_counts_and_sums_of_two_parts_merge_to_the_whole(of, rows, cut):
    merged = of(rows[:cut]).merge(of(rows[cut:]))
    for got, wanted in zip(numbers(merged), numbers(of(rows)), strict=True):
        scale = np.abs(wanted).max(initial=1)
        np.testing.assert_allclose(got, wanted, atol=1e-13 * scale, rtol=1e-12)


@pytest.mark.parametrize("of", [Moments.of, histograms_of, pair_sums_of, radius_of])
def test_zero_rows_are_the_identity_of_merge(of):
    rows = np.random.default_rng(1).normal(size=(20, N_FEATURES))
    nothing, state = of(rows[:0]), of(rows)
    for merged in (nothing.merge(state), state.merge(nothing)):
        for got, wanted in zip(numbers(merged), numbers(state), strict=True):
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("of", [Moments.of, histograms_of, pair_sums_of, radius_of])
def test_float32_rows_are_summed_in_float64(of):
    rows = np.random.default_rng(2).normal(size=(2000, N_FEATURES)).astype(np.float32)
    if of is Moments.of:
        got, wanted = of(rows), of(rows.astype(np.float64))
        assert_same_moments(got, wanted, rounding=1e-14)
        assert got.m2.dtype == np.float64


@given(rows=tables())
def test_moments_survive_the_way_through_arrays(rows):
    state = Moments.of(rows)
    again = Moments.from_arrays(state.arrays())
    for got, wanted in zip(numbers(again), numbers(state), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_merging_different_numbers_of_features_is_refused():
    with pytest.raises(ValueError, match="must have 3 features, got 2"):
        Moments.empty(3).merge(Moments.empty(2))


def test_merging_histograms_with_other_edges_is_refused():
    other = Histograms.empty(N_FEATURES, lower=-5.0, upper=4.0, n_bins=16)
    with pytest.raises(ValueError, match="same edges"):
        histograms_of(np.zeros((1, N_FEATURES))).merge(other)
