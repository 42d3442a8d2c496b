"""What `pack` once lost without a word: it is kept, or refused by name."""

from __future__ import annotations

import datetime as dt
import gzip

import h5py
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from lowmem.base.errors import OptionValueError
from lowmem.protocol.options import resolve_options
from lowmem_jobs.pack import hdf5_rows, parquet_rows
from lowmem_jobs.pack.column_types import TEXT, ColumnType
from lowmem_jobs.pack.job import JOB
from lowmem_jobs.pack.pack_recipe import recipe_from_options
from lowmem_jobs.pack.table_formats import BlockLimits
from tests.packed_tables import pack, read_column, refused, saved, written

BYTES = ColumnType(dtype="uint8", is_ragged=True)


def test_times_of_96_bits_are_refused_as_64_bits_would_wrap_around(tmp_path):
    times = pa.array([dt.datetime(9999, 12, 31)], pa.timestamp("us"))  # noqa: DTZ001
    table = pa.table(
        {
            "n": [7],
            "in": pa.StructArray.from_arrays([times], ["t"]),
            "l": pa.ListArray.from_arrays([0, 1], times),
            "l.x": [1],
            "t": times,
        }
    )
    source = tmp_path / "a.parquet"
    parquet.write_table(table, source, use_deprecated_int96_timestamps=True)
    for name in ("in.t", "l", "t"):
        message = refused(tmp_path, source, columns=["n", name])
        assert f"column '{name}'" in message
        assert "coerce_timestamps" in message
    assert pack(tmp_path, source, columns=["n", "l.x"])["n"][:] == [7]


def test_a_folder_within_a_folder_is_refused_as_its_rows_would_be_missing(tmp_path):
    folder = tmp_path / "all"
    (folder / "year=2024").mkdir(parents=True)
    for place in (folder, folder / "year=2024"):
        written(place, "a.csv", "a\n1\n")
    message = refused(tmp_path, folder)
    assert f"{folder / 'year=2024'} is a folder" in message
    (folder / "year=2024").rename(folder / "_old")
    (folder / "b.csv").symlink_to(tmp_path / "nowhere.csv")
    assert "b.csv is no file" in refused(tmp_path, folder)
    (folder / "b.csv").unlink()
    assert pack(tmp_path, folder)["a"].shape == (1,)


@pytest.mark.parametrize("name", ["a.TSV", "a.Tsv.GZ"])
def test_a_name_in_capitals_says_the_same_delimiter(name, tmp_path):
    content = b"name\tplace, land\nx\tparis, fr\n"
    source = tmp_path / name
    source.write_bytes(gzip.compress(content) if "GZ" in name else content)
    group = pack(tmp_path, source)
    assert read_column(group, "place, land") == ["paris, fr"]


def test_a_data_set_of_two_names_is_a_column_of_each(tmp_path):
    source = tmp_path / "a.h5"
    with h5py.File(source, "w") as file:
        file["in/x"] = [1, 2]
        file["in/y"] = file["in/x"]
        file["on"] = file["in"]
        # A group that is in itself ends somewhere.
        file["in/up"] = file["/"]
    group = pack(tmp_path, source)
    assert set(group.attrs["arrays"]) == {"in.x", "in.y", "on.x", "on.y"}
    assert group["on.y"][:].tolist() == [1, 2]


@pytest.mark.parametrize(
    "link", [h5py.SoftLink("/x"), h5py.ExternalLink("other.h5", "/x")]
)
def test_a_link_that_is_not_followed_is_refused_by_its_name(link, tmp_path):
    source = tmp_path / "a.h5"
    with h5py.File(source, "w") as file:
        file["x"] = [1, 2]
        file["y"] = link
    message = refused(tmp_path, source)
    assert "column 'y'" in message
    assert "is a soft or external link" in message
    assert pack(tmp_path, source, columns=["x"])["x"].shape == (2,)


