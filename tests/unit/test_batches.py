from __future__ import annotations

import errno
import gc
import os
from pathlib import Path

import google_crc32c
import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import Crc32cCodec, GzipCodec

from lowmem.base.errors import DataError, StorageError
from lowmem.stores import checksum_pass, direct_rows, disk_space
from lowmem.stores.batches import open_batches
from lowmem.stores.cache import CachedReader
from lowmem.stores.chunk_decoder import ChunkDecoder
from lowmem.stores.direct_rows import DirectReader
from lowmem.stores.disk_cache import SpilledReader
from lowmem.stores.epoch_order import epoch_order
from lowmem.stores.layout import find_layout
from lowmem.stores.row_reader import RowReader
from lowmem.stores.row_writer import RowWriter
from lowmem.stores.validation_split import split_by_name, split_rows

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


def open_rows(store, name, **kwargs: object):
    """Open a reader that may hold nothing decoded."""
    return open_batches(store, name, batch_rows=8, memory_bytes=0, **kwargs)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def layouts(folder):
    """Yield every kind of store, and the reader it should get."""
    none = {"compressors": None, "filters": None}
    yield write_store(folder / "ours") / "images", DirectReader
    yield write_store(folder / "lz4", codec="lz4") / "images", SpilledReader
    yield write_store(folder / "zstd", codec="zstd") / "images", SpilledReader
    whole = (8, 6, 5, 3)
    yield write_zarr(folder / "v3", chunks=whole, compressors=None), DirectReader
    yield write_zarr(folder / "v2", chunks=whole, zarr_format=2, **none), DirectReader
    yield write_zarr(folder / "v3-zstd", chunks=whole), SpilledReader
    yield write_zarr(folder / "gzip", chunks=whole, compressors=GzipCodec()), SpilledReader  # fmt: skip
    blosc = {"zarr_format": 2, "compressors": numcodecs.Blosc(), "filters": None}
    yield write_zarr(folder / "v2-blosc", chunks=whole, **blosc), SpilledReader
    tiles = (8, 3, 5, 3)
    yield write_zarr(folder / "tiles", chunks=tiles, compressors=None), SpilledReader
    fortran = {"zarr_format": 2, "order": "F", **none}
    yield write_zarr(folder / "fortran", chunks=whole, **fortran), SpilledReader
    shards = {"chunks": (4, 6, 5, 3), "shards": (16, 6, 5, 3)}
    yield write_zarr(folder / "shards", **shards, compressors=None), DirectReader
    yield write_zarr(folder / "shards-zstd", **shards), SpilledReader
    first = {**shards, "shards": {"shape": shards["shards"], "index_location": "start"}}
    yield write_zarr(folder / "index", **first, compressors=None), DirectReader
    gap = write_zarr(folder / "gap", chunks=whole, compressors=None, fill_value=0)
    zarr.open_array(gap)[8:16] = 0
    yield gap, SpilledReader


@pytest.mark.slow
def test_every_layout_gives_the_same_rows_by_the_right_path(tmp_path):
    rows = np.array([49, 0, 7, 8, 9, 8, 8, 48, 3, 2, 1, 40, 15, 16], np.int64)
    for path, kind in layouts(tmp_path):
        expected = images()[rows]
        if path.name == "gap":
            expected[(rows >= 8) & (rows < 16)] = 0
        with open_rows(path, None) as reader:
            assert type(reader) is kind, path.name
            assert reader.note == ""
            np.testing.assert_array_equal(reader.read(rows), expected, path.name)
            assert reader.read(rows[:0]).shape == (0, 6, 5, 3)
            reader.verify()


def test_inner_chunks_are_found_in_whatever_order_a_shard_holds_them(tmp_path):
    path = write_zarr(
        tmp_path / "s", chunks=(8, 6, 5, 3), shards=(16, 6, 5, 3), compressors=None
    )
    for shard in sorted(path.glob("c/*/0/0/0")):
        data = bytearray(shard.read_bytes())
        index = np.frombuffer(data[-36:-4], "<u8").reshape(2, 2).copy()
        if (index == 2**64 - 1).any():
            continue
        (a, n), (b, _) = index.tolist()
        data[a : a + n], data[b : b + n] = data[b : b + n], data[a : a + n]
        index[:, 0] = index[::-1, 0]
        crc = google_crc32c.value(index.tobytes()).to_bytes(4, "little")
        shard.write_bytes(bytes(data[:-36]) + index.tobytes() + crc)
    np.testing.assert_array_equal(zarr.open_array(path, mode="r"), images())
    layout = find_layout(path)
    assert (layout.offsets[:2] == [8 * 90, 0]).all()
    with open_rows(path, None) as reader:
        order = epoch_order(n_rows=N_ROWS, seed=1, epoch=0)
        np.testing.assert_array_equal(reader.read(order), images()[order])


