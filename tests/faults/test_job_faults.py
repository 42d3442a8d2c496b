"""A job that the disk fails leaves a workspace that opens, and ends as if it had not.

Every operation of every job: `benchmarks/disk_faults.py`; here a share of one job's.
"""

from __future__ import annotations

import errno

import pytest

from lowmem.worker import cycles
from lowmem_jobs.ingest.job import JOB as INGEST
from tests.faults import job_sweep

pytestmark = [pytest.mark.fault, pytest.mark.slow]

# Runs for one kind of failure.
_PLACES = 8


@pytest.mark.parametrize(
    ("number", "is_persistent"),
    [(errno.ENOSPC, True), (errno.EIO, False)],
    ids=["full", "I/O error once"],
)
def test_a_job_that_the_disk_fails_ends_like_one_that_it_did_not(
    number, is_persistent, tmp_path, monkeypatch
):
    # A collection of the test's own garbage, in each of many runs.
    monkeypatch.setattr(cycles, "clean_up", lambda: 0)
    (tmp_path / "empty").mkdir()
    options = {"source": "faces:20", "size": "8"}
    case = job_sweep.prepare(INGEST, options, tmp_path / "empty", tmp_path)
    n_operations = job_sweep.n_operations(case, tmp_path)
    places = range(1, n_operations + 1, n_operations // _PLACES)
    codes = job_sweep.sweep(case, tmp_path, places, number, is_persistent=is_persistent)
    assert len(codes) > len(places) // 2