UNUSED = {
    "--types": ("a.txt", {"types": ["text=float64"]}),
    "--delimiter": ("a.jsonl", {"delimiter": ";"}),
    "--no-header": ("a.parquet", {"header": False}),
}


@pytest.mark.parametrize("option", UNUSED)
def test_an_option_that_would_do_nothing_is_wrong_usage(option, tmp_path):
    name, options = UNUSED[option]
    source = written(tmp_path, name, '{"text": 1}\n')
    with pytest.raises(OptionValueError, match=f"{option} is .*, expected nothing for"):
        pack(tmp_path, source, **options)


def test_a_saved_data_set_is_no_file_of_another_format(tmp_path):
    folder = saved(tmp_path / "data")
    assert "which is Arrow" in refused(tmp_path, folder, format="csv")
    assert pack(tmp_path, folder, format="arrow")["x"].shape == (4,)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8"])
def test_numbers_of_any_type_are_taken_as_nearest_floats(dtype, tmp_path):
    numbers = np.array([1.0, 2.0, 120.0]).astype(dtype)
    parquet.write_table(pa.table({"x": numbers}), tmp_path / "a.parquet")
    group = pack(tmp_path, tmp_path / "a.parquet", types=["x=float64"])
    assert group["x"].dtype == np.float64
    assert group["x"][:].tolist() == [1.0, 2.0, 120.0]


def test_a_number_after_lists_of_two_lengths_is_refused(tmp_path):
    content = '{"a": [1, 2, 3]}\n{"a": [1, 2, 3, 4]}\n{"a": 5}\n'
    message = refused(tmp_path, written(tmp_path, "a.jsonl", content))
    assert "column 'a'" in message
    assert "() (row 2 of a.jsonl)" in message


def _dictionary(values, kind, codes=(0, 1, 0, 0)):
    return pa.DictionaryArray.from_arrays(
        pa.array(codes, pa.int32()), pa.array(values, kind)
    )


def _tensors():
    kind = pa.fixed_shape_tensor(pa.float32(), [2])
    lists = pa.array([[1, 2], [3, 4], [5, 6], [7, 8]], pa.list_(pa.float32(), 2))
    return pa.ExtensionArray.from_storage(kind, lists)


def _bools():
    return pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0, 1, 0], pa.int8()))


def _arrow_file(folder, inner, *, is_ragged):
    """Write two rows of four elements, as lists of two or of other lengths."""
    made = (
        pa.ListArray.from_arrays(pa.array([0, 1, 4], pa.int32()), inner)
        if is_ragged
        else pa.FixedSizeListArray.from_arrays(inner, 2)
    )
    feather.write_feather(pa.table({"l": made}), folder / "a.feather", "uncompressed")
    return folder / "a.feather"


@pytest.mark.parametrize("is_ragged", [True, False])
def test_what_lists_hold_is_kept_or_refused_in_any_wrapping(is_ragged, tmp_path):
    for kind in (pa.float64(), pa.int64()):
        source = _arrow_file(
            tmp_path, _dictionary([1, None], kind, (0, 0, 0, 1)), is_ragged=is_ragged
        )
        message = refused(tmp_path, source)
        assert "row 1, column 'l' is null" in message
        assert ("--null nan" in message) == (kind == pa.float64())
    kept = {
        "float64": (_dictionary([1.5, None], pa.float64()), [1.5, np.nan, 1.5, 1.5]),
        "int64": (_dictionary([5, 7], pa.int64()), [5, 7, 5, 5]),
        "float32": (_tensors(), [[1, 2], [3, 4], [5, 6], [7, 8]]),
        "int8": (_bools(), [1, 0, 1, 0]),
    }
    for dtype, (inner, expected) in kept.items():
        source = _arrow_file(tmp_path, inner, is_ragged=is_ragged)
        found = read_column(pack(tmp_path / dtype, source, null="nan"), "l")
        assert {row.dtype.name for row in found} == {dtype}
        assert [len(row) for row in found] == ([1, 3] if is_ragged else [2, 2])
        np.testing.assert_array_equal(np.concatenate(list(found)), expected)


