from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import zarr

from lowmem.base.errors import DataError
from lowmem.stores import direct
from lowmem.stores.batches import CachedReader, open_batches
from lowmem.stores.direct import DirectReader
from lowmem.stores.order import epoch_order
from lowmem.stores.split import split_by_name, split_rows
from lowmem.stores.write import RowWriter

N_ROWS = 50


def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (N_ROWS, 6, 5, 3), dtype=np.uint8)


def write_store(folder, *, codec="none"):
    rows = images()
    writer = RowWriter.open(
        folder, "images", row_shape=rows.shape[1:], dtype=np.uint8, chunk_rows=8,
        codec=codec,
    )  # fmt: skip
    for start in range(0, N_ROWS, 8):
        writer.append(rows[start : start + 8])
    writer.flush()
    return folder


def write_zarr(path, **kwargs: object):
    rows = images()
    array = zarr.create_array(path, shape=rows.shape, dtype=rows.dtype, **kwargs)
    array[:] = rows
    return path


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def layouts(folder):
    """Yield every kind of store, and the reader it should get."""
    none = {"compressors": None, "filters": None}
    yield write_store(folder / "ours") / "images", DirectReader
    yield write_store(folder / "lz4", codec="lz4") / "images", CachedReader
    whole = (8, 6, 5, 3)
    yield write_zarr(folder / "v3", chunks=whole, compressors=None), DirectReader
    yield write_zarr(folder / "v2", chunks=whole, zarr_format=2, **none), DirectReader
    yield write_zarr(folder / "zstd", chunks=whole), CachedReader
    yield (
        write_zarr(folder / "tiles", chunks=(8, 3, 5, 3), compressors=None),
        CachedReader,
    )
    sharded = {"chunks": (4, 6, 5, 3), "shards": (16, 6, 5, 3), "compressors": None}
    yield write_zarr(folder / "shards", **sharded), CachedReader
    fortran = write_zarr(
        folder / "fortran", chunks=whole, zarr_format=2, order="F", **none
    )
    yield fortran, CachedReader


@pytest.mark.slow
def test_every_layout_gives_the_same_rows_by_the_right_path(tmp_path):
    rows = np.array([49, 0, 7, 8, 9, 8, 8, 48, 3, 2, 1, 40], np.int64)
    for path, kind in layouts(tmp_path):
        with open_batches(path, None, cache_bytes=2**20) as reader:
            assert type(reader) is kind, path.name
            np.testing.assert_array_equal(reader.read(rows), images()[rows])
            assert reader.read(rows[:0]).shape == (0, 6, 5, 3)


@pytest.mark.parametrize("cache_bytes", [0, 8 * 90, 2**20])
def test_a_decoded_cache_of_any_size_changes_no_row_and_keeps_its_bound(
    tmp_path, cache_bytes
):
    store = write_store(tmp_path / "store.zarr", codec="zstd")
    with open_batches(store, "images", cache_bytes=cache_bytes) as reader:
        for epoch in range(2):
            order = epoch_order(n_rows=N_ROWS, seed=1, epoch=epoch)
            np.testing.assert_array_equal(reader.read(order), images()[order])
            held = sum(chunk.nbytes for chunk in reader._chunks.values())
            assert held <= max(cache_bytes, 8 * 90)


def test_descriptors_are_bounded_and_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(direct, "_OPEN_FILES", 2)
    store = write_store(tmp_path / "store.zarr")
    before = open_files()
    with open_batches(store, "images", cache_bytes=0) as reader:
        reader.read(epoch_order(n_rows=N_ROWS, seed=1, epoch=0))
        assert open_files() <= before + 2
    assert open_files() == before


@pytest.mark.parametrize("codec", ["none", "lz4"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "altered"])
def test_damage_is_data_error_that_names_chunk_and_samples(tmp_path, damage, codec):
    store = write_store(tmp_path / "store.zarr", codec=codec)
    chunk = min((store / "images").glob("c*2*"))
    if damage == "missing":
        chunk.unlink()
    elif damage == "altered":
        data = bytearray(chunk.read_bytes())
        data[40] ^= 1
        chunk.write_bytes(data)
    else:
        os.truncate(chunk, 10)
    with (
        open_batches(store, "images", cache_bytes=2**20) as reader,
        pytest.raises(DataError, match=r"16 to 23") as caught,
    ):
        reader.read(np.array([1, 17], np.int64))
    assert chunk.name in str(caught.value)
    assert caught.value.exit_code == 65


