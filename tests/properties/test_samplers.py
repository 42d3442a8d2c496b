"""Every sampler draws from the distribution it names, and keeps what it promises."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from lowmem_jobs.stats.frame import PrincipalFrame
from lowmem_jobs.stats.methods import METHODS, along_axes
from lowmem_jobs.stats.samplers import (
    BLOCK_ROWS,
    draw_block,
    sampler,
)
from lowmem_jobs.stats.samplers_free import Near
from lowmem_jobs.stats.truncated import InsideAllEllipses, truncated_normal

# Each comparison may fail by chance once in 10^5; there are about fifty, and the seeds
# are fixed, so a failure means a change of the code.
FALSE_ALARM = 1e-5


def frame_of(dimension: int, *, seed: int = 0) -> PrincipalFrame:
    """Return a turned, shifted, stretched frame."""
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.standard_normal((dimension, dimension)))
    return PrincipalFrame(
        mean=rng.normal(3.0, 1.0, dimension),
        eigenvalues=np.exp(-np.arange(dimension) / 3.0),
        components=axes,
    )


def drawn(method: str, frame: PrincipalFrame, n_rows: int, *, seed=1, **options):
    options = {"sigma": 2.0, "quantile": 0.6} | options
    source = sampler(method, frame, **options)
    blocks = range(-(-n_rows // BLOCK_ROWS))
    rows = [draw_block(source, method=method, seed=seed, block=b) for b in blocks]
    return source, np.concatenate(rows)[:n_rows]


def by_rejection(accepts, dimension: int, n_rows: int) -> np.ndarray:
    """Return whitened normal vectors that ``accepts`` keeps: slow, plainly right."""
    rng = np.random.default_rng(99)
    kept = np.empty((0, dimension))
    while len(kept) < n_rows:
        x = rng.standard_normal((200_000, dimension))
        kept = np.concatenate([kept, x[accepts(x)]])
    return kept[:n_rows]


def inside_every_pair(x: np.ndarray, k: float) -> np.ndarray:
    inside = np.ones(len(x), bool)
    for i, j in combinations(range(x.shape[1]), 2):
        inside &= x[:, i] ** 2 + x[:, j] ** 2 <= k * k
    return inside


def inside_raw_pairs(s: np.ndarray, frame: PrincipalFrame, k: float) -> np.ndarray:
    """Return which standardised raw components are inside the ellipse of every pair."""
    covariance = (frame.components.T * frame.eigenvalues) @ frame.components
    std = np.sqrt(np.diag(covariance))
    inside = np.ones(len(s), bool)
    for i, j in combinations(range(s.shape[1]), 2):
        rho = covariance[i, j] / (std[i] * std[j])
        a, b = s[:, i], s[:, j]
        inside &= a**2 + b**2 - 2 * rho * a * b <= k**2 * (1 - rho**2)
    return inside


FUNCTIONALS = {
    "first coordinate": lambda x: x[:, 0],
    "last coordinate": lambda x: x[:, -1],
    "radius": lambda x: np.linalg.norm(x, axis=1),
    "largest magnitude": lambda x: np.abs(x).max(axis=1),
    "sum of the two largest squares": lambda x: np.sort(x**2, axis=1)[:, -2:].sum(1),
    "projection": lambda x: x @ np.arange(1.0, x.shape[1] + 1),
}


def assert_same_distribution(ours: np.ndarray, theirs: np.ndarray) -> None:
    for name, functional in FUNCTIONALS.items():
        found = stats.ks_2samp(functional(ours), functional(theirs))
        assert found.pvalue > FALSE_ALARM, name


@pytest.mark.parametrize(("dimension", "k"), [(2, 1.0), (3, 2.0), (6, 1.5), (6, 3.0)])
def test_ellipses_agree_with_rejection_sampling(dimension, k):
    frame = frame_of(dimension)
    _, z = drawn("ellipses", frame, 40_000, sigma=k)
    expected = by_rejection(lambda x: inside_every_pair(x, k), dimension, 40_000)
    assert_same_distribution(frame.white(z), expected)


def test_a_ball_agrees_with_rejection_sampling():
    frame = frame_of(4)
    _, z = drawn("ball", frame, 40_000, quantile=0.3)
    limit = stats.chi2(4).ppf(0.3)
    expected = by_rejection(lambda x: (x**2).sum(axis=1) <= limit, 4, 40_000)
    assert_same_distribution(frame.white(z), expected)


def test_the_normal_and_its_box_agree_with_scipy():
    frame = frame_of(3)
    rng = np.random.default_rng(5)
    _, normal = drawn("mvn", frame, 40_000)
    assert_same_distribution(frame.white(normal), rng.standard_normal((40_000, 3)))
    _, box = drawn("box", frame, 40_000, sigma=1.2)
    cut = stats.truncnorm(-1.2, 1.2).rvs((40_000, 3), random_state=rng)
    assert_same_distribution(frame.white(box), cut)


def test_the_contrasts_are_right_per_component_and_uncorrelated():
    frame = frame_of(4)
    covariance = (frame.components.T * frame.eigenvalues) @ frame.components
    std = np.sqrt(np.diag(covariance))
    for method, expected in (
        ("independent", stats.norm()),
        ("uniform", stats.uniform(-2.0, 4.0)),
    ):
        _, z = drawn(method, frame, 40_000)
        units = (z - frame.mean) / std
        for column in units.T:
            assert stats.kstest(column, expected.cdf).pvalue > FALSE_ALARM
        correlation = np.corrcoef(units, rowvar=False) - np.eye(4)
        assert np.abs(correlation).max() < 4.5 / np.sqrt(40_000)


def test_the_normal_has_the_covariance_of_its_frame():
    frame = frame_of(4)
    _, z = drawn("mvn", frame, 50_000)
    covariance = (frame.components.T * frame.eigenvalues) @ frame.components
    assert np.allclose(np.cov(z, rowvar=False), covariance, atol=0.03)
    assert np.allclose(z.mean(axis=0), frame.mean, atol=0.03)


@pytest.mark.slow
def test_no_vector_of_a_hundred_thousand_breaks_a_promise_in_256_dimensions():
    frame = PrincipalFrame(
        mean=frame_of(256).mean,
        eigenvalues=np.exp(-np.arange(256) / 12.0),  # down to 6e-10 of the first
        components=frame_of(256).components,
    )
    source, z = drawn("ellipses", frame, 100_096, sigma=3.0)
    assert not any(source.breaks_promise(part).any() for part in np.split(z, 17))


@pytest.mark.parametrize(
    "method", ["ball", "box", "ellipses", "uniform", "ellipses-raw"]
)
def test_vectors_outside_the_region_are_seen(method):
    frame = frame_of(6)
    source, kept = drawn(method, frame, 2_000)
    assert source.promise
    assert not source.breaks_promise(kept).any()
    _, free = drawn("mvn", frame, 2_000)
    x = frame.white(free)
    std = np.sqrt(np.diag((frame.components.T * frame.eigenvalues) @ frame.components))
    outside = {
        "ball": (x**2).sum(axis=1) > stats.chi2(6).ppf(0.6),
        "box": (np.abs(x) > 2.0).any(axis=1),
        "ellipses": ~inside_every_pair(x, 2.0),
        "uniform": (np.abs(free - frame.mean) > 2.0 * std).any(axis=1),
        "ellipses-raw": ~inside_raw_pairs((free - frame.mean) / std, frame, 2.0),
    }[method]
    assert 20 < outside.sum() < 1_980
    assert np.mean(source.breaks_promise(free) == outside) > 0.999


@pytest.mark.parametrize("method", METHODS)
def test_a_vector_depends_on_its_index_seed_and_method_alone(method):
    frame = frame_of(5)
    source, whole = drawn(method, frame, 3 * BLOCK_ROWS)
    again = draw_block(source, method=method, seed=1, block=2)
    assert np.array_equal(again, whole[2 * BLOCK_ROWS :])
    other_seed = draw_block(source, method=method, seed=2, block=2)
    assert not np.array_equal(other_seed, again)
    assert len(np.unique(whole, axis=0)) == len(whole)


def test_axes_without_variance_and_a_single_dimension_are_drawn():
    flat = PrincipalFrame(
        mean=np.array([1.0, -2.0]),
        eigenvalues=np.array([4.0, -1e-18]),  # as a solver may return zero
        components=np.eye(2),
    )
    for method in METHODS:
        source, z = drawn(method, flat, 500)
        assert np.all(z[:, 1] == -2.0)
        assert not source.breaks_promise(z).any()
    single = PrincipalFrame(
        mean=np.zeros(1), eigenvalues=np.ones(1), components=np.eye(1)
    )
    _, z = drawn("ellipses", single, 20_000, sigma=1.5)
    cut = stats.truncnorm(-1.5, 1.5)
    assert stats.kstest(z[:, 0], cut.cdf).pvalue > FALSE_ALARM


def test_a_frame_whitens_what_it_made():
    frame = frame_of(7)
    x = np.random.default_rng(3).standard_normal((50, 7))
    assert np.allclose(frame.white(frame.vectors(x)), x)
    assert np.all(frame.least_white(frame.vectors(x).astype(np.float32)) <= np.abs(x))


def test_a_truncated_normal_reaches_its_bound_and_not_beyond():
    ends = np.array([0.0, 0.5, np.nextafter(1.0, 0.0)])
    for bound in (0.0, 1e-9, 1.0, 3.0, 9.0):
        x = truncated_normal(ends, bound)
        assert np.all(np.abs(x) <= bound)
        assert x[1] == 0.0
        assert x[0] == pytest.approx(-bound)


def test_the_largest_magnitude_has_the_density_that_was_derived():
    region = InsideAllEllipses(dimension=256, sigma=3.0)
    x = region.draw(np.random.default_rng(8), 20_000)
    largest = np.abs(x).max(axis=1)
    m = np.linspace(0.0, 3.0, 400_001)
    t = np.minimum(m, np.sqrt(9.0 - m**2))
    density = stats.norm.pdf(m) * (2.0 * stats.norm.cdf(t) - 1.0) ** 255
    cumulative = np.cumsum(density) / density.sum()
    cdf = lambda value: np.interp(value, m, cumulative)  # noqa: E731
    assert stats.kstest(largest, cdf).pvalue > FALSE_ALARM


def same_as_alone(method: str, frame: PrincipalFrame, m: int) -> None:
    """Compare draws along m of the axes with those of a distribution of m axes only."""
    alone = PrincipalFrame(
        mean=np.zeros(m), eigenvalues=frame.eigenvalues[:m], components=np.eye(m)
    )
    source, z = drawn(method, frame, 2_000, n_axes=m)
    _, expected = drawn(method, alone, 2_000)
    coordinates = (z - frame.mean) @ frame.components.T
    assert np.allclose(coordinates[:, :m], expected, atol=1e-5)
    assert np.allclose(coordinates[:, m:], 0.0, atol=1e-5)
    assert not source.breaks_promise(z).any()


@pytest.mark.parametrize("m", [1, 3, 6])
@pytest.mark.parametrize("method", along_axes())
def test_leading_axes_alone_are_drawn_as_in_a_distribution_that_has_no_others(
    method, m
):
    frame = frame_of(6)
    same_as_alone(method, frame, m)
    source, z = drawn(method, frame, 2_000, n_axes=m)
    assert f"all principal axes but the leading {m}" in source.promise
    off = z.copy()
    if m < 6:
        off[::3] += (1e-4 * frame.components[-1]).astype(np.float32)
    leading = frame.leading(m)
    off[1::3] = leading.vectors(50.0 * leading.white(z[1::3]))
    broken = source.breaks_promise(off)
    assert broken[::3].all() == (m < 6)
    assert not broken[2::3].any()
    # The normal promises nothing of the leading axes.
    assert (broken[1::3].mean() > 0.9) == (method != "mvn")


def test_axes_that_are_not_there_and_methods_without_axes_are_refused():
    frame = frame_of(4)
    for n_axes in (0, 5):
        with pytest.raises(ValueError, match="n_axes must be 1 to 4"):
            drawn("mvn", frame, 1, n_axes=n_axes)
    with pytest.raises(ValueError, match="method must be one of"):
        drawn("uniform", frame, 1, n_axes=2)


def test_vectors_near_one_are_the_normal_shrunk_and_moved_to_it():
    frame = frame_of(4)
    centre = frame.mean + 3.0
    source = Near(frame, centre, sigma=0.25)
    blocks = [draw_block(source, method="near", seed=1, block=b) for b in range(157)]
    z = np.concatenate(blocks)
    again = frame.white(frame.mean + (z - centre) / 0.25)
    rng = np.random.default_rng(5)
    assert_same_distribution(again, rng.standard_normal(again.shape))
    assert np.array_equal(blocks[3], draw_block(source, method="near", seed=1, block=3))
    assert not np.array_equal(
        blocks[3], draw_block(source, method="near", seed=2, block=3)
    )
    assert not source.breaks_promise(z).any()
    exact = Near(frame, centre, sigma=0.0)
    assert np.array_equal(
        draw_block(exact, method="near", seed=1, block=0),
        np.tile(centre.astype(np.float32), (BLOCK_ROWS, 1)),
    )


def test_every_method_draws_its_own_random_numbers():
    frame = frame_of(4)
    source = sampler("mvn", frame, sigma=2.0, quantile=0.6)
    drawn_as = {
        name: draw_block(source, method=name, seed=1, block=0).tobytes()
        for name in (*METHODS, "near")
    }
    assert len(set(drawn_as.values())) == len(drawn_as)


def test_the_place_of_a_method_that_keys_its_random_numbers_never_changes():
    places = (
        "mvn",
        "ball",
        "box",
        "ellipses",
        "independent",
        "uniform",
        "near",
        "ellipses-raw",
    )
    assert set(places) == {*METHODS, "near"}
    frame = PrincipalFrame(
        mean=np.zeros(2), eigenvalues=np.ones(2), components=np.eye(2)
    )
    source = sampler("mvn", frame, sigma=2.0, quantile=0.6)
    for place, name in enumerate(places):
        generator = np.random.Generator(np.random.Philox(key=[1, place]))
        first = draw_block(source, method=name, seed=1, block=0)[0]
        assert np.array_equal(first, generator.standard_normal(2).astype(np.float32))