def test_a_name_that_is_no_text_is_refused(tmp_path):
    source = written(tmp_path, "a.jsonl", '{"b": 1, "\\ud800": 1}\n')
    message = refused(tmp_path, source)
    assert r"column '\ud800' has half a character" in message
    assert pack(tmp_path, source, columns=["b"])["b"].shape == (1,)
    source = tmp_path / "a.h5"
    with h5py.File(source, "w") as file:
        file[b"b"], file[b"\xff"] = [1, 2], [1, 2]
    assert "has half a character" in refused(tmp_path / "h5", source)


def test_a_column_may_have_the_name_of_the_array_that_it_becomes(tmp_path):
    table = pa.table({"features": [1.0, 2.0, 3.0], "labels": [4, 5, 6]})
    parquet.write_table(table, tmp_path / "a.parquet")
    group = pack(
        tmp_path, tmp_path / "a.parquet", features=["features"], label="labels"
    )
    assert group["features"][:].tolist() == [[1.0], [2.0], [3.0]]
    assert group["labels"][:].tolist() == [4, 5, 6]


@pytest.mark.parametrize("kind", ["lists", "texts", "fixed texts"])
def test_long_rows_of_hdf5_are_read_few_at_a_time(kind, tmp_path):
    n_rows, row_bytes, limits = 40, 50_000, BlockLimits(n_bytes=2**17, n_rows=999)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        if kind == "lists":
            data = file.create_dataset("x", (n_rows,), h5py.vlen_dtype(np.uint8))
            for row in range(n_rows):
                data[row] = np.full(row_bytes, row, np.uint8)
        else:
            width = None if kind == "texts" else row_bytes
            dtype = h5py.string_dtype(length=width)
            file.create_dataset("x", data=["y" * row_bytes] * n_rows, dtype=dtype)
        # Short rows alone are soon read many at a time.
        file.create_dataset("z", data=["short"] * 2000, dtype=h5py.string_dtype())
    found = {}
    for name in ("x", "z"):
        types = {name: TEXT if name == "z" or kind != "lists" else BYTES}
        found[name] = list(hdf5_rows.blocks(tmp_path / "a.h5", (), limits, None, types))
    assert sum(block.n_rows for block in found["x"]) == n_rows
    assert max(block.columns["x"].values.nbytes for block in found["x"]) <= 2**17
    assert len(found["z"]) < 20


def test_rows_of_parquet_that_take_few_bytes_in_the_file_are_read_few_at_a_time(
    tmp_path,
):
    n_rows, n_bytes = 300, 2**16
    inner = pa.array(["xyz"[row % 3] * 20_000 for row in range(n_rows)])
    table = pa.table(
        {
            "in": pa.StructArray.from_arrays([inner], ["text"]),
            "data": inner.cast(pa.large_binary()),
            "list": pa.array([[0] * 2000] * n_rows, pa.list_(pa.int64())),
            "fixed": pa.array([b"y" * 9000] * n_rows, pa.binary(9000)),
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet", row_group_size=200)
    assert (tmp_path / "a.parquet").stat().st_size < 2**18
    limits = BlockLimits(n_bytes=n_bytes, n_rows=999)
    for column in ("in.text", "data", "list", "fixed"):
        options = {"source": ["a.parquet"], "columns": [column]}
        recipe = recipe_from_options(resolve_options("pack", JOB.options, options))
        types = parquet_rows.declared(tmp_path / "a.parquet", recipe)
        found = list(
            parquet_rows.blocks(tmp_path / "a.parquet", (), limits, recipe, types)
        )
        assert sum(block.n_rows for block in found) == n_rows
        assert found[-1].position == (1, 100)
        assert max(block.columns[column].values.nbytes for block in found) <= n_bytes
        if column in {"in.text", "data"}:
            whole = b"".join(block.columns[column].values.tobytes() for block in found)
            assert whole.decode() == "".join(inner.to_pylist())
