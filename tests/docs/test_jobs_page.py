"""The job shown in docs/jobs.md is complete, short, and does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import zarr

from lowmem.base.workspace import Workspace
from lowmem.worker.registry import find_job
from tests.driver import drive

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


def test_the_map_shown_has_fewer_than_ten_lines_and_is_right(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    pages = re.findall(r"```py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (shown,) = (text for text in pages if "@lowmem.map" in text)
    assert len([line for line in shown.splitlines() if line.strip()]) < 10
    (tmp_path / "shown_map.py").write_text(shown)
    images = np.random.default_rng(1).integers(0, 256, (9, 4, 4, 3), np.uint8)
    zarr.create_group(tmp_path / "images.zarr").create_array("images", data=images)
    drive(find_job(str(tmp_path / "shown_map.py")), tmp_path)
    made = zarr.open_group(tmp_path / "brightness.zarr", mode="r")["brightness"]
    np.testing.assert_array_equal(made[:], images.mean(axis=(1, 2, 3)))


def test_the_sum_shown_is_the_same_to_the_bit_at_every_setting_that_it_has(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(sys, "path", list(sys.path))
    pages = re.findall(r"```py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (shown,) = (text for text in pages if "def total" in text)
    (tmp_path / "shown_total.py").write_text(shown)
    job = find_job(str(tmp_path / "shown_total.py"))
    rows = np.random.default_rng(1).normal(size=(3000, 5)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    found = set()
    for settings in job.ladder(None):
        space = tmp_path / f"held-{settings['held']}"
        options = {"data": str(tmp_path / "rows.npy")}
        # Cut once, and gone on with.
        drive(job, space, options, settings=settings, leave_after=3)
        drive(job, space, options, settings=settings)
        found.add((space / "total.npy").read_bytes())
    assert len(found) == 1
    total = np.load(space / "total.npy")
    np.testing.assert_allclose(total, rows.sum(axis=0, dtype=float), rtol=1e-4)


def test_the_two_jobs_shown_are_one_for_the_other_and_right_wherever_they_are_cut(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(sys, "path", list(sys.path))
    pages = re.findall(r"```py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (shown,) = (text for text in pages if "def add_up" in text)
    file = tmp_path / "shown_survey.py"
    file.write_text(shown)
    for name, options in (("draw", {"numbers": 20}), ("add_up", {})):
        job = find_job(f"{file}:{name}")
        while drive(job, tmp_path, options, cycle_steps=3, leave_after=1) is None:
            pass
    (need,) = job.needs(SimpleNamespace(workspace=Workspace.at(tmp_path)))
    assert (need.path, need.reference) == (tmp_path / "drawn.json", f"{file}:draw")
    total = 0.0
    for number in np.random.default_rng(1).normal(size=20):
        total += float(number)
    assert (tmp_path / "sum.txt").read_text() == repr(total)
