from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import zarr

from lowmem.base.errors import DataError, StorageError
from lowmem.stores.row_reader import RowReader
from lowmem.stores.row_writer import RowWriter, write_group_attributes

ROWS = np.random.default_rng(0).integers(0, 256, (20, 4, 5, 3)).astype(np.uint8)
ROWS[8:16] = 0  # a chunk of the fill value alone


def write(store, rows=ROWS, *, codec="none", name="images", stop=None):
    writer = RowWriter.open(
        store,
        name,
        row_shape=rows.shape[1:],
        dtype=rows.dtype,
        chunk_rows=8,
        codec=codec,
    )
    for start in range(0, stop or len(rows), 8):
        writer.append(rows[start : start + 8])
    writer.flush()
    return writer


def reopen(store, n_rows):
    return RowWriter.open(
        store,
        "images",
        row_shape=(4, 5, 3),
        dtype="uint8",
        chunk_rows=8,
        n_rows=n_rows,
    )


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd"])
def test_rows_come_back_as_written_with_any_codec_and_plain_zarr_agrees(
    tmp_path, codec
):
    write(tmp_path / "s.zarr", codec=codec)
    with RowReader.open(tmp_path / "s.zarr", "images") as reader:
        assert (reader.shape, reader.dtype) == (ROWS.shape, np.uint8)
        np.testing.assert_array_equal(reader.read(0, 20), ROWS)
    np.testing.assert_array_equal(zarr.open_group(tmp_path / "s.zarr")["images"], ROWS)


def test_any_range_of_rows_equals_the_slice(tmp_path):
    write(tmp_path / "s.zarr")
    with RowReader.open(tmp_path / "s.zarr", "images") as reader:
        for start in range(21):
            for stop in range(start, 21):
                np.testing.assert_array_equal(
                    reader.read(start, stop), ROWS[start:stop]
                )


def test_a_range_outside_the_array_is_refused(tmp_path):
    write(tmp_path / "s.zarr")
    reader = RowReader.open(tmp_path / "s.zarr", "images")
    with pytest.raises(ValueError, match=r"0\.\.20, got 0 to 21"):
        reader.read(0, 21)


def test_text_of_any_length_comes_back(tmp_path):
    names = np.array(["", "ü" * 300, "a\nb", "x" * 7, "\\xff"] * 3, dtype=object)
    writer = RowWriter.open(
        tmp_path / "s.zarr", "names", row_shape=(), dtype="str", chunk_rows=8
    )
    writer.append(names[:8])
    writer.append(names[8:])
    with RowReader.open(tmp_path / "s.zarr", "names") as reader:
        assert list(reader.read(0, 15)) == list(names)


@pytest.mark.parametrize("n_rows", [0, 8, 16])
def test_a_reopened_writer_forgets_what_was_not_committed(tmp_path, n_rows):
    write(tmp_path / "whole.zarr")
    garbage = 255 - ROWS[np.arange(28) % 20]
    write(tmp_path / "cut.zarr", np.concatenate([ROWS[:n_rows], garbage[n_rows:]]))
    (tmp_path / "cut.zarr/images/c.0.0.0.0.abc.partial").write_bytes(b"torn")
    writer = reopen(tmp_path / "cut.zarr", n_rows)
    assert writer.n_rows == n_rows
    for start in range(n_rows, 20, 8):
        writer.append(ROWS[start : start + 8])
    writer.flush()
    assert files(tmp_path / "cut.zarr") == files(tmp_path / "whole.zarr")


def test_a_reopened_writer_repairs_metadata_that_was_torn(tmp_path):
    write(tmp_path / "s.zarr", stop=8)
    (tmp_path / "s.zarr/images/zarr.json").write_text('{"shape": [')
    assert reopen(tmp_path / "s.zarr", 8).n_rows == 8


def test_a_committed_chunk_is_never_written_again(tmp_path):
    write(tmp_path / "s.zarr", stop=8)
    chunk = tmp_path / "s.zarr/images/c.0.0.0.0"
    before = chunk.stat().st_ino, chunk.stat().st_mtime_ns
    writer = reopen(tmp_path / "s.zarr", 8)
    writer.append(ROWS[8:16])
    assert (chunk.stat().st_ino, chunk.stat().st_mtime_ns) == before


def test_only_whole_chunks_are_appended_but_for_the_last(tmp_path):
    writer = write(tmp_path / "s.zarr")
    with pytest.raises(ValueError, match="follow whole chunks, got 8 after 20"):
        writer.append(ROWS[:8])
    with pytest.raises(ValueError, match="rows must be 1 to 8"):
        reopen(tmp_path / "s.zarr", 0).append(ROWS[:9])


def test_flush_syncs_every_file_and_folder_once_written(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("lowmem.stores.row_writer.sync_file", synced.append)
    writer = write(tmp_path / "s.zarr")
    array = tmp_path / "s.zarr/images"
    expected = {array / f"c.{i}.0.0.0" for i in range(3)} | {
        array / "zarr.json",
        array.parent / "zarr.json",
        array,
        array.parent,
        tmp_path,
    }
    assert set(synced) == expected
    synced.clear()
    writer.set_attributes({"a": 1})
    writer.flush()
    assert array / "zarr.json" in synced
    assert array / "c.0.0.0.0" not in synced


def damage_truncate(chunk):
    chunk.write_bytes(chunk.read_bytes()[:-1])


def damage_empty(chunk):
    chunk.write_bytes(b"")


def damage_flip(chunk):
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)


