"""What killed processes left is no part of a workspace, and goes before the next run."""

from __future__ import annotations

import os
import shutil

from lowmem.base.workspace import Workspace
from lowmem.pipeline.command_session import remove_scratch
from lowmem.repair.check import verify
from tests import mirrors


def test_scratch_folders_go_and_all_that_a_job_goes_on_from_stays(tmp_path):
    space = Workspace.at(tmp_path / "w")
    mirrors.begin(space)
    mirrors.commit(space, 0)
    space.recovering.mkdir()
    alive = space.job(f"train.trial-{os.getpid()}")
    alive.mkdir()
    kept = mirrors.sums(space.root)
    scratch = [space.private / name for name in ("mirroring", "restoring", "remaking")]
    scratch += [space.job("train") / "rebuild", space.job("train.trial-999999999")]
    for folder in scratch:
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "file").write_text("fragment")
    remove_scratch(space)
    assert not any(folder.exists() for folder in scratch)
    assert alive.is_dir()
    assert mirrors.sums(space.root) == kept


def test_a_trial_that_was_killed_is_no_job_that_the_journal_has_lost(tmp_path):
    space = Workspace.at(tmp_path / "w")
    mirrors.begin(space)
    mirrors.commit(space, 0)
    before = verify(space).findings
    shutil.copytree(space.job("train"), space.job("train.trial-999999999"))
    assert verify(space).findings == before
