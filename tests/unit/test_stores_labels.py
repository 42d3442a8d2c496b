"""Labels of a store, as people write them from a table: numbers, one a row, or refused."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from lowmem.base.errors import DataError
from lowmem.stores.labels import read_labels

N = 6
GIVEN = {
    "whole numbers": np.array([0, 1, 2, 2, 1, 0]),
    "big-endian": np.array([0, 1, 2, 2, 1, 0], ">i2"),
    "floats": np.array([0, 0.5, 2, 2, 1, 0]),
    "an empty cell, which pandas makes NaN": np.array([0, 1, np.nan, 2, 1, 0]),
    "a number that marks missing ones": np.array([0, 1, -1, 2, 1, 0]),
    "truth values": np.array([True, False] * 3),
}
REFUSED = {
    "words, one of them empty": np.array(["cat", "", "dog", "1", "2", "3"]),
    "dates": np.array(["2026-01-01"] * N, "M8[D]"),
    "complex numbers": np.zeros(N, complex),
    "one too few": np.arange(N - 1),
    "one too many": np.arange(N + 1),
    "two a row": np.zeros((N, 2), int),
}


def store(path, labels, version, attributes=None):
    group = zarr.open_group(path / "a.zarr", mode="w", zarr_format=version)
    array = group.create_array("labels", data=labels)
    array.attrs.update(attributes or {})
    return path / "a.zarr"


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("kind", GIVEN)
def test_labels_are_given_as_they_are_stored_missing_ones_too(tmp_path, kind, version):
    labels, class_names = read_labels(
        store(tmp_path, GIVEN[kind], version), "labels", n_rows=N
    )
    np.testing.assert_array_equal(labels, GIVEN[kind])
    assert labels.dtype.isnative
    assert class_names == ()


@pytest.mark.filterwarnings("ignore")  # of types that other programs may not know
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("kind", REFUSED)
def test_labels_that_are_no_numbers_or_not_one_a_row_are_refused(
    tmp_path, kind, version
):
    try:
        path = store(tmp_path, REFUSED[kind], version)
    except (ValueError, TypeError, LookupError, NotImplementedError) as error:
        pytest.skip(f"this Zarr does not write them: {error}")
    with pytest.raises(DataError, match="expected one number for each of the 6 rows"):
        read_labels(path, "labels", n_rows=N)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", ["_FillValue", "missing_value", "scale_factor"])
def test_labels_of_which_a_number_stands_for_another_are_refused(
    tmp_path, name, version
):
    labels = np.array([0, 1, 9, 2, 1, 0], "i4")
    path = store(tmp_path, labels, version, {name: 9})
    with pytest.raises(DataError, match="packed values"):
        read_labels(path, "labels", n_rows=N)
