"""What a workspace tells of its jobs is true after falls back, kills and needed jobs."""

from __future__ import annotations

import json
import shlex

import pytest

from lowmem.base.journal import JournalWriter
from lowmem.base.workspace import Workspace
from lowmem.checkpoints.generations import examine, generation_path
from lowmem.checkpoints.manifest import MANIFEST
from lowmem.protocol.records import JobBegun, JobEnded, body_from_record
from tests.processes.lowmem_runs import (
    job_file,
    kill,
    lowmem,
    records,
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


# --- the command that continues a job ---------------------------------------------

# Cannot do without eight small drawn faces.
NEEDS_FACES = """
import dataclasses, lowmem

def wanted(plan):
    options = {"source": "faces:8", "size": "16"}
    return [lowmem.Need(path=plan.workspace.images, job="ingest", options=options)]

@lowmem.job(unit="images")
def looks(ctx):
    'Look at images.'
    yield lowmem.CommitPoint(items=1)

looks = dataclasses.replace(looks, needs=wanted)
"""


def begun(space):
    return {r.job: r.command for r in records(space) if isinstance(r, JobBegun)}


def advised(folder, space):
    """Return the command that `status` prints, without `lowmem`."""
    lines = lowmem("status", space, cwd=folder).out.splitlines()
    (line,) = [line for line in lines if line.strip().startswith("lowmem ")]
    return shlex.split(line)[1:]


def test_the_advised_command_of_a_job_that_another_needed_goes_on_with_it(tmp_path):
    small = ("--workspace", "here", "--ram-budget", "50MB", "--seed", "3")
    refused = lowmem("run", "train", "--epochs", "1", *small, cwd=tmp_path)
    assert refused.status == 73, refused
    words = advised(tmp_path, tmp_path / "here")
    assert words == ["run", "ingest", *small]
    assert begun(tmp_path / "here") == {"ingest": tuple(words)}
    words[words.index("50MB")] = "1GB"
    assert lowmem(*words, "--restart", cwd=tmp_path).status == 0
    assert (tmp_path / "here" / "images.zarr").is_dir()


def test_the_options_by_which_a_job_was_needed_are_those_of_its_command(tmp_path):
    job_file(tmp_path, NEEDS_FACES)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "lowmem.toml").write_text("[run]\nram-budget = '1GB'\n")
    line = ("run", "job.py", "--workspace", "work", "--quiet", "--device", "cpu")
    done = lowmem(*line, cwd=tmp_path)
    assert done.status == 0, done
    found = begun(tmp_path / "work")
    wanted = (
        "run ingest --workspace work --source faces:8 --size 16 --device cpu --quiet"
    )
    assert found == {"looks": line, "ingest": tuple(wanted.split())}
    # It is the same job: nothing is made anew, and nothing is refused.
    again = lowmem(*[w for w in found["ingest"] if w != "--quiet"], cwd=tmp_path)
    assert again.status == 0
    assert "is done already" in again.err


def test_words_that_an_older_lowmem_recorded_instead_of_a_command_are_not_advised(
    tmp_path,
):
    at = "2026-11-22T10:00:00.000Z"
    space = Workspace.at(tmp_path / "work")
    with JournalWriter(space.journal) as journal:
        for record in (
            JobBegun(
                job="ingest",
                at=at,
                reference="ingest",
                command=("3",),
                recipe={},
                unit="images",
            ),
            JobEnded(job="ingest", at=at, state="stopped", exit_code=75, message="x"),
        ):
            journal.append(body_from_record(record))
    words = advised(tmp_path, space.root)
    assert words == ["run", "ingest", "--workspace", str(space.root)]
    report = json.loads(lowmem("report", space.root, "--json").out)
    assert report["jobs"]["ingest"]["command"] == []


# --- trials -----------------------------------------------------------------------

GROWS = """
import lowmem

def fill(held):
    while True:
        held.append(bytearray(2**22))

@lowmem.job(unit="rows", settings=({"rows": 2}, {"rows": 1}), calibrate="rows")
def grows(ctx):
    'Take all there is.'
    fill([])
    yield lowmem.CommitPoint(items=1)
"""


def test_a_refusal_after_a_trial_that_was_stopped_says_so_and_at_which_line(tmp_path):
    job, space = job_file(tmp_path, GROWS), tmp_path / "work"
    refused = run(job, space, "--ram-budget", "400MB", cycle_steps=None)
    assert refused.status == 73, refused
    assert "a trial run of it was stopped at" in refused.paragraph
    assert "in job.py:6 in fill, and it needs more" in refused.paragraph
    assert "predicted" not in refused.paragraph
    assert "to a larger size" in refused.paragraph
    # What is remembered says the same, and no budget is promised.
    line = ("plan", job, "--workspace", space, "--ram-budget", "400MB")
    planned = lowmem(*line, cwd=tmp_path)
    assert "was stopped at" in planned.out
    assert "job.py:6 in fill" in planned.out
    assert "smallest budget" not in planned.out
