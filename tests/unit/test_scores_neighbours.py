"""Neighbours are those of a search of every pair, and the scores those of their papers."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from lowmem_jobs.stats.neighbours import Neighbours, nearest_rows, pairs_within
from lowmem_jobs.stats.scores_neighbours import (
    QUANTILES,
    ManifoldScores,
    Memorisation,
    manifold_scores,
    memorisation,
)

MEMORY_BYTES = 100_000


def normals(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def brute(vectors: np.ndarray, table: np.ndarray, k: int) -> tuple:
    """Return all distances sorted: by distance, then by row."""
    wide = np.asarray(vectors, np.float64)
    squares = cdist(wide, np.asarray(table, np.float64), "sqeuclidean")
    order = np.argsort(squares, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(squares, order, axis=1), order


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_neighbours_are_those_that_scikit_learn_finds(dtype, offset):
    table = (normals(300, 12) + offset).astype(dtype)
    vectors = (normals(80, 12, seed=1) + offset).astype(dtype)
    found = nearest_rows(
        vectors,
        [table[:100], table[100:]],
        n_neighbours=4,
        memory_bytes=MEMORY_BYTES,
    )
    searched = NearestNeighbors(n_neighbors=4, algorithm="kd_tree").fit(table)
    distances, rows = searched.kneighbors(vectors)
    assert np.array_equal(found.rows, rows)
    assert found.distances == pytest.approx(distances, rel=1e-6)
    squares, _ = brute(vectors, table, 4)
    assert found.squares == pytest.approx(squares, rel=1e-12)


def test_a_copy_is_at_distance_zero_and_a_near_copy_as_far_as_it_is():
    table = (normals(500, 256) + 50.0).astype(np.float32)
    copies = table[[7, 400]].astype(np.float64)
    copies[1, 3] += 1e-9  # far below what float32 holds at 50
    found = nearest_rows(copies, [table], memory_bytes=MEMORY_BYTES)
    assert found.rows[:, 0].tolist() == [7, 400]
    assert found.distances[0, 0] == 0.0
    assert found.distances[1, 0] == pytest.approx(1e-9, rel=1e-4)


@pytest.mark.parametrize("scale", [1e-170, 1e-25, 1e150])
def test_vectors_beyond_the_range_of_float32_are_compared(scale):
    table, vectors = normals(60, 5) * scale, normals(20, 5, seed=1) * scale
    found = nearest_rows(vectors, [table], n_neighbours=3, memory_bytes=MEMORY_BYTES)
    _, rows = brute(vectors / scale, table / scale, 3)
    if scale == 1e-170:  # all squares underflow: equally near, the lower row first
        assert np.array_equal(found.rows, np.tile(np.arange(3), (20, 1)))
    else:
        assert np.array_equal(found.rows, rows)


def test_a_far_outlier_does_not_blur_the_others():
    table = normals(200, 6)
    table[17] = 1e9
    vectors = normals(50, 6, seed=1)
    vectors[3] = -1e9
    found = nearest_rows(vectors, [table], n_neighbours=2, memory_bytes=MEMORY_BYTES)
    assert np.array_equal(found.rows, brute(vectors, table, 2)[1])


def test_fewer_rows_than_neighbours_leave_the_rest_unknown():
    found = nearest_rows(
        normals(3, 4),
        [normals(2, 4, seed=1)],
        n_neighbours=5,
        memory_bytes=MEMORY_BYTES,
    )
    assert np.isinf(found.squares[:, 2:]).all()
    assert (found.rows[:, 2:] == -1).all()
    assert np.array_equal(np.sort(found.rows[:, :2], axis=1), [[0, 1]] * 3)
    none = nearest_rows(normals(3, 4), [], memory_bytes=MEMORY_BYTES)
    assert np.isinf(none.distances).all()
    empty = nearest_rows(normals(0, 4), [normals(2, 4)], memory_bytes=MEMORY_BYTES)
    assert empty.rows.shape == (0, 1)


def test_pairs_within_a_limit_are_all_of_them():
    first, second = normals(90, 7), normals(130, 7, seed=1)
    squares = cdist(first, second, "sqeuclidean")
    limits = np.quantile(squares, 0.1, axis=1)
    limits[5] = squares[5].min()  # the boundary itself
    found = np.zeros(squares.shape, bool)
    for pairs in pairs_within(first, second, limits, memory_bytes=20_000):
        assert not found[pairs.first, pairs.second].any()
        found[pairs.first, pairs.second] = True
        assert pairs.squares == pytest.approx(squares[pairs.first, pairs.second])
    differs = found != (squares <= limits[:, None])
    assert differs.sum() <= 1  # cdist may round the boundary to the other side
    assert found[5].sum() == 1


@pytest.mark.parametrize("kind", ["normals", "wide", "all equal"])
def test_the_memory_of_a_search_stays_within_what_it_was_given(kind):
    shape = (200, 1_000) if kind == "wide" else (600, 32)
    table = np.ones((300, 32)) if kind == "all equal" else normals(*shape)
    memory_bytes = 600_000
    state = Neighbours.none(len(table), 3)
    tracemalloc.start()
    found = state.updated(table, table, first_row=0, memory_bytes=memory_bytes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak - found.squares.nbytes - found.rows.nbytes < memory_bytes
    assert peak > memory_bytes / 20  # and it is used


def reference_scores(real: np.ndarray, generated: np.ndarray, k: int) -> ManifoldScores:
    """Return the scores from all distances at once, as their papers define them."""
    real_reach = np.sort(cdist(real, real), axis=1)[:, k, None]
    generated_reach = np.sort(cdist(generated, generated), axis=1)[:, k]
    between = cdist(real, generated)
    return ManifoldScores(
        n_neighbours=k,
        n_real=len(real),
        n_generated=len(generated),
        precision=(between <= real_reach).any(axis=0).mean(),
        recall=(between <= generated_reach).any(axis=1).mean(),
        density=(between <= real_reach).sum(axis=0).mean() / k,
        coverage=(between <= real_reach).any(axis=1).mean(),
    )


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("spread", [0.3, 1.0, 2.0])
def test_precision_recall_density_and_coverage_are_those_of_their_papers(k, spread):
    real, generated = normals(200, 6), 0.2 + spread * normals(150, 6, seed=1)
    found = manifold_scores(real, generated, n_neighbours=k, memory_bytes=MEMORY_BYTES)
    assert found == reference_scores(real, generated, k)
    assert 0.0 < found.precision * found.coverage < 1.0


def test_a_set_has_the_best_scores_against_itself_also_where_it_repeats():
    rows = normals(60, 3)
    for some in (rows, np.repeat(rows[:6], 10, axis=0), np.ones((60, 3))):
        found = manifold_scores(some, some, memory_bytes=MEMORY_BYTES)
        assert (found.precision, found.recall, found.coverage) == (1.0, 1.0, 1.0)


def test_sets_far_apart_score_zero_and_a_half_that_is_missing_is_not_recalled():
    real = normals(400, 4)
    apart = manifold_scores(real, real + 100.0, memory_bytes=MEMORY_BYTES)
    assert apart.precision == apart.recall == apart.density == apart.coverage == 0.0
    two = np.concatenate([real[:200], real[200:] + 100.0])
    one = manifold_scores(two, normals(200, 4, seed=2), memory_bytes=MEMORY_BYTES)
    assert 0.4 < one.recall <= 0.5
    assert 0.4 < one.coverage <= 0.5
    assert one.precision > 0.9


def test_equal_distributions_have_density_one_and_the_coverage_of_the_docstring():
    n, m, k, n_pairs = 120, 90, 5, 60
    # The rank of a generated vector among the others around a real one is uniform.
    expected = 1.0 - np.prod((n - 1 - np.arange(k)) / (n + m - 1 - np.arange(k)))
    found = [
        manifold_scores(
            normals(n, 8, seed=2 * seed),
            normals(m, 8, seed=2 * seed + 1),
            memory_bytes=10**6,
        )
        for seed in range(n_pairs)
    ]
    for name, value in (("density", 1.0), ("coverage", expected)):
        scores = np.array([getattr(one, name) for one in found])
        error = scores.std(ddof=1) / np.sqrt(n_pairs)
        assert abs(scores.mean() - value) < 4.5 * error  # by chance once in 10^5
        assert error < 0.02


def test_sets_without_a_kth_neighbour_have_no_scores():
    assert manifold_scores(normals(5, 2), normals(9, 2), memory_bytes=10**6) is None
    assert manifold_scores(normals(6, 2), normals(6, 2), memory_bytes=10**6)


def test_memorisation_is_told_from_novelty_by_the_held_out_vectors():
    train, held_out, novel = (
        normals(2_000, 8),
        normals(500, 8, seed=1),
        normals(600, 8, seed=2),
    )
    copies = train[:600] + 1e-3 * normals(600, 8, seed=3)

    def nearest(vectors):
        found = nearest_rows(vectors, np.split(train, 4), memory_bytes=10**6)
        return found.distances[:, 0]

    copied = memorisation(nearest(copies), nearest(held_out))
    fresh = memorisation(nearest(novel), nearest(held_out))
    assert copied.share_nearer == 1.0
    median = QUANTILES.index(0.5)
    assert copied.generated[median] < 0.01 * copied.held_out[median]
    assert abs(fresh.share_nearer - 0.05) < 4.5 * fresh.share_standard_error
    expected = pytest.approx(fresh.held_out[median], rel=0.05)
    assert fresh.generated[median] == expected


def test_memorisation_summarises_both_sets():
    steps = np.arange(101.0)
    assert memorisation(2.0 * steps, steps, quantile=0.2) == Memorisation(
        n_generated=101,
        n_held_out=101,
        quantile=0.2,
        threshold=20.0,
        share_nearer=10 / 101,
        share_standard_error=pytest.approx(np.sqrt(0.16 * 2 / 101)),
        generated=tuple(200.0 * np.array(QUANTILES)),
        held_out=tuple(100.0 * np.array(QUANTILES)),
    )
    assert memorisation(steps, steps[:0]) is None


def test_the_standard_error_of_the_share_is_that_of_many_repetitions():
    rng = np.random.default_rng(9)
    found = [memorisation(rng.random(200), rng.random(300)) for _ in range(400)]
    shares = [one.share_nearer for one in found]
    assert np.std(shares) == pytest.approx(found[0].share_standard_error, rel=0.15)
    assert np.mean(shares) == pytest.approx(0.05, abs=0.006)
