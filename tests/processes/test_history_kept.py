"""What a workspace tells of its jobs is true after falls back, kills and needed jobs."""

from __future__ import annotations

import json

import pytest

from lowmem.base.workspace import Workspace
from lowmem.checkpoints.generations import examine, generation_path
from lowmem.checkpoints.manifest import MANIFEST
from tests.processes.lowmem_runs import (
    job_file,
    kill,
    lowmem,
    run,
    running,
    until,
)

pytestmark = [pytest.mark.process, pytest.mark.slow]

# Sixty rows in six cycles. A file `at-N` in the workspace says what happens in the Nth.
SIXTY = """
import os, signal, lowmem

@lowmem.job(unit="rows")
def sixty(ctx):
    'Count to sixty.'
    for n in range(ctx.state.get("n", 0), 6):
        mark = ctx.workspace.root / f"at-{n}"
        if mark.exists():
            what = mark.read_text()
            mark.unlink()
            if what == "fail":
                raise RuntimeError("as it was told to")
            os.kill(os.getppid(), signal.SIGSTOP)
        yield lowmem.CommitPoint(items=10, state={"n": n + 1})
    return lowmem.Result(summary={"rows": 60})
"""


def checkpoint(space, generation):
    return generation_path(Workspace.at(space).checkpoints("sixty"), generation)


def damage(folder):
    """Flip one bit of a checkpoint's description."""
    path = folder / MANIFEST
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def fall_back_and_die_before_the_record(tmp_path):
    """Return a workspace whose newest commit, made a second time, was never recorded."""
    job, space = job_file(tmp_path, SIXTY), tmp_path / "work"
    space.mkdir()
    (space / "at-3").write_text("fail")
    assert run(job, space, cycle_steps=1).status == 70
    damage(checkpoint(space, 2))
    # The supervisor is stopped while cycle 2 is done again, so it hears of no commit.
    (space / "at-2").write_text("stop the supervisor")
    with running(job, space, cycle_steps=1) as live:
        until(lambda: not (space / "at-2").exists())
        until(lambda: not examine(checkpoint(space, 2)).problems)
        kill(live.process.pid)
        live.process.wait()
    return job, space


def test_a_commit_made_again_after_a_fall_back_is_counted_though_nobody_recorded_it(
    tmp_path,
):
    job, space = fall_back_and_die_before_the_record(tmp_path)
    assert run(job, space, cycle_steps=1).status == 0
    report = json.loads(lowmem("report", space, "--json").out)["jobs"]["sixty"]
    committed = [c for c in report["cycles"] if c["outcome"] == "committed"]
    # The last holds no rows: it is what was left to do once all were counted.
    assert [c["index"] for c in committed] == list(range(7))
    assert sum(c["items"] for c in committed) == 60
    assert "60 rows" in lowmem("status", space).out
    verified = lowmem("verify", space)
    assert verified.status == 0, verified
    assert "is lost" not in verified.out + verified.err
