"""No bit of a search depends on tiles, on blocks or on their order."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from threadpoolctl import threadpool_limits

from lowmem_jobs.stats.neighbours import Neighbours, nearest_rows
from lowmem_jobs.stats.scores_neighbours import manifold_scores

N_FEATURES = 3
MEMORIES = st.sampled_from([1, 20_000, 50_000, 10**8])


def tables(smallest: int):
    """Return tables with many equal distances, and some within rounding of equal."""
    return hnp.arrays(
        np.float64,
        st.tuples(st.integers(smallest, 40), st.just(N_FEATURES)),
        elements=st.one_of(
            st.integers(-2, 2).map(float),
            st.floats(-1, 1, width=32),
            st.just(1.0 + 2.0**-40),
        ),
    )


@settings(deadline=None)
@given(tables(0), tables(1), st.integers(1, 4), MEMORIES, st.data())
def test_a_search_in_any_pieces_finds_what_a_search_of_every_pair_finds(
    vectors, table, k, memory_bytes, data
):
    cut = data.draw(st.integers(0, len(table)))
    state = Neighbours.none(len(vectors), k)
    pieces = [(cut, table[cut:]), (0, table[:cut])]
    for first_row, block in data.draw(st.permutations(pieces)):
        state = state.updated(
            vectors, block, first_row=first_row, memory_bytes=memory_bytes
        )
    difference = vectors[:, None] - table[None]
    squares = np.square(difference).sum(axis=2)
    order = np.argsort(squares, axis=1, kind="stable")[:, :k]
    n_found = order.shape[1]
    assert np.array_equal(state.rows[:, :n_found], order)
    wanted = np.take_along_axis(squares, order, axis=1)
    assert np.array_equal(state.squares[:, :n_found], wanted)
    assert np.isinf(state.squares[:, n_found:]).all()


@settings(deadline=None)
@given(tables(2), tables(2), st.integers(1, 3), MEMORIES)
def test_scores_do_not_depend_on_memory(real, generated, k, memory_bytes):
    found, whole = (
        manifold_scores(real, generated, n_neighbours=k, memory_bytes=memory)
        for memory in (memory_bytes, 10**9)
    )
    assert found == whole


def test_a_search_in_256_dimensions_is_the_same_to_the_bit_for_any_tile_or_threads():
    rng = np.random.default_rng(3)
    table = rng.standard_normal((700, 256)).astype(np.float32)
    vectors = rng.standard_normal((150, 256))
    found = []
    for memory_bytes, threads, dtype in (
        (10**9, 2, np.float32),
        (3 * 10**5, 1, np.float32),
        (4 * 10**6, 2, np.float64),
    ):
        with threadpool_limits(limits=threads, user_api="blas"):
            state = nearest_rows(
                vectors,
                np.array_split(table.astype(dtype), 1 + memory_bytes % 7),
                n_neighbours=5,
                memory_bytes=memory_bytes,
            )
        found.append(state)
    for state in found[1:]:
        assert np.array_equal(state.squares, found[0].squares)
        assert np.array_equal(state.rows, found[0].rows)