def test_a_shard_without_a_valid_index_is_a_data_error(tmp_path):
    shards = {"chunks": (4, 6, 5, 3), "shards": (16, 6, 5, 3), "compressors": None}
    path = write_zarr(tmp_path / "s", **shards)
    shard = path / "c/1/0/0/0"
    data = bytearray(shard.read_bytes())
    data[-10] ^= 1
    shard.write_bytes(data)
    with pytest.raises(DataError, match="no valid index") as caught:
        open_rows(path, None)
    assert str(shard) in str(caught.value)


@pytest.mark.parametrize("cache_bytes", [0, 8 * 90, 2**20])
def test_a_decoded_cache_of_any_size_changes_no_row_and_keeps_its_bound(
    tmp_path, cache_bytes
):
    store = write_store(tmp_path / "store.zarr", codec="zstd")
    rows = RowReader.open(store, "images")
    with CachedReader(rows, cache_bytes=cache_bytes) as reader:
        for epoch in range(2):
            order = epoch_order(n_rows=N_ROWS, seed=1, epoch=epoch)
            np.testing.assert_array_equal(reader.read(order), images()[order])
            held = sum(chunk.nbytes for chunk in reader._chunks.values())
            assert held <= max(cache_bytes, 8 * 90)


def test_each_chunk_is_decoded_once_and_no_file_remains(tmp_path, monkeypatch):
    decoded = []
    decode = ChunkDecoder.decode
    monkeypatch.setattr(
        ChunkDecoder,
        "decode",
        lambda self, chunk: decoded.append(chunk) or decode(self, chunk),
    )
    store = write_store(tmp_path / "store.zarr", codec="lz4")
    spill = tmp_path / "spill"
    spill.mkdir()
    before = open_files()
    with open_rows(store, "images", spill_folder=spill) as reader:
        assert list(spill.iterdir()) == []
        for epoch in range(3):
            order = epoch_order(n_rows=N_ROWS, seed=1, epoch=epoch)
            for start in range(0, N_ROWS, 7):
                rows = order[start : start + 7]
                np.testing.assert_array_equal(reader.read(rows), images()[rows])
    assert sorted(decoded) == list(range(7))
    assert open_files() == before


def test_a_disk_that_is_full_is_found_before_anything_is_decoded(tmp_path, monkeypatch):
    store = write_store(tmp_path / "store.zarr", codec="lz4")

    def full(*_: object):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    before = open_files()
    with pytest.raises(StorageError, match="No space left"):
        open_rows(store, "images", spill_folder=tmp_path)
    gc.collect()
    assert open_files() == before


def test_the_file_of_a_decoded_store_has_its_room_from_the_beginning(tmp_path):
    store = write_store(tmp_path / "store.zarr", codec="lz4")
    with open_rows(store, "images", spill_folder=tmp_path) as reader:
        found = os.fstat(reader._file.fileno())
        assert found.st_size == 7 * 8 * 90
        assert found.st_blocks * 512 >= found.st_size


def test_without_room_on_a_disk_chunks_are_cached_and_the_reader_says_so(
    tmp_path, monkeypatch
):
    store = write_store(tmp_path / "store.zarr", codec="lz4")
    monkeypatch.setattr(disk_space, "_FREE_BYTES", 10**18)
    with open_rows(store, "images") as reader:
        assert type(reader) is CachedReader
        assert "again and again" in reader.note
        order = epoch_order(n_rows=N_ROWS, seed=1, epoch=0)
        np.testing.assert_array_equal(reader.read(order), images()[order])
    assert "kept in memory" in disk_space.no_room(Path("/dev/shm"), 1)


