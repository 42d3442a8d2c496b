"""Workspaces of every format that was ever written open, and their jobs go on.

`tests/samples/format-N/` holds a job and a workspace in which it was stopped after some
commits by the lowmem that wrote format N. A sample is never written anew: a change of the
format adds another.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from lowmem.base.workspace import Workspace
from lowmem.checkpoints.manifest import FORMAT
from lowmem.checkpoints.restore import restore
from lowmem.repair.check import verify
from lowmem.report.read import read_report
from tests.processes.lowmem_runs import run

pytestmark = [pytest.mark.process, pytest.mark.slow]

SAMPLES = sorted((Path(__file__).parents[1] / "samples").glob("format-*"))


def test_there_is_a_sample_of_the_present_format():
    assert f"format-{FORMAT}" in [sample.name for sample in SAMPLES]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
def test_a_workspace_of_this_format_is_whole_and_its_job_goes_on(sample, tmp_path):
    shutil.copytree(sample, tmp_path, dirs_exist_ok=True)
    space = Workspace.at(tmp_path / "workspace")
    assert verify(space).is_whole
    restored = restore(space.checkpoints("squares"))
    assert restored.manifest.generation == 2
    assert restored.manifest.state == {"rows": 12}
    np.testing.assert_array_equal(restored.arrays["total"], [38, 38, 38])
    restored.arrays.close()
    assert run(tmp_path / "job.py", space.root).status == 0
    squares = zarr.open_group(space.root / "squares.zarr", mode="r")["squares"][:]
    rows = np.arange(18)
    np.testing.assert_array_equal(squares, np.stack([rows, rows**2, rows**3], axis=1))
    job = read_report(space, is_live=False).jobs["squares"]
    # Nothing was done again.
    assert [cycle.index for cycle in job.committed][:3] == [0, 1, 2]
    assert job.items == 18
    assert verify(space).is_whole