def damage_remove(chunk):
    chunk.unlink()


DAMAGES = [damage_truncate, damage_empty, damage_flip, damage_remove]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("codec", ["none", "lz4", "zstd"])
def test_a_damaged_chunk_is_named_with_its_samples_and_others_stay_readable(
    tmp_path, damage, codec
):
    write(tmp_path / "s.zarr", codec=codec)
    damage(tmp_path / "s.zarr/images/c.1.0.0.0")
    with RowReader.open(tmp_path / "s.zarr", "images") as reader:
        np.testing.assert_array_equal(reader.read(0, 8), ROWS[:8])
        with pytest.raises(DataError) as caught:
            reader.read(0, 20)
    assert caught.value.exit_code == 65
    assert "images/c.1.0.0.0" in str(caught.value)
    assert "samples 8 to 15" in str(caught.value)


def test_a_missing_chunk_of_a_foreign_array_is_its_fill_value(tmp_path):
    foreign = zarr.create_array(
        tmp_path / "f.zarr", shape=(10, 2), chunks=(5, 1), dtype="int16", fill_value=7
    )
    foreign[:5] = 1
    with RowReader.open(tmp_path / "f.zarr") as reader:
        np.testing.assert_array_equal(reader.read(3, 7), [[1, 1]] * 2 + [[7, 7]] * 2)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_arrays_of_both_formats_and_sharded_ones_are_read(tmp_path, zarr_format):
    data = np.arange(60.0).reshape(20, 3)
    foreign = zarr.create_array(
        tmp_path / "f.zarr",
        shape=data.shape,
        chunks=(2, 3),
        shards=(8, 3) if zarr_format == 3 else None,
        dtype="float64",
        zarr_format=zarr_format,
    )
    foreign[:] = data
    with RowReader.open(tmp_path / "f.zarr") as reader:
        np.testing.assert_array_equal(reader.read(1, 19), data[1:19])


def test_what_is_no_array_is_bad_data(tmp_path):
    write_group_attributes(tmp_path / "g.zarr", {"a": 1})
    (tmp_path / "g.zarr/broken").mkdir()
    (tmp_path / "g.zarr/broken/zarr.json").write_text("{")
    (tmp_path / "g.zarr/empty").mkdir()
    zarr.create_array(tmp_path / "g.zarr", name="scalar", shape=(), dtype="int8")
    for name in (None, "absent", "broken", "empty", "scalar"):
        with pytest.raises(DataError):
            RowReader.open(tmp_path / "g.zarr", name)


def test_metadata_of_an_unknown_codec_is_bad_data(tmp_path):
    write(tmp_path / "s.zarr")
    metadata = tmp_path / "s.zarr/images/zarr.json"
    document = json.loads(metadata.read_text())
    document["codecs"] = [{"name": "no-such-codec"}]
    metadata.write_text(json.dumps(document))
    with pytest.raises(DataError, match="cannot be opened"):
        RowReader.open(tmp_path / "s.zarr", "images")


def test_group_attributes_are_read_by_zarr(tmp_path):
    write_group_attributes(tmp_path / "g.zarr", {"a": [1, 2], "ü": "ü"})
    group = zarr.open_group(tmp_path / "g.zarr", mode="r")
    assert group.attrs.asdict() == {"a": [1, 2], "ü": "ü"}


@pytest.mark.parametrize("codec", ["none", "lz4", "zstd"])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "int16", "str"])
def test_chunks_and_metadata_are_the_bytes_that_zarr_would_store(
    tmp_path, codec, dtype
):
    shape = () if dtype == "str" else (5, 3)
    numbers = np.random.default_rng(1).integers(0, 99, (20, *shape))
    rows = numbers.astype(object if dtype == "str" else dtype)
    if dtype == "str":
        rows = np.array([f"{'ü' * number}.png" for number in numbers], object)
    options = {"row_shape": shape, "dtype": dtype, "chunk_rows": 8, "codec": codec}
    writer = RowWriter.open(tmp_path / "ours", "a", **options)
    for start in range(0, 20, 8):
        writer.append(rows[start : start + 8])
    writer.flush()
    shutil.copytree(tmp_path / "ours", tmp_path / "zarr's")
    for chunk in (tmp_path / "zarr's/a").glob("c*"):
        chunk.unlink()
    with zarr.config.set({"array.write_empty_chunks": True}):
        array = zarr.open_array(tmp_path / "zarr's/a", mode="r+")
        array.resize((8, *shape))
        array[:] = rows[:8]
        array.append(rows[8:])
    assert files(tmp_path / "ours") == files(tmp_path / "zarr's")


def test_a_chunk_that_is_there_is_never_overwritten(tmp_path):
    writer = write(tmp_path / "s.zarr", stop=8)
    (tmp_path / "s.zarr/images/c.1.0.0.0").write_bytes(b"somebody's")
    with pytest.raises(StorageError, match="exists"):
        writer.append(ROWS[8:16])
    assert (tmp_path / "s.zarr/images/c.1.0.0.0").read_bytes() == b"somebody's"
