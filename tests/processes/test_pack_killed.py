"""A pack that is killed twice is an undisturbed one; a job reads it as docs/tables.md shows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import zarr

from lowmem.base.workspace import Workspace
from lowmem.report.read import read_report
from tests.packed_tables import digest_of, read_column, shown
from tests.processes.lowmem_runs import job_file, kill, lowmem, run, running

pytestmark = [pytest.mark.process, pytest.mark.slow]
N_ROWS = 30_000


def frame():
    rng = np.random.default_rng(1)
    rows = np.arange(N_ROWS)
    return pd.DataFrame(
        {
            "a": rng.normal(size=N_ROWS),
            "b": rows % 1000,
            "text": [f"é{row} " * (row % 4) for row in rows],
            "y": np.where(rng.random(N_ROWS) > 0.5, "yes", "no"),
        }
    )


def test_a_pack_killed_twice_is_the_same_and_a_job_reads_its_texts(tmp_path):
    table = frame()
    table.to_csv(tmp_path / "t.csv", index=False)
    words = ["--source", "t.csv", "--features", "a,b", "--label", "y"]
    words += ["--split", "train=0.9,test=0.1", "--set", "block_kib=256"]
    space = tmp_path / "killed"
    # Of twice five blocks: once while values are looked at, once while rows are stored.
    for n_commits in (2, 7):
        with running("pack", space, *words, cycle_steps=1) as live:
            live.wait_for_commits(n_commits)
            worker = live.worker.pid
            kill(live.process.pid)
            kill(worker)
        assert not (space / "table.zarr").exists()
    ended = run("pack", space, *words, cycle_steps=None)
    assert ended.status == 0, ended
    whole = tmp_path / "whole"
    ended = run("pack", whole, *words[:-2], "--ram-budget", "1G", cycle_steps=None)
    assert ended.status == 0, ended
    assert digest_of(space / "table.zarr") == digest_of(whole / "table.zarr")

    group = zarr.open_group(space / "table.zarr", mode="r")
    np.testing.assert_array_equal(group["features"][:], table[["a", "b"]].to_numpy())
    assert read_column(group, "labels") == list(table.y)
    assert read_column(group, "text") == list(table.text)

    ended = run(job_file(tmp_path, shown("def words"), "words.py"), space)
    assert ended.status == 0, ended
    summary = read_report(Workspace.at(space), is_live=False).jobs["words"].summary
    assert summary == {"words": int(table.text.str.split().str.len().sum())}
    (tmp_path / "t.csv").write_text("a,b\n1,x\n2,3\n")
    ended = lowmem("run", "pack", "--source", "t.csv", cwd=tmp_path)
    assert ended.status == 65
    assert "column 'b' holds texts" in ended.paragraph
