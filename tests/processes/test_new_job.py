"""`lowmem new job` writes files that run, are tested, and harm nothing that is there."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import zarr

from lowmem.testing import Case, CheckError, check
from tests.processes.lowmem_runs import PATIENCE_S, lowmem

pytestmark = [pytest.mark.process, pytest.mark.slow]


def pytest_run(path):
    """Run one test file as its author would, with nothing of this project's settings."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path.name],
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * PATIENCE_S,
    )


def n_lines(path):
    return len(path.read_text().splitlines())


def test_a_new_job_runs_as_it_is_and_its_test_is_green(tmp_path):
    ended = lowmem("new", "job", "sums", cwd=tmp_path)
    assert ended.status == 0, ended
    assert ended.out.splitlines()[1:] == [
        "  lowmem run sums.py",
        "  pytest test_sums.py",
    ]
    ended = lowmem("run", "sums.py", cwd=tmp_path)
    assert ended.status == 0, ended
    total = np.load(tmp_path / "lowmem-work" / "sums.npy")
    assert total == sum(n * n for n in range(20_000))
    assert n_lines(tmp_path / "sums.py") + n_lines(tmp_path / "test_sums.py") <= 40
    done = pytest_run(tmp_path / "test_sums.py")
    assert done.returncode == 0, done.stdout
    # The test sees what it is there for.
    job = tmp_path / "sums.py"
    job.write_text(
        job.read_text().replace("commit(total=at.total)", "commit(total=0.0)")
    )
    with pytest.raises(CheckError, match="killed after each of its 7 commits"):
        check(Case(job, tmp_path, options={"rows": 6_500}), only=["kills"])


def test_a_new_map_runs_as_it_is_and_its_test_is_green(tmp_path):
    ended = lowmem("new", "job", "means", "--map", cwd=tmp_path)
    first, second = (line.strip() for line in ended.out.splitlines()[1:])
    assert (first, second) == (
        "python means.py && lowmem run means.py",
        "pytest test_means.py",
    )
    subprocess.run([sys.executable, "means.py"], cwd=tmp_path, check=True)
    ended = lowmem("run", "means.py", cwd=tmp_path)
    assert ended.status == 0, ended
    made = zarr.open_group(tmp_path / "lowmem-work" / "means.zarr", mode="r")["means"]
    np.testing.assert_array_equal(made[:], np.arange(1_000) * 4 + 1.5)
    assert n_lines(tmp_path / "means.py") + n_lines(tmp_path / "test_means.py") <= 40
    done = pytest_run(tmp_path / "test_means.py")
    assert done.returncode == 0, done.stdout


def test_a_name_that_would_not_do_is_refused_and_nothing_is_written(tmp_path):
    ended = lowmem("new", "job", "../up", cwd=tmp_path)
    assert ended.status == 2
    assert "is no name of a job, expected lower-case letters" in ended.paragraph
    assert not [*tmp_path.iterdir(), *tmp_path.parent.glob("*up.py")]


@pytest.mark.parametrize("there", ["own.py", "test_own.py"])
def test_a_file_that_is_there_stays_as_it_is(tmp_path, there):
    (tmp_path / there).write_text("mine")
    ended = lowmem("new", "job", "own", cwd=tmp_path)
    assert ended.status == 2
    assert f"{there} is there already" in ended.paragraph
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"
