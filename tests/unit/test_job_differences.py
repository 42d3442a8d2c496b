"""The first difference of two results: by value in stores, by byte elsewhere, with its place."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from lowmem.testing.differences import first_difference, first_of_mappings


@pytest.fixture
def places(tmp_path):
    """Two folders for results."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    return tmp_path / "one", tmp_path / "other"


def written(places, name, contents):
    """Write a file of each content, and return what differs."""
    for place, content in zip(places, contents, strict=True):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(content)
    return first_difference(*places, [name.split("/")[0]])


@pytest.mark.parametrize(
    ("contents", "told"),
    [
        ((b"a\nb\n", b"a\nb\n"), None),
        ((b"a\nb\n", b"a\nc\n"), "x.txt, line 2, is 'b', expected 'c'"),
        ((b"a\n", b"a\nb\n"), "x.txt has 1 lines, expected 2"),
        ((b"a\r\n", b"a\n"), "x.txt (3 bytes, expected 2) differs at byte 1 and on"),
        ((b"\xff\x00", b"\xff\x01"), "x.txt (2 bytes, expected 2) differs at byte 1"),
        ((b"\xff", b"\xff\x01"), "x.txt (1 bytes, expected 2) differs at byte 1"),
    ],
)
def test_a_file_differs_at_a_line_or_a_byte(places, contents, told):
    found = written(places, "x.txt", contents)
    assert found is None if told is None else found.startswith(told)


def test_a_file_in_a_folder_is_named_with_it(places):
    assert written(places, "deep/x.txt", (b"a", b"b")).startswith("deep/x.txt, line 1")
    (places[0] / "deep" / "more").touch()
    assert first_difference(*places, ["deep"]).startswith("deep/more is there")


def test_what_is_missing_or_of_another_kind_is_told(places):
    (places[1] / "x").touch()
    assert first_difference(*places, ["x"]) == "x is missing"
    (places[0] / "x").mkdir()
    assert first_difference(*places, ["x"]) == "x is a folder, expected a file"


def saved(places, name, arrays):
    """Save an array of each, and return what differs."""
    for place, array in zip(places, arrays, strict=True):
        np.save(place / name, array)
    return first_difference(*places, [name])


def test_an_array_file_differs_at_an_index(places):
    one = np.arange(6.0).reshape(2, 3)
    other = one.copy()
    assert saved(places, "x.npy", (one, other)) is None
    other[1, 2] = np.nan
    told = "x.npy[1, 2] is 5.0, expected nan; 1 of 6 values differ"
    assert saved(places, "x.npy", (one, other)) == told
    assert saved(places, "x.npy", (other, other.copy())) is None
    told = saved(places, "x.npy", (one, one.astype("f4")))
    assert told == "x.npy is float64 of shape (2, 3), expected float32 of shape (2, 3)"


def test_a_zero_and_a_negative_zero_are_two_values(places):
    assert saved(places, "x.npy", (np.array([0.0]), np.array([-0.0]))) is not None


def test_an_archive_of_arrays_names_the_array(places):
    for place, value in zip(places, (1, 2), strict=True):
        np.savez(place / "x.npz", same=np.zeros(2), other=np.full(2, value))
    told = "x.npz other[0] is 1, expected 2; 2 of 2 values differ"
    assert first_difference(*places, ["x.npz"]) == told


def stored(place, values, *, chunks, **attributes):
    group = zarr.open_group(place / "s.zarr", mode="w")
    array = group.create_array(
        "a", shape=values.shape, dtype=values.dtype, chunks=chunks
    )
    array[...] = values
    group.attrs.update(attributes)


def test_a_store_is_compared_by_value_whatever_its_chunks(places):
    values = np.arange(12.0).reshape(6, 2)
    stored(places[0], values, chunks=(2, 2), lowmem_map={"rows": 1})
    stored(places[1], values, chunks=(3, 1), lowmem_map={"rows": 2})
    assert first_difference(*places, ["s.zarr"]) is None
    stored(places[0], values, chunks=(2, 2), unit="m")
    told = "s.zarr.attrs also has 'unit'"
    assert first_difference(*places, ["s.zarr"]) == told
    changed = values.copy()
    changed[4, 1] += 1e-9
    stored(places[0], changed, chunks=(2, 2))
    found = first_difference(*places, ["s.zarr"])
    assert found.startswith("s.zarr/a[4, 1] is 9.000000001")
    assert first_difference(*places, ["s.zarr"], is_rounded=True) is None
    changed[4, 1] += 1e-3
    stored(places[0], changed, chunks=(2, 2))
    assert first_difference(*places, ["s.zarr"], is_rounded=True) is not None


def test_a_nan_is_no_rounding_of_a_number(places):
    values = np.ones((3, 1))
    stored(places[1], values, chunks=(3, 1))
    stored(
        places[0], np.where(np.arange(3)[:, None] == 1, np.nan, values), chunks=(3, 1)
    )
    found = first_difference(*places, ["s.zarr"], is_rounded=True)
    assert found == "s.zarr/a[1, 0] is nan, expected 1.0; 1 of 3 values differ"


def test_a_damaged_store_is_told_and_raises_nothing(places):
    stored(places[1], np.ones((3, 1)), chunks=(3, 1))
    (places[0] / "s.zarr").mkdir()
    (places[0] / "s.zarr" / "zarr.json").write_text("{")
    found = first_difference(*places, ["s.zarr"])
    assert found.startswith("s.zarr cannot be opened as a store")


def test_mappings_differ_at_a_key():
    assert first_of_mappings({"a": 1}, {"a": 1}, "x") is None
    assert first_of_mappings({"a": 1}, {"a": 2}, "x") == "x['a'] is 1, expected 2"
    nan = float("nan")
    assert first_of_mappings({"a": [nan]}, {"a": [-nan]}, "x") is None
    assert (
        first_of_mappings({"a": nan}, {"a": 2.0}, "x") == "x['a'] is nan, expected 2.0"
    )
    assert first_of_mappings({}, {"a": 2}, "x") == "x lacks 'a'"
