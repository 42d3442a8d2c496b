"""The order of the samples: its statistics, and what it may depend on."""

from __future__ import annotations

import hashlib
import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from lowmem.stores import epoch_order as orders
from lowmem.stores.batches import open_batches
from lowmem.stores.epoch_order import EpochOrder, epoch_order, row_number_type
from lowmem.stores.read_ahead import read_ahead
from lowmem.stores.reading import Reading, plan_reading

N_EPOCHS = 200


@pytest.fixture(params=["whole", "in parts"])
def _each_way(request, monkeypatch):
    """Draw orders of few rows as those of many are drawn too."""
    if request.param == "in parts":
        draw_in_parts(monkeypatch)


def draw_in_parts(monkeypatch, *, whole=10, part=32, most_parts=256):
    monkeypatch.setattr(orders, "_WHOLE", whole)
    monkeypatch.setattr(orders, "_PART", part)
    monkeypatch.setattr(orders, "_MOST_PARTS", most_parts)


@given(
    n_rows=st.integers(0, 300),
    seed=st.integers(-(2**63), 2**64),
    epoch=st.integers(0, 10**6),
    run_length=st.integers(1, 40),
)
def test_every_sample_comes_once_an_epoch(n_rows, seed, epoch, run_length):
    order = epoch_order(n_rows=n_rows, seed=seed, epoch=epoch, run_length=run_length)
    np.testing.assert_array_equal(np.sort(order), np.arange(n_rows))


