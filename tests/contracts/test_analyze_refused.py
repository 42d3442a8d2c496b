"""What the job `analyze` refuses, and what its description says before it runs."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from lowmem.base.errors import DataError, MissingArtefactError, OptionValueError
from lowmem_jobs.analyze.job import JOB
from tests.analyzing import SETTINGS, analyze, plan, rows_of, save
from tests.objects import npy_of_objects


@pytest.fixture
def rows():
    return rows_of()


def assert_refused(workspace, options, match):
    with pytest.raises(DataError, match=match) as caught:
        analyze(workspace, options)
    assert caught.value.exit_code == 65
    assert not (workspace / "analysis.zarr").exists()
    assert not (workspace / "analysis").exists()


def test_rows_that_are_not_finite_are_counted_and_named(tmp_path, rows):
    rows[[3, 500, 800], [0, 1, 2]] = [np.nan, np.inf, -np.inf]
    match = r"has 3 rows with NaN.*first: 3, 500, 800"
    assert_refused(tmp_path, save(tmp_path / "z.npy", rows), match)


@pytest.mark.parametrize(
    ("table", "match"),
    [
        (np.zeros((1, 4)), "has 1 rows"),
        (np.zeros((9, 0)), "has 0 columns"),
        (np.zeros((9, 4097), dtype=np.int8), "has 4097 columns"),
        (np.zeros(9), "has the shape"),
        (np.zeros((9, 4), dtype=complex), "complex128"),
        (np.full((9, 4), "a"), "<U1"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(tmp_path, table, match):
    assert_refused(tmp_path, save(tmp_path / "z.npy", table), match)


def test_of_several_arrays_without_a_z_one_must_be_named(tmp_path, rows):
    group = zarr.open_group(tmp_path / "v.zarr", mode="w")
    group.create_array("b", data=rows)
    options = {"latents": str(tmp_path / "v.zarr")}
    found, _ = analyze(tmp_path / "one", options)
    np.testing.assert_allclose(
        found["mean"], rows.astype(float).mean(axis=0), rtol=1e-9
    )
    group.create_array("a", data=rows[:50])
    with pytest.raises(DataError, match=r"holds the arrays a, b, and no z"):
        JOB.predict(plan(tmp_path, options), SETTINGS)
    with pytest.raises(DataError, match=r"holds the arrays a, b, and no z"):
        analyze(tmp_path / "two", options)


def test_objects_are_never_unpickled(tmp_path):
    (tmp_path / "z.npy").write_bytes(npy_of_objects((1, 1), tmp_path / "unpickled"))
    assert_refused(tmp_path, {"latents": str(tmp_path / "z.npy")}, "cannot be read")
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize("n_bytes", [0, 5, 60, 500])
def test_a_truncated_file_is_refused(tmp_path, rows, n_bytes):
    np.save(tmp_path / "z.npy", rows)
    whole = (tmp_path / "z.npy").read_bytes()
    (tmp_path / "z.npy").write_bytes(whole[:n_bytes])
    assert_refused(tmp_path, {"latents": str(tmp_path / "z.npy")}, "cannot be read")
    assert JOB.predict(plan(tmp_path, {"latents": str(tmp_path / "z.npy")}), SETTINGS)


def test_an_archive_of_arrays_is_refused(tmp_path, rows):
    np.savez(tmp_path / "z.npz", z=rows)
    assert_refused(tmp_path, {"latents": str(tmp_path / "z.npz")}, "is an archive")


def test_a_trim_that_keeps_nothing_is_refused(tmp_path, rows):
    options = {**save(tmp_path / "z.npy", rows), "trim_fwhm": "0.1"}
    assert_refused(tmp_path, options, r"--trim-fwhm 0.1 keeps [01] of 900 rows")


def test_missing_latents_are_missed_before_the_worker_starts(tmp_path):
    (need,) = JOB.needs(plan(tmp_path, {}))
    assert (need.path, need.job) == (tmp_path / "latents.zarr", "encode")
    with pytest.raises(MissingArtefactError):
        analyze(tmp_path, {})
    with pytest.raises(DataError, match="is missing"):
        JOB.inputs(plan(tmp_path, {"latents": str(tmp_path / "no.npy")}))


@pytest.mark.parametrize("value", ["0", "-3", "some", "1.5"])
def test_nonsense_pairs_are_a_wrong_usage(tmp_path, value):
    with pytest.raises(OptionValueError, match="--pairs"):
        JOB.check(plan(tmp_path, {"pairs": value}))


def test_the_fingerprint_of_the_input_changes_with_the_data(tmp_path, rows):
    options = save(tmp_path / "z.npy", rows)
    before = JOB.inputs(plan(tmp_path, options))
    rows[5, 1] += 1
    save(tmp_path / "z.npy", rows)
    assert JOB.inputs(plan(tmp_path, options)) != before


def test_the_prediction_grows_with_the_components_and_not_with_the_rows(tmp_path):
    predicted = [
        JOB.predict(plan(tmp_path, save(tmp_path / "z.npy", table)), rung).ram_bytes
        for table in (
            # Both above what is held at once.
            np.zeros((2**18, 16), np.float32),
            np.zeros((2**19, 16), np.float32),
            np.zeros((10, 2048), np.float32),
        )
        for rung in JOB.ladder(plan(tmp_path, {}))[:1]
    ]
    assert predicted[0] == predicted[1] < predicted[2]
