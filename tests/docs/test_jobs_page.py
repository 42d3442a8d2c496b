"""The job shown in docs/jobs.md is complete, short, and does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

PAGE = Path(__file__).parents[2] / "docs" / "jobs.md"


def shown_job():
    return re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]


def test_the_job_shown_has_fewer_than_thirty_lines():
    assert len([line for line in shown_job().splitlines() if line.strip()]) < 30


@pytest.mark.process
@pytest.mark.slow
def test_the_job_shown_runs_and_its_result_is_right(tmp_path):
    (tmp_path / "brightness.py").write_text(shown_job())
    for options in (
        ["ingest", "--source", "faces:300", "--size", "16"],
        ["brightness.py", "--bins", "64", "--ram-budget", "500M"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "lowmem", "run", *options],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    workspace = tmp_path / "lowmem-work"
    images = zarr.open_group(workspace / "images.zarr", mode="r")["images"][:]
    expected, _ = np.histogram(images.mean(axis=(1, 2, 3)), 64, (0, 255))
    np.testing.assert_array_equal(np.load(workspace / "brightness.npy"), expected)
