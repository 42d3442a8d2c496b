"""What `pack` refuses by name, and what it takes where the user says how."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather, ipc, parquet

from lowmem.base.errors import DataError, OptionValueError
from tests.packed_tables import (
    example,
    framed,
    pack,
    read_column,
    refused,
    saved,
    written,
)

CSV = {
    "texts among numbers": ("a\n1\n2\nx\n", "column 'a'", "row 0", "row 2"),
    "booleans among numbers": ("a\ntrue\n1\n", "booleans", "whole numbers"),
    "a zero that a number would lose": ("a\n123\n0123\n", "texts", "row 1"),
    "a comma that is no point": ('a\n"1,5"\n2.5\n', "texts", "floats"),
    "past 64 bits": ("a\n-1\n9999999999999999999\n", "9999999999999999999", "64 bits"),
    "no float of 64 bits": ("a\n1e999\n1.5\n", "texts", "floats"),
    "beyond 2^53 beside floats": ("a\n0.5\n9007199254740993\n", "2^53", "row 1"),
    "an empty cell among numbers": ("a,b\n1,x\n,y\n", "column 'a'", "row 1", "--null"),
    "nothing but empty cells": ("a,b\n1,\n2,\n", "column 'b'", "empty"),
    "a name twice": ("a,b,a\n1,2,3\n", "'a'", "twice"),
    "a column without a name": ("a,\n1,2\n", "''", "no name"),
    "a name that is a path": ("a/b\n1\n", "'a/b'", "no name"),
    "numbers for names": ("1,2\n3,4\n", "begins with numbers", "--no-header"),
    "another delimiter": ("a;b\n1;2\n", "a;b", "--delimiter"),
    "a row too short": ("a,b\n1,2\n3\n", "row 1", "1 cells"),
    "a quote that is not closed": ('a,b\n1,"2\n3,4\n', "row 0", "no row"),
    "Latin 1": (b"a\nx\n\xe9\n", "UTF-8", "byte 4"),
    "UTF-16": ("a\n1\n".encode("utf-16"), "UTF-16"),
    "no rows": ("a,b\n", "no rows"),
    "nothing": ("", "no first line"),
}


@pytest.mark.parametrize("case", CSV)
def test_a_csv_file_is_refused_with_the_column_and_the_row(case, tmp_path):
    content, *said = CSV[case]
    message = refused(tmp_path, written(tmp_path, "a.csv", content))
    assert "a.csv" in message
    assert all(part in message for part in said), message


JSON = {
    "a name twice": ('{"a": 1, "a": 2}', "'a' twice"),
    "a name twice by way of an object": ('{"a.b": 1, "a": {"b": 2}}', "'a.b' twice"),
    "no object": ("[1]", "row 0", "no object"),
    "too deep": ("[" * 99999, "row 0", "too deeply"),
    # Up to Python 3.11 the parser gives up; later ones get further than objects do.
    "objects too deep": ('{"a":' * 3000 + "1" + "}" * 3000, "row 0", "too deeply"),
    "no JSON": ('{"a": 1}\n{"a": ', "row 1", "no JSON"),
    "null": ('{"a": 1.5}\n{"a": null}', "'a'", "row 1", "--null"),
    "a value that is missing": ('{"b": 1}\n{"a": 2, "b": 1}', "'a'", "row 0"),
    "one that is missing later": ('{"a": "x"}\n{}', "'a'", "row 1"),
    "numbers and texts": ('{"a": 1}\n{"a": "1"}', "whole numbers", "texts"),
    "a list and a number": ('{"a": 1}\n{"a": [1]}', "shapes"),
    "lists of texts": ('{"a": ["x"]}', "lists of other things"),
    "lists of several lengths in one": ('{"a": [[1], [1, 2]]}', "lists of other"),
    "null in a list": ('{"a": [1.5, null]}', "null"),
    "half a character": ('{"a": "\\ud800"}', "lists of other things"),
    "past 64 bits": ('{"a": -1}\n{"a": 18446744073709551615}', "64 bits"),
    "past all floats": ('{"a": 1e999}', "1e999"),
}


@pytest.mark.parametrize("case", JSON)
def test_json_lines_are_refused_with_the_column_and_the_row(case, tmp_path):
    content, *said = JSON[case]
    message = refused(tmp_path, written(tmp_path, "a.jsonl", content))
    assert all(part in message for part in said), message


def test_what_is_missing_is_nan_where_that_is_asked_for(tmp_path):
    source = written(tmp_path, "a.csv", "a,b,c\n1,0.5,x\n,nan,\n-3,,y\n")
    group = pack(tmp_path, source, null="nan")
    np.testing.assert_array_equal(group["a"][:], [1.0, np.nan, -3.0])
    np.testing.assert_array_equal(group["b"][:], [0.5, np.nan, np.nan])
    assert read_column(group, "c") == ["x", "", "y"]


def test_columns_are_taken_as_texts_or_nearest_floats_where_that_is_asked_for(tmp_path):
    content = "zip,big\n01234,9007199254740993\n98765,0.5\n"
    source = written(tmp_path, "a.csv", content)
    group = pack(tmp_path, source, types=["zip=str", "big=float64"])
    assert read_column(group, "zip") == ["01234", "98765"]
    np.testing.assert_array_equal(group["big"][:], [9007199254740992.0, 0.5])


def test_a_header_a_delimiter_and_a_format_are_as_they_are_told(tmp_path):
    source = written(tmp_path, "a.data", "1;2.5\n3;4.5\n")
    group = pack(tmp_path, source, format="csv", delimiter=";", header=False)
    np.testing.assert_array_equal(group["c0"][:], [1, 3])
    np.testing.assert_array_equal(group["c1"][:], [2.5, 4.5])
    (tmp_path / "other").mkdir()
    assert "--format" in refused(tmp_path / "other", source)


OPTIONS = {
    "no such column": ({"columns": ["a", "q"]}, "'q'"),
    "a text among features": ({"features": ["a", "t"]}, "--features"),
    "a number beyond 2^53 beside a float": ({"features": ["a", "f"]}, "2^53", "row 1"),
    "a list as label": ({"label": "l"}, "--label"),
    "floats to split by": ({"split": ["x=1"], "split_by": "f"}, "--split-by"),
    "shares that are no whole": ({"split": ["x=0.5", "y=0.4"]}, "add up to 1"),
    "a label that is a feature": ({"label": "a", "features": ["a"]}, "--features"),
    "a column left out that is named": ({"columns": ["a"], "label": "t"}, "t among"),
    "a split by nothing": ({"split_by": "a"}, "--split"),
    "an array of that name": ({"label": "f"}, "'labels'"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options_that_cannot_be_meant_are_refused(case, tmp_path):
    table = pa.table(
        {
            "a": [1, 2**53 + 1],
            "f": [0.5, 1.5],
            "t": ["x", "y"],
            "l": [[1], [2, 3]],
            "labels": [0, 1],
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    options, *said = OPTIONS[case]
    message = refused(tmp_path, tmp_path / "a.parquet", **options)
    assert all(part in message for part in said), message


def test_numbers_past_all_floats_are_features_where_the_nearest_will_do(tmp_path):
    table = pa.table({"a": [1, 2**53 + 1], "f": [0.5, 1.5]})
    parquet.write_table(table, tmp_path / "a.parquet")
    group = pack(
        tmp_path, tmp_path / "a.parquet", features=["a", "f"], types=["a=float64"]
    )
    np.testing.assert_array_equal(group["features"][:], [[1, 0.5], [2.0**53, 1.5]])


def _dictionary(*, ordered):
    return pa.DictionaryArray.from_arrays([0, 1], ["x", "y"], ordered=ordered)


def _no_utf8():
    offsets = pa.py_buffer(np.array([0, 1, 2], np.int32).tobytes())
    return pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"x\xff"))


PARQUET = {
    "decimals": (lambda: pa.array([Decimal("0.1"), Decimal(2)]), "decimal", "float64"),
    "a null": (lambda: pa.array([1, None]), "row 1", "null"),
    "a null of a float": (lambda: pa.array([1.5, None]), "row 1", "--null nan"),
    "a null in a list": (lambda: pa.array([[1.5], [2.5, None]]), "row 1", "null"),
    "a null in a structure": (lambda: pa.array([{"x": 1}, None]), "a.x", "row 1"),
    "a null text": (lambda: pa.array(["x", None]), "row 1", "null"),
    "a null category": (
        lambda: pa.array(["x", None]).dictionary_encode(),
        "row 1",
        "null",
    ),
    "nothing but nulls": (lambda: pa.nulls(2), "is null"),
    "empty lists": (
        lambda: pa.array([[], []], pa.list_(pa.float64(), 0)),
        "empty lists",
    ),
    "lists of lists": (lambda: pa.array([[[1]], [[2], [3]]]), "list<"),
    "lists of texts": (lambda: pa.array([["x"], ["y"]]), "list<"),
    "a map": (
        lambda: pa.array([[("x", 1)], []], pa.map_(pa.string(), pa.int64())),
        "map<",
    ),
    "ordered categories": (lambda: _dictionary(ordered=True), "order", "=str"),
    "texts that are no UTF-8": (_no_utf8, "row 1", "UTF-8"),
}


@pytest.mark.parametrize("case", PARQUET)
def test_a_parquet_column_is_refused_by_its_name(case, tmp_path):
    make, *said = PARQUET[case]
    table = pa.table({"b": [1, 2], "a": make()})
    parquet.write_table(table, tmp_path / "x.parquet")
    message = refused(tmp_path, tmp_path / "x.parquet")
    assert "column 'a" in message
    assert all(part in message for part in said), message
    assert pack(tmp_path, tmp_path / "x.parquet", columns=["b"])["b"].shape == (2,)


def test_decimals_and_nulls_are_taken_as_it_is_asked_for(tmp_path):
    table = pa.table(
        {
            "d": pa.array([Decimal("0.1"), Decimal("-7.3")]),
            "f": pa.array([None, 2.5], pa.float32()),
            "l": pa.array([[1.5, None], []], pa.list_(pa.float64())),
            "k": _dictionary(ordered=True),
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    group = pack(
        tmp_path, tmp_path / "a.parquet", types=["d=float64", "k=str"], null="nan"
    )
    np.testing.assert_array_equal(group["d"][:], [0.1, -7.3])
    np.testing.assert_array_equal(group["f"][:], np.array([np.nan, 2.5], np.float32))
    np.testing.assert_array_equal(read_column(group, "l")[0], [1.5, np.nan])
    assert read_column(group, "k") == ["x", "y"]


def test_categories_of_an_arrow_file_keep_their_order_and_all_names(tmp_path):
    kind = pd.CategoricalDtype(["low", "none", "high"], ordered=True)
    for number, rows in enumerate((["high", "low"], ["high", "high"])):
        frame = pd.DataFrame({"k": pd.Series(rows).astype(kind)})
        feather.write_feather(frame, tmp_path / f"{number}.feather")
    group = pack(tmp_path, tmp_path / "0.feather", tmp_path / "1.feather")
    assert group["k"].attrs["class_names"] == ["low", "none", "high"]
    np.testing.assert_array_equal(group["k"][:], [2, 0, 2, 2])


def test_files_that_differ_are_refused_before_any_row_is_read(tmp_path):
    for name, column in (("a", pa.array([1])), ("b", pa.array([1.0]))):
        parquet.write_table(pa.table({"x": column}), tmp_path / f"{name}.parquet")
    parquet.write_table(pa.table({"y": [1]}), tmp_path / "c.parquet")
    message = refused(tmp_path, tmp_path / "a.parquet", tmp_path / "b.parquet")
    assert "b.parquet: column 'x' is float64, expected int64" in message
    message = refused(tmp_path, tmp_path / "a.parquet", tmp_path / "c.parquet")
    assert "is missing" in message
    message = refused(tmp_path, tmp_path / "a.parquet", written(tmp_path, "a.csv", "x"))
    assert "one kind of file" in message


def test_a_parquet_or_arrow_file_that_is_cut_short_is_refused(tmp_path):
    table = pa.table({"x": np.arange(500), "y": np.arange(500.0)})
    parquet.write_table(table, tmp_path / "whole.parquet")
    feather.write_feather(table, tmp_path / "whole.feather")
    with ipc.new_stream(tmp_path / "whole.arrows", table.schema) as writer:
        writer.write_table(table, max_chunksize=100)
    for whole in sorted(tmp_path.glob("whole.*")):
        data = whole.read_bytes()
        for n_bytes in (0, 3, 9, len(data) // 2, len(data) - 8, len(data) - 1):
            cut = written(tmp_path, f"cut{whole.suffix}", data[:n_bytes])
            assert "cut" in refused(tmp_path, cut)
    assert pack(tmp_path, tmp_path / "whole.arrows")["x"].shape == (500,)


def test_a_saved_data_set_has_the_order_that_it_says_and_all_its_rows(tmp_path):
    group = pack(tmp_path, saved(tmp_path / "data"))
    np.testing.assert_array_equal(group["x"][:], [0, 1, 2, 3])
    # Of one that was filtered it tells the rows of the whole.
    saved(tmp_path / "some" / "x", n_told=600)
    assert pack(tmp_path / "some", tmp_path / "some" / "x")["x"].shape == (4,)
    for name in ("data-00000-of-00002.arrow", "data-00001-of-00002.arrow"):
        less = saved(tmp_path / name / "x")
        data = (less / name).read_bytes()
        (less / name).write_bytes(data[:-8])
        assert "stream's end" in refused(tmp_path / name, less)
        (less / name).unlink()
        assert f"{name} is not there" in refused(tmp_path / name, less)
    state = {"_data_files": [{"filename": "../x.arrow"}]}
    (tmp_path / "data" / "state.json").write_text(json.dumps(state))
    assert "lists no data files" in refused(tmp_path / "none", tmp_path / "data")


HDF5 = {
    "complex numbers": (lambda f: f.create_dataset("a", data=[1j, 2]), "complex128"),
    "structures": (
        lambda f: f.create_dataset("a", data=np.zeros(2, [("x", int)])),
        "'a'",
    ),
    "times of HDF5": (
        lambda f: h5py.h5d.create(
            f.id, b"a", h5py.h5t.UNIX_D32LE, h5py.h5s.create_simple((2,))
        ),
        "column 'a'",
        "no form",
    ),
    "one value": (lambda f: f.create_dataset("a", data=1.5), "one value"),
    "another length": (lambda f: f.create_dataset("a", data=[1, 2, 3]), "lengths"),
    "values of other files": (
        lambda f: f.create_dataset("a", (2,), "f8", external=[("o.bin", 0, 16)]),
        "other files",
    ),
    "a name twice by way of a group": (
        lambda f: (f.create_dataset("a.x", data=[1, 2]), f.__setitem__("a/x", [1, 2])),
        "'a.x'",
        "twice",
    ),
    "texts that are no UTF-8": (
        lambda f: f.create_dataset("a", data=np.array([b"x", b"\xff"])),
        "row 1",
        "UTF-8",
    ),
}


@pytest.mark.parametrize("case", HDF5)
def test_an_hdf5_data_set_is_refused_by_its_name(case, tmp_path):
    make, *said = HDF5[case]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["b"] = [1, 2]
        make(file)
    message = refused(tmp_path, tmp_path / "x.h5")
    assert all(part in message for part in said), message
    assert pack(tmp_path, tmp_path / "x.h5", columns=["b"])["b"].shape == (2,)


def records(*features):
    return b"".join(framed(example(one)) for one in features)


INTS, FLOATS = np.array([5, -1]), np.array([0.5], np.float32)


def test_a_tfrecord_file_is_refused_wherever_it_is_cut_or_altered(tmp_path):
    data = records({"a": INTS, "f": FLOATS}, {"a": INTS, "f": FLOATS})
    source = written(tmp_path, "x.tfrecord", data)
    half = len(data) // 2
    for n_bytes in {1, 8, 11, 13, half - 1, half + 1, len(data) - 1}:
        source.write_bytes(data[:n_bytes])
        assert "cut short" in refused(tmp_path, source)
    for place in range(0, len(data), 5):
        altered = bytearray(data)
        altered[place] ^= 1
        source.write_bytes(altered)
        assert "damaged" in refused(tmp_path, source)
    source.write_bytes(data)
    np.testing.assert_array_equal(pack(tmp_path, source)["a"][:], [INTS, INTS])


TFRECORD = {
    "no features": ([b""], "no feature"),
    "no message": ([b"\xff\xff"], "parsed"),
    "a SequenceExample": ([example({"a": INTS}) + b"\x12\x00"], "SequenceExample"),
    "numbers and floats": ([example({"a": INTS}), example({"a": FLOATS})], "32 bits"),
    "a feature that is missing": (
        [example({"a": INTS}), example({"b": INTS})],
        "row 1",
    ),
}


@pytest.mark.parametrize("case", TFRECORD)
def test_a_record_that_is_no_example_of_the_table_is_refused(case, tmp_path):
    found, *said = TFRECORD[case]
    data = b"".join(map(framed, found))
    message = refused(tmp_path, written(tmp_path, "x.tfrecord", data))
    assert all(part in message for part in said), message


def test_a_gzip_file_that_is_cut_short_or_altered_is_refused(tmp_path):
    data = gzip.compress(b"a\n" + b"1\n" * 300)
    for number, altered in enumerate((data[:-9], data[:-8] + b"\0" * 8)):
        source = written(tmp_path, "a.csv.gz", altered)
        message = refused(tmp_path / str(number), source)
        assert "whole gzip file" in message


def test_a_dependency_that_is_missing_is_told_before_anything_is_made(monkeypatch):
    from lowmem.base.errors import MissingDependencyError
    from lowmem_jobs.pack import table_formats

    monkeypatch.setattr(table_formats, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"pip install lowmem\[tables\]"):
        table_formats.refuse_missing_package("parquet")
    table_formats.refuse_missing_package("csv")


def test_errors_are_of_the_kinds_that_choose_the_exit_code(tmp_path):
    source = written(tmp_path, "a.csv", "a\n1\n")
    with pytest.raises(OptionValueError):
        pack(tmp_path, source, types=["a=int"])
    with pytest.raises(DataError, match="is not there"):
        pack(tmp_path, tmp_path / "b.csv")
