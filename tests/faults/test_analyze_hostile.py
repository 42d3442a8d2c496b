"""Vectors and studies from elsewhere: `analyze --latents` and `--against` refuse or read.

Each case ends with one sentence that names the file (65), in the plan or in the work,
before anything is waited for and without another exception.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from lowmem.base.errors import DataError
from lowmem_jobs.analyze.job import JOB
from tests.analyzing import SETTINGS, plan, study
from tests.driver import drive

DEEP = "[" * 100_000
MOST = 17 * 2**20


def refused(workspace, options):
    """Return what the plan of an analysis, or its work, says."""

    def analyzed():
        JOB.check(plan(workspace, options))
        JOB.inputs(plan(workspace, options))
        JOB.predict(plan(workspace, options), SETTINGS)
        drive(JOB, workspace, {"figures": True, **options}, settings=SETTINGS)

    with pytest.raises(DataError) as error:
        analyzed()
    assert error.value.exit_code == 65
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 2000
    assert not (workspace / "analysis.zarr").exists()
    return text


# --- --against --------------------------------------------------------------------


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory):
    workspace = tmp_path_factory.mktemp("other") / "heavy"
    study(workspace, np.random.default_rng(1).standard_t(5, size=(600, 3)))
    return workspace


@pytest.fixture
def other(tmp_path, analyzed):
    return Path(shutil.copytree(analyzed, tmp_path / "heavy"))


@pytest.fixture
def against(tmp_path, other):
    """Return what an analysis that is held against the other says."""
    np.save(tmp_path / "z.npy", np.random.default_rng(2).normal(size=(600, 3)))
    options = {"latents": str(tmp_path / "z.npy"), "against": str(other)}
    return lambda: refused(tmp_path / "here", options)


def change(summary, keys, value):
    document = json.loads(summary.read_bytes())
    *path, last = keys
    part = document
    for key in path:
        part = part[key]
    part[last] = value
    summary.write_text(json.dumps(document))


SUMMARIES = {
    "no component": (["n_features"], 0),
    "more components than can be": (["n_features"], 10**12),
    "more pairs than can be": (["pairs", "n_measured"], 10**12),
    "a frame that would be drawn": (["pairs", "frame"], "$\\frac"),
    "fewer quantiles than shares": (["radius", "quantiles"], [1.0]),
    "a share of 2": (["radius", "quantile_shares"], [2.0] * 11),
    "a kurtosis of 0": (["radius", "mardia_kurtosis_gaussian"], 0.0),
    "an error of 0": (["radius", "mardia_kurtosis_standard_error"], 0.0),
    "a number beyond those of floats": (["effective_dimension"], "1e999"),
}


@pytest.mark.parametrize("name", SUMMARIES)
def test_a_summary_that_cannot_be_meant_is_bad_data(other, against, name):
    change(other / "analysis" / "summary.json", *SUMMARIES[name])
    assert "summary.json lacks what is compared" in against()


BYTES = {
    "nested deeper than the stack": (f'{{"more": {DEEP}}}'.encode(), "nested"),
    "larger than any that is meant": (b" " * MOST, "bytes"),
    "no text": (b"\xff\xfe{}", "cannot be read"),
}


@pytest.mark.parametrize("name", BYTES)
def test_a_summary_that_is_no_document_is_bad_data(other, against, name):
    data, word = BYTES[name]
    (other / "analysis" / "summary.json").write_bytes(data)
    said = against()
    assert "summary.json" in said
    assert word in said


def test_a_pipe_in_the_place_of_a_summary_is_not_waited_for(other, against):
    summary = other / "analysis" / "summary.json"
    summary.unlink()
    os.mkfifo(summary)
    assert "has no analysis" in against()


ARRAYS = ["explained_variance_ratio", "pairs/contour_iou"]


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize(
    "values",
    [np.zeros(7), np.zeros((3, 1)), np.zeros(3, bool), np.zeros(3, complex)],
    ids=["too many", "of two axes", "truths", "complex"],
)
def test_an_array_of_another_study_than_the_summary_is_bad_data(
    other, against, array, values
):
    store = other / "analysis.zarr"
    shutil.rmtree(store / array)
    group = zarr.open_group(store, mode="a")
    group.create_array(array, data=values)
    assert array.rpartition("/")[2] in against()


@pytest.mark.parametrize("array", ARRAYS)
@pytest.mark.parametrize("place", ["zarr.json", "c*"])
def test_a_pipe_in_a_study_is_not_waited_for(other, against, array, place):
    (file,) = (other / "analysis.zarr" / array).glob(place)
    file.unlink()
    os.mkfifo(file)
    assert "is a pipe" in against()


# --- --latents --------------------------------------------------------------------


@pytest.fixture
def latents(tmp_path):
    group = zarr.create_group(tmp_path / "z.zarr")
    group.create_array("z", data=np.random.default_rng(3).normal(size=(90, 3)))
    return tmp_path / "z.zarr"


def edit(path, **values):
    document = json.loads(path.read_bytes())
    path.write_text(json.dumps({**document, **values}))


STORES = {
    "nested deeper than the stack": lambda z: (z / "zarr.json").write_text(
        f'{{"node_type": {DEEP}}}'
    ),
    "larger than any that is meant": lambda z: (z / "zarr.json").write_bytes(
        b" " * MOST
    ),
    "more rows than anybody has": lambda z: edit(z / "zarr.json", shape=[10**12, 3]),
    "more columns than anybody has": lambda z: edit(
        z / "zarr.json", shape=[90, 10**12]
    ),
    "one axis": lambda z: edit(z / "zarr.json", shape=[90]),
    "a negative length": lambda z: edit(z / "zarr.json", shape=[-90, 3]),
    "chunks of no length": lambda z: edit(
        z / "zarr.json",
        chunk_grid={"name": "regular", "configuration": {"chunk_shape": [0, 3]}},
    ),
    "a type that is none": lambda z: edit(z / "zarr.json", data_type="objects"),
    "complex numbers": lambda z: edit(z / "zarr.json", data_type="complex128"),
    "a chunk cut short": lambda z: os.truncate(z / "c" / "0" / "0", 5),
    "a chunk that is gone": lambda z: (z / "c" / "0" / "0").unlink(),
    "a pipe for a chunk": lambda z: (
        (z / "c" / "0" / "0").unlink(),
        os.mkfifo(z / "c" / "0" / "0"),
    ),
    "a pipe for its metadata": lambda z: (
        (z / "zarr.json").unlink(),
        os.mkfifo(z / "zarr.json"),
    ),
    "a folder for its metadata": lambda z: (
        (z / "zarr.json").unlink(),
        (z / "zarr.json").mkdir(),
    ),
}


@pytest.mark.parametrize("name", STORES)
def test_a_store_of_vectors_that_cannot_be_meant_is_bad_data(tmp_path, latents, name):
    STORES[name](latents / "z")
    assert "z.zarr" in refused(tmp_path / "here", {"latents": str(latents)})


def header(text, version=1):
    n_bytes = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + n_bytes + text.encode()


FILES = {
    "nested deeper than the stack": header("(" * 60_000),
    "a header larger than any": header("{" + " " * MOST, version=2),
    "more rows than its file": header(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 3), }"
    ),
    "objects": header("{'descr': '|O', 'fortran_order': False, 'shape': (2, 1), }"),
    "a negative length": header(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-2, 1), }"
    ),
    "lengths beyond all numbers": header(
        f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({'9' * 400}, 1), }}"
    ),
    "no array": b"vectors",
    "nothing": b"",
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_vectors_that_cannot_be_meant_is_bad_data(tmp_path, name):
    file = tmp_path / "z.npy"
    file.write_bytes(FILES[name] + b"\0" * 64)
    assert "z.npy" in refused(tmp_path / "here", {"latents": str(file)})


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_of_vectors_is_not_waited_for(tmp_path, make):
    make(tmp_path / "z.npy")
    assert "z.npy" in refused(tmp_path / "here", {"latents": str(tmp_path / "z.npy")})