def test_descriptors_are_bounded_and_closed(tmp_path, monkeypatch):
    monkeypatch.setattr("lowmem.stores.open_files._OPEN_FILES", 2)
    store = write_store(tmp_path / "store.zarr")
    before = open_files()
    with open_rows(store, "images") as reader:
        order = epoch_order(n_rows=N_ROWS, seed=1, epoch=0)
        np.testing.assert_array_equal(reader.read(order), images()[order])
        assert open_files() == before + 2
        # The two that were asked for last are open still, and no other is opened twice.
        np.testing.assert_array_equal(reader.read(order[-1:]), images()[order[-1:]])
        assert open_files() == before + 2
    assert open_files() == before


class Disk:
    """Notes what is asked of the disk; ``cached`` says of each run what is in memory."""

    def __init__(self, monkeypatch, cached) -> None:
        self.cached, self.calls = cached, []
        self._tries = iter(cached)
        self._preadv, self._fadvise = os.preadv, os.posix_fadvise
        monkeypatch.setattr(os, "preadv", self.preadv)
        monkeypatch.setattr(os, "posix_fadvise", self.posix_fadvise)

    def preadv(self, file, buffers, offset, flags=0):
        if not flags:
            self.calls.append("read")
            return self._preadv(file, buffers, offset)
        found = next(self._tries)
        if found == "none":
            raise BlockingIOError
        if found == "not told":
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        part = len(buffers[0]) // (2 if found == "half" else 1)
        return self._preadv(file, [buffers[0][:part]], offset)

    def posix_fadvise(self, file, offset, length, advice):
        self.calls.extend(["hint"] * (advice == os.POSIX_FADV_WILLNEED))
        self._fadvise(file, offset, length, advice)


@pytest.mark.parametrize(
    ("cached", "n_asked"),
    [
        (["whole"] * 6, 0),
        (["none"], 6),
        (["whole"] * 4 + ["none"], 2),
        (["half"] * 6, 6),
        # As many bytes as two whole runs have, and yet not two whole runs.
        (["half", "half", "whole", "none"], 6),
        (["not told"], 6),
    ],
)
def test_rows_that_are_not_in_the_page_cache_are_asked_for_before_any_is_waited_for(
    tmp_path, monkeypatch, cached, n_asked
):
    store = write_store(tmp_path / "store.zarr")
    # Rows 8 and 9 are neighbours in one chunk: six runs.
    rows = np.array([49, 0, 7, 8, 9, 20, 33], np.int64)
    with open_rows(store, "images") as reader:
        reader.read(rows)
        reader.pool.take(8)[:] = 0
        disk = Disk(monkeypatch, cached)
        np.testing.assert_array_equal(reader.read(rows), images()[rows])
        assert disk.calls == ["hint"] * n_asked + ["read"] * n_asked
        if cached == ["not told"]:
            # It is not asked again.
            np.testing.assert_array_equal(reader.read(rows), images()[rows])
            assert disk.calls[12:] == ["read"] * 6


def test_a_batch_is_never_overwritten_while_anything_refers_to_it(tmp_path):
    store = write_store(tmp_path / "store.zarr")
    with open_rows(store, "images") as reader:
        rows = [np.arange(8, dtype=np.int64) + 8 * i for i in range(5)]
        kept = [reader.read(some) for some in rows]
        views = [batch[3:].reshape(-1) for batch in kept]
        raw = memoryview(kept[0])
        for batch, some in zip(kept, rows, strict=True):
            np.testing.assert_array_equal(batch, images()[some])
        place = kept[0].ctypes.data
        del kept, batch
        for some in rows:
            reader.read(some)
        for view, some in zip(views, rows, strict=True):
            np.testing.assert_array_equal(view, images()[some][3:].reshape(-1))
        assert bytes(raw) == images()[:8].tobytes()
        del view, views, raw
        assert reader.read(rows[0]).ctypes.data == place
        assert place % 64 == 0


def damaged(store, damage, place=40):
    """Damage the chunk of samples 16 to 23 and return its file."""
    chunk = min((store / "images").glob("c*2*"))
    if damage == "missing":
        chunk.unlink()
    elif damage == "altered":
        data = bytearray(chunk.read_bytes())
        data[place] ^= 1
        chunk.write_bytes(data)
    else:
        os.truncate(chunk, 10)
    return chunk


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "altered"])
def test_damage_is_data_error_that_names_chunk_and_samples(tmp_path, damage, codec):
    store = write_store(tmp_path / "store.zarr", codec=codec)
    chunk = damaged(store, damage)
    with (
        pytest.raises(DataError, match=r"16 to 23") as caught,
        open_rows(store, "images") as reader,
    ):
        reader.read(np.array([1, 17], np.int64))
    assert chunk.name in str(caught.value)
    assert caught.value.exit_code == 65