@pytest.mark.usefixtures("_each_way")
@pytest.mark.parametrize(("run_length", "n_rows"), [(1, 200), (8, 200), (8, 203)])
def test_positions_are_uniform_over_200_epochs(run_length, n_rows):
    counts = np.zeros((n_rows, 10))
    for epoch in range(N_EPOCHS):
        order = epoch_order(n_rows=n_rows, seed=5, epoch=epoch, run_length=run_length)
        positions = np.argsort(order)
        counts[np.arange(n_rows), positions * 10 // n_rows] += 1
    expected = np.diff(np.ceil(np.arange(11) * n_rows / 10)) * N_EPOCHS / n_rows
    # One test a sample, of all the tenths of an epoch that it fell into.
    p = stats.chisquare(counts, expected[None, :], axis=1).pvalue
    assert p.min() > 0.01 / n_rows
    # And all of them together look like what they should be: uniform.
    assert stats.kstest(p, "uniform").pvalue > 1e-3


@pytest.mark.usefixtures("_each_way")
@pytest.mark.parametrize("run_length", [1, 8])
def test_orders_of_different_epochs_and_seeds_are_uncorrelated(run_length):
    n_rows, n_orders = 2000, 40
    orders = [
        np.argsort(
            epoch_order(n_rows=n_rows, seed=seed, epoch=epoch, run_length=run_length)
        )
        for seed in (1, 2)
        for epoch in range(n_orders // 2)
    ]
    rho = np.corrcoef(orders)[np.triu_indices(n_orders, 1)]
    # Runs move together, so fewer places are independent: at least one in each run.
    assert np.abs(rho).max() < 5 * np.sqrt(run_length / n_rows)
    assert 0.85 / n_rows**0.5 < rho.std() < 1.15 * np.sqrt(run_length / n_rows)


@pytest.mark.usefixtures("_each_way")
@pytest.mark.parametrize("run_length", [1, 8])
def test_an_order_is_not_correlated_with_the_order_of_storage(run_length):
    n_rows = 2000
    found = [
        np.corrcoef(
            np.arange(n_rows),
            epoch_order(n_rows=n_rows, seed=9, epoch=epoch, run_length=run_length),
        )[0, 1]
        for epoch in range(50)
    ]
    assert np.abs(np.mean(found)) < 5 * np.sqrt(run_length / n_rows / 50)


def test_runs_are_read_as_neighbours_and_begin_anew_each_epoch():
    firsts = []
    for epoch in range(3):
        order = epoch_order(n_rows=800, seed=1, epoch=epoch, run_length=8)
        steps = np.diff(order)
        assert (steps == 1).sum() >= 800 * 7 // 8 - 1
        firsts.append(int(order[0] % 8))
    assert len(set(firsts)) > 1


def test_the_orders_never_change_between_versions():
    # Kept from the first version: a resumed run must go on in the order it began.
    assert epoch_order(n_rows=8, seed=1, epoch=2).tolist() == [7, 0, 5, 4, 6, 2, 3, 1]
    runs = epoch_order(n_rows=8, seed=1, epoch=2, run_length=3)
    assert runs.tolist() == RUNS


RUNS = [5, 6, 7, 0, 1, 2, 3, 4]


def order_in_int64(n_rows, run_length):
    """Return the order of seed 1 and epoch 2, as the first version drew it."""
    key = np.array([1, 2], np.uint64)
    generator = np.random.Generator(np.random.Philox(key=key))
    if run_length == 1:
        return generator.permutation(n_rows)
    shift = generator.integers(max(n_rows, 1))
    starts = generator.permutation(-(-n_rows // run_length)) * run_length
    order = (starts[:, None] + np.arange(run_length)).ravel()
    return (order[order < n_rows] + shift) % n_rows if n_rows else starts


@pytest.mark.parametrize("run_length", [1, 3, 8])
@pytest.mark.parametrize("n_rows", [0, 1, 7, 8, 9, 1000, 70_001])
def test_an_order_is_the_same_in_the_smallest_type_that_holds_it(n_rows, run_length):
    order = epoch_order(n_rows=n_rows, seed=1, epoch=2, run_length=run_length)
    assert order.dtype == np.int32
    np.testing.assert_array_equal(order, order_in_int64(n_rows, run_length))
    assert row_number_type(2**31 - 1) == np.int32
    assert row_number_type(2**31) == np.int64


# --- orders in parts --------------------------------------------------------------


def drawn_at_once(n_rows, *, seed, epoch, n_parts):
    """Return an order in parts by the plainest way: all parts drawn, then each shuffled."""
    key = np.array([seed, epoch], np.uint64)

    def philox(*counter):
        return np.random.Philox(key=key, counter=np.array(counter, np.uint64))

    words = philox(0, 0, 0, 1).random_raw(-(-n_rows // 8))
    parts = words.astype("<u8").view(np.uint8)[:n_rows] % n_parts
    order = []
    for part in range(n_parts):
        rows = np.flatnonzero(parts == part).astype(np.int32)
        np.random.Generator(philox(0, 0, part, 2)).shuffle(rows)
        order.append(rows)
    return np.concatenate(order)


@pytest.mark.parametrize(
    ("n_rows", "n_parts"), [(2**18, 0), (2**18 + 1, 8), (300_000, 8), (600_000, 16)]
)
def test_beyond_a_number_of_rows_an_order_is_drawn_in_parts(n_rows, n_parts):
    order = epoch_order(n_rows=n_rows, seed=1, epoch=2)
    expected = (
        drawn_at_once(n_rows, seed=1, epoch=2, n_parts=n_parts)
        if n_parts
        else order_in_int64(n_rows, 1)
    )
    np.testing.assert_array_equal(order, expected)
    np.testing.assert_array_equal(np.sort(order), np.arange(n_rows))
    first = EpochOrder(n_rows=n_rows, seed=1, epoch=2, version=1).rows(0, n_rows)
    np.testing.assert_array_equal(first, order_in_int64(n_rows, 1))


def test_the_orders_in_parts_never_change_between_versions():
    # Kept from the version that first drew them.
    order = epoch_order(n_rows=300_000, seed=1, epoch=2)
    assert order[:8].tolist() == FIRST
    assert hashlib.sha256(order.astype("<i4").tobytes()).hexdigest() == SHA256


FIRST = [90486, 105711, 106578, 147277, 180658, 133205, 88866, 94005]
SHA256 = "0f2897bd9bcb6359233c925e06c67be1515b110d9b86f0bd92ca63ab5e88be04"


@pytest.mark.usefixtures("_each_way")
@given(
    n_rows=st.integers(0, 2000),
    run_length=st.sampled_from([1, 2, 8, 33]),
    edges=st.lists(st.integers(0, 2100), max_size=8),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_order_is_the_same_wherever_it_is_entered(n_rows, run_length, edges):
    recipe = {"n_rows": n_rows, "seed": 4, "epoch": 3, "run_length": run_length}
    whole = epoch_order(**recipe)
    np.testing.assert_array_equal(np.sort(whole), np.arange(n_rows))
    order = EpochOrder(**recipe)
    assert len(order) == n_rows
    for start, stop in pairwise(edges):
        found = order.rows(start, stop)
        np.testing.assert_array_equal(found, whole[start : max(start, stop)])
        assert found.dtype == np.int32


@pytest.mark.parametrize("n_rows", [200, 203])
def test_runs_in_parts_are_neighbours_too(monkeypatch, n_rows):
    draw_in_parts(monkeypatch, part=8)
    order = epoch_order(n_rows=n_rows, seed=1, epoch=0, run_length=8)
    assert (np.diff(order) == 1).sum() >= n_rows * 7 // 8 - 1
    # With so few runs two neighbours follow each other now and then.
    assert (np.diff(order) == 1).sum() < n_rows * 7 // 8 + 9


@pytest.mark.slow
@pytest.mark.parametrize(("part", "most_parts"), [(2, 256), (1, 256), (1, 2)])
def test_every_permutation_is_as_likely_as_any_other(monkeypatch, part, most_parts):
    draw_in_parts(monkeypatch, whole=2, part=part, most_parts=most_parts)
    n_orders = 24 * 200
    found = Counter(
        tuple(epoch_order(n_rows=4, seed=7, epoch=epoch).tolist())
        for epoch in range(n_orders)
    )
    assert len(found) == 24
    assert stats.chisquare(list(found.values())).pvalue > 1e-3


@pytest.mark.parametrize("n_rows", [100, 300, 1000, 10**4])
def test_what_is_held_of_an_order_keeps_its_bound(monkeypatch, n_rows):
    draw_in_parts(monkeypatch, whole=256, part=64, most_parts=16)
    order = EpochOrder(n_rows=n_rows, seed=1, epoch=0)
    most = 0
    for start in range(0, n_rows, 10):
        order.rows(start, start + 10)
        most = max(most, len(order._runs._numbers))
    # Parts differ by chance: by five standard deviations of the largest.
    mean = max(64, n_rows / 16)
    assert most <= (n_rows if n_rows <= 256 else mean + 5 * mean**0.5)


N_ROWS = 61
ROWS = np.arange(N_ROWS, dtype=np.uint8)[:, None].repeat(6, axis=1).reshape(-1, 2, 3)


def write(path, *, chunk_rows, codec, shard_chunks):
    extra = {} if codec == "zstd" else {"compressors": None}
    if shard_chunks:
        extra["shards"] = (chunk_rows * shard_chunks, 2, 3)
    array = zarr.create_array(
        path, shape=ROWS.shape, dtype="u1", chunks=(chunk_rows, 2, 3), **extra
    )
    array[:] = ROWS


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(
    chunk_rows=st.integers(1, 20),
    shard_chunks=st.integers(0, 3),
    codec=st.sampled_from(["none", "zstd"]),
    batch_rows=st.integers(1, 70),
    memory_bytes=st.sampled_from([None, 0, 200, 10**4]),
    queue_depth=st.integers(1, 5),
    start_batch=st.integers(0, 70),
    run_length=st.sampled_from([1, 8]),
)
@pytest.mark.slow
def test_what_is_read_depends_on_seed_epoch_and_batch_alone(
    *, chunk_rows, shard_chunks, codec, batch_rows, memory_bytes, queue_depth, start_batch,
    run_length,
):  # fmt: skip
    order = epoch_order(n_rows=N_ROWS, seed=3, epoch=7, run_length=run_length)
    rest = order[start_batch * batch_rows :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "s")
        write(path, chunk_rows=chunk_rows, codec=codec, shard_chunks=shard_chunks)
        with open_batches(
            path,
            None,
            batch_rows=batch_rows,
            memory_bytes=memory_bytes,
            spill_folder=Path(folder),
        ) as reader:
            batches = read_ahead(
                lambda i: reader.read(rest[i * batch_rows : (i + 1) * batch_rows]),
                -(-len(rest) // batch_rows),
                queue_depth=queue_depth,
            )
            seen = [batch[:, 0, 0].tolist() for batch in batches]
    assert [row for batch in seen for row in batch] == rest.tolist()


@given(
    reading=st.builds(
        Reading,
        n_rows=st.integers(1, 10**7),
        row_bytes=st.integers(1, 10**6),
        chunk_rows=st.integers(1, 1024),
        batch_rows=st.integers(1, 1024),
        is_compressed=st.booleans(),
    ),
    memory_bytes=st.integers(0, 10**11),
)
def test_a_plan_keeps_the_budget_or_is_the_least_there_is(reading, memory_bytes):
    plan = plan_reading(reading, memory_bytes=memory_bytes)
    least = plan_reading(reading, memory_bytes=0)
    most = plan_reading(reading)
    assert plan.memory_bytes <= memory_bytes or plan == least
    assert 1 <= least.queue_depth <= plan.queue_depth <= most.queue_depth
    assert 1 <= least.threads <= plan.threads <= most.threads
    assert least.memory_bytes <= plan.memory_bytes <= most.memory_bytes
    assert plan.memory_bytes >= plan.n_buffers * reading.batch_bytes
