"""Vectors inside all pairwise ellipses of raw components are those that rejection keeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lowmem_jobs.stats.frame import PrincipalFrame
from lowmem_jobs.stats.pair_chains import PairChains
from lowmem_jobs.stats.pair_region import PairRegion
from lowmem_jobs.stats.samplers import BLOCK_ROWS, draw_block, sampler
from lowmem_jobs.stats.samplers_raw import RawEllipses

# Of the whole part: so often would one of the comparisons fail by chance, were the seeds
# not fixed. Each gets its share (Bonferroni).
FALSE_ALARM = 1e-4
SEEDS = (1, 2)
N_ROWS = 2_048


def correlation_of(d: int, *, falls: float, seed: int = 0) -> np.ndarray:
    """Return correlations of a turned spectrum, falling by e each ``falls`` axes."""
    axes = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]
    covariance = (axes.T * np.exp(-np.arange(d) / falls)) @ axes
    std = np.sqrt(np.diag(covariance))
    return covariance / np.outer(std, std)


def region_and_mixing(correlation: np.ndarray, k: float) -> tuple:
    values, vectors = np.linalg.eigh(correlation)
    mixing = (vectors * np.sqrt(np.maximum(values, 0.0))).T
    return PairRegion(correlation=correlation, sigma=k), mixing


def outside_by_definition(
    s: np.ndarray, correlation: np.ndarray, k: float
) -> np.ndarray:
    """Return which vectors are outside, pair by pair; pairs that are one do not count."""
    outside = (np.abs(s) > k).any(axis=1)
    for i, rhos in enumerate(correlation):
        for j, rho in enumerate(rhos[:i]):
            if 1 - rho**2 > 1e-9:
                a, b = s[:, i], s[:, j]
                outside |= a**2 + b**2 - 2 * rho * a * b > k**2 * (1 - rho**2)
    return outside


FUNCTIONALS = {
    "first component": lambda s: s[:, 0],
    "length": lambda s: np.linalg.norm(s, axis=1),
    "largest magnitude": lambda s: np.abs(s).max(axis=1),
    "product of two": lambda s: s[:, 0] * s[:, 1],
    "sum": lambda s: s.sum(axis=1),
    "fourth powers": lambda s: (s**4).sum(axis=1),
}
# Rather wide and rather narrow regions, weak and strong correlations.
CASES = [(2, 1.0, 1.0), (3, 0.4, 1.5), (5, 5.0, 1.2), (6, 0.5, 2.0)]


@pytest.mark.slow
@pytest.mark.parametrize(("d", "falls", "k"), CASES)
def test_chains_agree_with_rejection_sampling(d, falls, k):
    correlation = correlation_of(d, falls=falls)
    region, mixing = region_and_mixing(correlation, k)
    chains = PairChains(region=region, mixing=mixing)
    limit = FALSE_ALARM / (len(CASES) * len(SEEDS) * len(FUNCTIONALS))
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        found = chains.draw(rng, N_ROWS)
        assert not outside_by_definition(found, correlation, k * (1 + 1e-9)).any()
        kept = np.empty((0, d))
        while len(kept) < 10_000:
            s = rng.standard_normal((50_000, d)) @ mixing
            kept = np.concatenate([kept, s[~outside_by_definition(s, correlation, k)]])
        for name, functional in FUNCTIONALS.items():
            p = stats.ks_2samp(functional(found), functional(kept)).pvalue
            assert p > limit, (name, seed)


@settings(deadline=None)
@given(
    st.integers(1, 7), st.floats(0.2, 9.0), st.floats(0.3, 4.0), st.integers(0, 1000)
)
def test_a_vector_is_outside_exactly_if_a_pair_is_by_definition(d, falls, k, seed):
    correlation = correlation_of(d, falls=falls, seed=seed)
    region, mixing = region_and_mixing(correlation, k)
    s = np.random.default_rng(seed).standard_normal((200, d)) @ mixing
    s *= np.linspace(0.1, 1.5, 200)[:, None]
    assert np.array_equal(region.excludes(s), outside_by_definition(s, correlation, k))


@pytest.mark.parametrize("falls", [1.0, 6.0, 1e9])
def test_in_many_dimensions_no_pair_is_overlooked(falls):
    d, k = 80, 2.5
    correlation = correlation_of(d, falls=falls)
    region, mixing = region_and_mixing(correlation, k)
    s = np.random.default_rng(1).standard_normal((400, d)) @ mixing
    s *= np.linspace(0.3, 1.0, 400)[:, None]
    expected = outside_by_definition(s, correlation, k)
    assert 20 < expected.sum() < 380
    assert np.array_equal(region.excludes(s), expected)


def test_what_may_be_off_is_outside_only_if_it_is_wherever_it_may_be():
    correlation = correlation_of(6, falls=1.0)
    region, mixing = region_and_mixing(correlation, 1.5)
    rng = np.random.default_rng(2)
    s = rng.standard_normal((2_000, 6)) @ mixing
    slack = rng.uniform(0.0, 0.2, s.shape)
    surely = region.excludes(s, slack)
    assert 100 < surely.sum() < region.excludes(s).sum()
    for _ in range(20):
        moved = s + slack * rng.uniform(-1.0, 1.0, s.shape)
        assert region.excludes(moved)[surely].all()


def test_an_interval_ends_where_the_region_does():
    correlation = correlation_of(5, falls=1.0)
    k = 1.5
    region, mixing = region_and_mixing(correlation, k)
    s = 0.4 * np.random.default_rng(3).standard_normal((300, 5)) @ mixing
    s = s[~region.excludes(s)]
    assert len(s) > 200
    for i in range(5):
        for bound, step in zip(
            region.interval(np.arcsin(s.T / k), i), (-1e-9, 1e-9), strict=True
        ):
            at = s.copy()
            at[:, i] = k * np.sin(bound - step)
            assert not outside_by_definition(at, correlation, k).any()
            at[:, i] = k * np.sin(bound + step)
            is_cut = np.abs(bound) < np.pi / 2 - 1e-6
            assert outside_by_definition(at, correlation, k)[is_cut].all()


@pytest.mark.parametrize("is_roomy", [True, False])
def test_constant_repeated_and_opposite_components_are_drawn(is_roomy):
    k = 1.5 if is_roomy else 0.05
    axes = np.linalg.qr(np.random.default_rng(4).standard_normal((3, 3)))[0]
    of_three = (axes.T * [2.0, 1.0, 0.5]) @ axes
    copies = np.array(
        [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [0, -2, 0], [0, 0, 0]]
    )
    covariance = copies @ of_three @ copies.T
    values, vectors = np.linalg.eigh(covariance)
    frame = PrincipalFrame(
        mean=np.arange(6.0), eigenvalues=values[::-1], components=vectors.T[::-1]
    )
    source = sampler("ellipses-raw", frame, sigma=k, quantile=0.5)
    z = draw_block(source, method="ellipses-raw", seed=1, block=0)
    assert source._is_roomy == is_roomy
    assert not source.breaks_promise(z).any()
    off = z - frame.mean
    assert np.allclose(off[:, 3], off[:, 0], atol=1e-5)
    assert np.allclose(off[:, 4], -2.0 * off[:, 1], atol=1e-5)
    assert np.all(off[:, 5] == 0.0)
    s = off[:, :3] / np.sqrt(np.diag(of_three))
    rho = of_three / np.sqrt(np.outer(np.diag(of_three), np.diag(of_three)))
    assert not outside_by_definition(s, rho, k * (1 + 1e-4)).any()
    assert len(np.unique(z, axis=0)) == BLOCK_ROWS


def test_where_nothing_varies_every_vector_is_the_mean():
    frame = PrincipalFrame(
        mean=np.ones(3), eigenvalues=np.zeros(3), components=np.eye(3)
    )
    source = RawEllipses(frame, 3.0)
    z = draw_block(source, method="ellipses-raw", seed=1, block=0)
    assert np.all(z == 1.0)
    assert not source.breaks_promise(z).any()


@pytest.mark.slow
def test_rejection_and_chains_agree_in_many_dimensions():
    correlation = correlation_of(48, falls=8.0)
    values, vectors = np.linalg.eigh(correlation)
    frame = PrincipalFrame(
        mean=np.zeros(48), eigenvalues=values[::-1], components=vectors.T[::-1]
    )
    source = RawEllipses(frame, 2.4)
    assert source._is_roomy
    rng = np.random.default_rng(5)
    exact, chained = source._rejected(rng, 4_096), source._chains.draw(rng, 1_024)
    for name, functional in FUNCTIONALS.items():
        p = stats.ks_2samp(functional(exact), functional(chained)).pvalue
        assert p > FALSE_ALARM / len(FUNCTIONALS), name