@pytest.mark.parametrize("damage", ["missing", "truncated", "altered"])
def test_a_large_store_is_verified_beside_the_reading(tmp_path, monkeypatch, damage):
    monkeypatch.setattr(direct_rows, "_AT_ONCE_BYTES", 0)
    store = write_store(tmp_path / "store.zarr")
    layout = find_layout(store / "images")
    chunk = damaged(store, damage)
    with DirectReader(layout, batch_rows=8, n_buffers=2) as reader:
        # In another chunk, so only the verification can tell.
        rows = np.arange(8, dtype=np.int64)
        np.testing.assert_array_equal(reader.read(rows), images()[:8])
        for _ in range(2):
            with pytest.raises(DataError, match=r"16 to 23") as caught:
                reader.verify()
            with pytest.raises(DataError, match=r"16 to 23"):
                reader.read(rows)
    assert chunk.name in str(caught.value)


def test_verification_reads_each_chunk_once_however_often_it_is_asked_for(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(direct_rows, "_AT_ONCE_BYTES", 0)
    monkeypatch.setattr(checksum_pass, "_RATE", 10.0)
    verified = []
    verify = checksum_pass.verify_chunk
    monkeypatch.setattr(
        checksum_pass,
        "verify_chunk",
        lambda layout, chunk, file: (
            verified.append(chunk) or verify(layout, chunk, file)
        ),
    )
    store = write_store(tmp_path / "store.zarr")
    with open_rows(store, "images") as reader:
        reader.read(np.array([3], np.int64))
        for _ in range(2):
            reader.verify()
    assert verified == list(range(7))


@pytest.mark.parametrize("place", [0, 8 * 90 - 1, 8 * 90, 8 * 90 + 3])
def test_any_altered_byte_of_a_chunk_is_damage_whichever_row_is_read(
    tmp_path, monkeypatch, place
):
    monkeypatch.setattr(checksum_pass, "_BLOCK_BYTES", 100)
    store = write_store(tmp_path / "store.zarr")
    damaged(store, "altered", place)
    with pytest.raises(DataError, match=r"altered.*samples 16 to 23"):
        open_rows(store, "images")


def test_an_altered_inner_chunk_of_a_shard_is_named(tmp_path):
    path = write_zarr(
        tmp_path / "s",
        chunks=(4, 6, 5, 3),
        shards=(16, 6, 5, 3),
        compressors=Crc32cCodec(),
    )
    offset = int(find_layout(path).offsets[5])
    shard = path / "c/1/0/0/0"
    data = bytearray(shard.read_bytes())
    data[offset + 7] ^= 1
    shard.write_bytes(data)
    with pytest.raises(DataError, match=r"inner chunk 1\).*samples 20 to 23"):
        open_rows(path, None)


def test_a_blosc_chunk_that_was_cut_off_is_damage_even_without_a_checksum(tmp_path):
    blosc = {"zarr_format": 2, "compressors": numcodecs.Blosc(), "filters": None}
    path = write_zarr(tmp_path / "s", chunks=(8, 6, 5, 3), **blosc)
    chunk = path / "2.0.0.0"
    os.truncate(chunk, chunk.stat().st_size - 3)
    with (
        open_rows(path, None) as reader,
        pytest.raises(DataError, match="samples 16 to 23"),
    ):
        reader.read(np.array([17], np.int64))


def test_a_chunk_that_vanishes_while_it_is_read_is_named(tmp_path):
    store = write_store(tmp_path / "store.zarr")
    with open_rows(store, "images") as reader:
        chunk = min((store / "images").glob("c*3*"))
        chunk.unlink()
        with pytest.raises(DataError, match=r"samples 24 to 31"):
            reader.read(np.array([25], np.int64))


def test_a_store_without_the_array_is_a_data_error(tmp_path):
    with pytest.raises(DataError):
        open_rows(tmp_path / "absent.zarr", "images")


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
