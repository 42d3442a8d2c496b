"""`encode` and `map` of a source that changes under them: refused, whatever kind it is."""

from __future__ import annotations

import os

import numpy as np
import pytest

import lowmem
from lowmem.base.errors import DataError
from lowmem_jobs.encode import job as encode_job
from lowmem_jobs.encode import work as encode_work
from lowmem_jobs.encode.job import JOB
from tests.changing import N_ROWS, VALUES, acts, of_rows, write_store
from tests.driver import drive


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with the sources, all older than any clock of a file system is coarse."""
    monkeypatch.setattr(encode_work, "BLOCK_ROWS", 48)
    monkeypatch.setattr(encode_job, "BLOCK_ROWS", 48)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "changing.py").write_text(
        "from tests.changing import of_lines, of_rows\n"
    )
    (tmp_path / "rows.txt").write_text("".join(f"line {n}\n" for n in range(N_ROWS)))
    np.save("rows.npy", VALUES)
    write_store(VALUES)
    for name in ("rows.txt", "rows.npy"):
        os.utime(name, (0, 0))
    acts.clear()
    return tmp_path


def test_lines_do_not_shift_where_the_file_is_written_to_while_it_is_encoded(tmp_path):
    given = {"encoder": "changing.py:of_lines", "source": "rows.txt"}
    with pytest.raises(DataError, match=r"rows\.txt changed while it was read"):
        drive(JOB, tmp_path / "w", given)
    assert acts == ["changed"]
    assert not (tmp_path / "w" / "latents.zarr").exists()


@pytest.mark.parametrize(
    ("act", "source"),
    [
        ("written", "rows.npy"),
        ("cut", "rows.npy"),
        ("replaced", "rows.npy"),
        ("gone", "rows.npy"),
        ("store", "rows.zarr"),
    ],
)
def test_an_array_that_changes_while_it_is_encoded_is_refused(tmp_path, act, source):
    told = r"(rows\.npy|zarr\.json) changed while it was read"
    acts.append(act)
    with pytest.raises(DataError, match=told):
        drive(JOB, tmp_path / "w", {"encoder": "changing.py:of_rows", "source": source})
    assert acts == [act, "changed"]
    assert not (tmp_path / "w" / "latents.zarr").exists()


@pytest.mark.parametrize(
    ("act", "source"), [("written", "rows.npy"), ("store", "rows.zarr")]
)
def test_an_array_that_changes_while_it_is_mapped_is_refused(tmp_path, act, source):
    acts.append(act)
    job = lowmem.map(source=source, out="twice.zarr", rows=48, name="twice")(of_rows)
    with pytest.raises(DataError, match="changed while it was read"):
        drive(job, tmp_path / "w")
    assert acts == [act, "changed"]
    assert not (tmp_path / "w" / "twice.zarr").exists()