@pytest.mark.parametrize("place", [0, 8 * 90 - 1, 8 * 90, 8 * 90 + 3])
def test_any_altered_byte_of_a_chunk_is_damage_whichever_row_is_read(
    tmp_path, monkeypatch, place
):
    monkeypatch.setattr(direct, "_BLOCK_BYTES", 100)
    store = write_store(tmp_path / "store.zarr")
    chunk = min((store / "images").glob("c*3*"))
    data = bytearray(chunk.read_bytes())
    data[place] ^= 128
    chunk.write_bytes(data)
    with open_batches(store, "images", cache_bytes=0) as reader:
        reader.read(np.array([0, 49], np.int64))
        for _ in range(2):
            with pytest.raises(DataError, match=r"altered.*samples 24 to 31"):
                reader.read(np.array([27], np.int64))


def test_a_chunk_is_verified_once_however_often_it_is_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(direct, "_OPEN_FILES", 1)
    verified = []
    extend = direct.google_crc32c.extend

    def note(crc: int, data: bytes) -> int:
        verified.append(len(data))
        return extend(crc, data)

    monkeypatch.setattr(direct.google_crc32c, "extend", note)
    store = write_store(tmp_path / "store.zarr")
    with open_batches(store, "images", cache_bytes=0) as reader:
        for epoch in range(3):
            reader.read(epoch_order(n_rows=N_ROWS, seed=1, epoch=epoch))
    assert verified == [8 * 90] * 7


def test_a_chunk_that_vanishes_while_it_is_read_is_named(tmp_path):
    store = write_store(tmp_path / "store.zarr")
    with open_batches(store, "images", cache_bytes=0) as reader:
        chunk = min((store / "images").glob("c*3*"))
        chunk.unlink()
        with pytest.raises(DataError, match=r"samples 24 to 31"):
            reader.read(np.array([25], np.int64))


def test_a_store_without_the_array_is_a_data_error(tmp_path):
    with pytest.raises(DataError):
        open_batches(tmp_path / "absent.zarr", "images", cache_bytes=0)


def test_every_epoch_has_its_own_order_and_visits_each_row_once():
    orders = [epoch_order(n_rows=1000, seed=3, epoch=epoch) for epoch in range(4)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(1000))
    assert len({order.tobytes() for order in orders}) == 4
    again = epoch_order(n_rows=1000, seed=3, epoch=2)
    np.testing.assert_array_equal(again, orders[2])
    other_seed = epoch_order(n_rows=1000, seed=4, epoch=2)
    assert not np.array_equal(other_seed, orders[2])


def test_the_order_never_changes_between_versions():
    # Kept from the first version: a resumed run must go on in the order it began.
    assert epoch_order(n_rows=8, seed=1, epoch=2).tolist() == [7, 0, 5, 4, 6, 2, 3, 1]


def test_the_split_does_not_move_a_sample_when_others_come():
    few = [f"{i}.jpg" for i in range(500)]
    many = [f"new-{i}.jpg" for i in range(300)] + few
    held_out_of_few = {few[i] for i in split_by_name(few, fraction=0.2).validation}
    held_out_of_many = {many[i] for i in split_by_name(many, fraction=0.2).validation}
    assert held_out_of_many & set(few) == held_out_of_few
    assert 60 < len(held_out_of_few) < 140


def test_no_fraction_of_one_sample_leaves_nothing_to_train_on():
    for fraction in (0.0, 0.5, 1.0):
        split = split_by_name(["only.png"], fraction=fraction)
        assert split.training.tolist() == [0]
        assert split.validation.tolist() == []


def test_the_split_of_a_store_goes_by_its_names(tmp_path):
    names = [f"photo {i}" for i in range(N_ROWS)]
    store = write_store(tmp_path / "store.zarr")
    by_number = split_rows(store, n_rows=N_ROWS, fraction=0.3)
    numbers = split_by_name((str(i) for i in range(N_ROWS)), fraction=0.3)
    np.testing.assert_array_equal(by_number.validation, numbers.validation)

    array = zarr.create_array(store / "names", shape=(N_ROWS,), dtype="str")
    array[:] = np.array(names, dtype=object)
    by_name = split_rows(store, n_rows=N_ROWS, fraction=0.3)
    expected = split_by_name(names, fraction=0.3)
    np.testing.assert_array_equal(by_name.validation, expected.validation)
    np.testing.assert_array_equal(
        np.sort(np.concatenate([by_name.training, by_name.validation])),
        np.arange(N_ROWS),
    )


def test_names_that_are_missing_are_damage_and_no_other_split(tmp_path):
    store = write_store(tmp_path / "store.zarr")
    names = np.array([f"photo {i}" for i in range(N_ROWS)], dtype=object)
    writer = RowWriter.open(store, "names", row_shape=(), dtype="str", chunk_rows=25)
    for start in (0, 25):
        writer.append(names[start : start + 25])
    split = split_rows(store, n_rows=N_ROWS, fraction=0.3)
    expected = split_by_name(names, fraction=0.3)
    np.testing.assert_array_equal(split.validation, expected.validation)
    (store / "names" / "c.1").unlink()
    with pytest.raises(DataError, match="samples 25 to 49"):
        split_rows(store, n_rows=N_ROWS, fraction=0.3)
