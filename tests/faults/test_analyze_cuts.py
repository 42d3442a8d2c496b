"""An analysis cut anywhere and continued equals one that was never cut, to the bit."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from lowmem.stores.row_writer import RowWriter
from lowmem_jobs.analyze import vectors
from lowmem_jobs.analyze.job import JOB
from tests.analyzing import SETTINGS
from tests.driver import drive

pytestmark = pytest.mark.slow

# Commits, one a step, up to the first block of the stage `shape`.
_IN_SHAPE = 15


def digests(workspace):
    """Return the hash of every result file."""
    return {
        str(file.relative_to(workspace)): hashlib.sha256(file.read_bytes()).hexdigest()
        for name in ("analysis.zarr", "analysis")
        for file in sorted((workspace / name).rglob("*"))
        if file.is_file()
    }


@pytest.fixture
def options(tmp_path, monkeypatch):
    # Several blocks in a small table.
    monkeypatch.setattr(vectors, "BLOCK_VALUES", 4 * 500)
    rng = np.random.default_rng(1)
    rows = rng.standard_t(6, size=(900, 4)) @ rng.normal(size=(4, 4))
    np.save(tmp_path / "z.npy", rows.astype(np.float32))
    return {"latents": str(tmp_path / "z.npy"), "figures": False}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"frame": "pca", "trim_fwhm": "1.55", "pca": "incremental", "core": "0.9"},
        {"figures": True, "pairs": "2", "standardise": True, "show_pairs": "1-3"},
    ],
)
def test_a_cut_after_every_step_changes_no_bit(tmp_path, options, more):
    options = {**options, **more}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert drive(JOB, whole, options, settings=SETTINGS, cycle_steps=10**6)
    done, n_attempts = None, 0
    while done is None:
        # Memory settings change from attempt to attempt as well.
        rung = {**SETTINGS, "pair_rows": 64 * (1 + n_attempts % 3)}
        done = drive(JOB, cut, options, settings=rung, cycle_steps=1, leave_after=1)
        n_attempts += 1
        assert n_attempts < 100
    assert n_attempts > 10
    assert digests(cut) == digests(whole)


def test_a_cut_within_the_comparison_with_known_features_changes_no_bit(
    tmp_path, options
):
    rows = np.load(options["latents"])
    for workspace in (tmp_path / "whole", tmp_path / "cut"):
        for store, name in (("latents.zarr", "z"), ("images.zarr", "features")):
            writer = RowWriter.open(
                workspace / store, name, row_shape=(4,), dtype="f4", chunk_rows=900
            )
            writer.append(rows if name == "z" else np.cos(rows))
            writer.flush()
    settings = SETTINGS
    chosen = {"figures": False, "trim_fwhm": "1.7"}
    drive(JOB, tmp_path / "whole", chosen, settings=settings, cycle_steps=10**6)
    done = None
    while done is None:
        done = drive(JOB, tmp_path / "cut", chosen, settings=settings, leave_after=1)
    assert digests(tmp_path / "cut") == digests(tmp_path / "whole")


def test_what_was_written_past_the_last_commit_is_written_again(tmp_path, options):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    drive(JOB, whole, options, settings=SETTINGS, cycle_steps=10**6)
    for n_commits in (_IN_SHAPE, 3):
        drive(JOB, cut, options, settings=SETTINGS, leave_after=n_commits)
        staging = cut / ".lowmem" / "jobs" / "analyze" / "staging"
        assert staging.exists()
        columns = staging / "columns.f32"
        if n_commits == _IN_SHAPE:
            # Rows past the commit hold anything after a power cut: here, the last
            # row of the first column.
            with columns.open("r+b") as stream:
                stream.seek(4 * 899)
                stream.write(b"\xff\xff\xff\xff")
    drive(JOB, cut, options, settings=SETTINGS)
    assert digests(cut) == digests(whole)
