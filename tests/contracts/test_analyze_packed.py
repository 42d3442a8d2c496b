"""Vectors that are stored as integers which stand for them are analyzed as what they are."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from lowmem.base.errors import DataError
from tests.analyzing import analyze, rows_of


def packed(path, rows):
    """Store rows by the CF conventions; return the numbers that they stand for."""
    scale, offset = np.float64(0.002), np.float64(20.0)
    stored = np.rint((rows - offset) / scale)
    stored[np.isnan(rows)] = -32768
    assert np.nanmax(np.abs(stored)) <= 32768
    array = zarr.create_array(path, data=stored.astype(np.int16), chunks=(100, 5))
    array.attrs.update(
        {"scale_factor": scale, "add_offset": offset, "_FillValue": -32768}
    )
    numbers = stored * scale + offset
    numbers[np.isnan(rows)] = np.nan
    return numbers


def test_packed_vectors_have_the_covariance_of_the_numbers_they_stand_for(tmp_path):
    numbers = packed(tmp_path / "z.zarr", rows_of().astype(np.float64))
    options = {"latents": str(tmp_path / "z.zarr")}
    group, _ = analyze(tmp_path / "w", options)
    right = np.cov(numbers, rowvar=False)
    np.testing.assert_allclose(group["covariance"][:], right, rtol=1e-10)
    np.testing.assert_allclose(group["mean"][:], numbers.mean(0), rtol=1e-12)


def test_packed_vectors_of_which_one_is_missing_are_refused(tmp_path):
    rows = rows_of().astype(np.float64)
    rows[7, 2] = np.nan
    packed(tmp_path / "z.zarr", rows)
    with pytest.raises(DataError, match=r"1 rows with NaN.*first: 7"):
        analyze(tmp_path / "w", {"latents": str(tmp_path / "z.zarr")})
